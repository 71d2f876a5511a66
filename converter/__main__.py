"""The process ``transship``: from its first statement to its last, a signal that ends it is one line and a status.

``cli/run.py`` unwinds a command that has begun. Before that modules are imported, and after it the interpreter ends:
there a KeyboardInterrupt would show a traceback of theirs. So this comes before all else, and needs only what every
interpreter has built in; ``bin/transship`` leaves even ``site`` to it (``python -S``).
"""

import _signal  # type: ignore[import-not-found]  # what is beneath ``signal``, whose enums take 3 ms
import sys
from posix import _exit, write


def start() -> int:
    """Run the command line of this process, and end it, or give its exit status to ``sys.exit``."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    if sys.flags.no_site:
        import site

        site.main()
    from converter.cli.main import main

    status = main()
    leave(status)
    return status


def leave(status: int) -> None:
    """End the process here, unless something is left that the interpreter has to see to.

    It would take apart all that was made, piece by piece, 4 ms of a start's 60, before the system frees it at once.
    """
    import atexit

    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return
    atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter calls first, too
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # a full disk, a closed stream: as the interpreter tells it
        return
    _exit(status)


def _end(number: int, _frame: object) -> None:
    """Nothing has begun, or all has been told: there is nothing to unwind."""
    try:
        write(2, b"transship: interrupted\n")
    finally:
        _exit(128 + number)


if __name__ == "__main__":
    sys.exit(start())
