"""The command ``transship``: where it starts, and nothing that takes time to import."""

from __future__ import annotations

import sys

from converter.version import __version__

TYPE_CHECKING = False  # as ``typing`` has it, whose import takes longer than all else that ``--version`` needs
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and give its exit status.

    0 done; 1 refused or failed, with one line on standard error; 2 wrong usage; 130 interrupted. ``diff`` says 1 where
    it found differences, and 2 where it could not tell.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        # Asked by scripts at every start: answered before click is there.
        try:
            print(f"transship {__version__}", flush=True)
        except OSError:
            pass  # told below, as for every command, or not where nobody reads any more
        else:
            return 0
    import gc

    # What is made here seldom refers to itself, and imports make much: looking through it again and again takes time.
    gc.set_threshold(100_000)
    from converter.cli.run import run

    return run(arguments)
