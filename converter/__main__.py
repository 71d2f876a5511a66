"""The process ``transship``: a signal that ends it, at any time, gives one line and an exit status.

``cli/run.py`` unwinds a command that has begun. Before that, modules are being imported; after it, the interpreter is
shutting down; at either point KeyboardInterrupt would print an unrelated traceback. So these handlers come first and
use only modules built into every interpreter; ``bin/transship`` even leaves importing ``site`` to it (``python -S``).
"""

import _signal  # type: ignore[import-not-found]  # the module beneath ``signal``, whose enums take 3 ms
import sys
from posix import _exit, write


def start() -> int:
    """Run the command line in this process; end the process, or return its exit status for ``sys.exit``."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    if sys.flags.no_site:
        import site

        site.main()
    from converter.cli.main import main

    status = main(sys.argv[1:])
    leave(status)
    return status


def leave(status: int) -> None:
    """End the process here, unless the interpreter still has something to clean up.

    The interpreter would otherwise free all objects one by one (4 ms of a 60 ms start) before the system frees the
    memory.
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
    except (OSError, ValueError):  # a full disk, a closed stream: let the interpreter report it
        return
    _exit(status)


def _end(number: int, _frame: object) -> None:
    """Exit at once: either nothing has begun or everything has been reported, so there is nothing to unwind."""
    try:
        write(2, b"transship: interrupted\n")
    finally:
        _exit(128 + number)


if __name__ == "__main__":
    sys.exit(start())
