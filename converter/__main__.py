"""The process ``transship``: from its first statement to its last, a signal that ends it is one line and a status.

``cli/run.py`` unwinds a command that has begun. Before that modules are imported, and after it the interpreter ends:
there a KeyboardInterrupt would show a traceback of theirs. So this comes before all else, and needs only what every
interpreter has built in; ``bin/transship`` leaves even ``site`` to it (``python -S``).
"""

import _signal  # type: ignore[import-not-found]  # what is beneath ``signal``, whose enums take 3 ms
import sys
from posix import _exit, write


def start() -> int:
    """Run the command line of this process; for ``sys.exit``."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    if sys.flags.no_site:
        import site

        site.main()
    from converter.cli.main import main

    return main()


def _end(number: int, _frame: object) -> None:
    """Nothing has begun, or all has been told: there is nothing to unwind."""
    try:
        write(2, b"transship: interrupted\n")
    finally:
        _exit(128 + number)


if __name__ == "__main__":
    sys.exit(start())
