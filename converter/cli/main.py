"""The entry point of the command ``transship``; it imports nothing that takes time."""

from __future__ import annotations

from converter.version import __version__

TYPE_CHECKING = False  # not from ``typing``, whose import takes longer than everything else that ``--version`` needs
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status.

    0 done; 1 refused or failed, with one line on standard error; 2 wrong usage; 130 interrupted. ``diff`` returns 1 if
    it found differences, and 2 if it could not tell.
    """
    if arguments == ["--version"]:
        # Scripts ask for it at every start, so it is answered before click is imported.
        try:
            print(f"transship {__version__}", flush=True)
        except OSError:
            pass  # reported below as for every command, unless it is a broken pipe
        else:
            return 0
    import gc

    # Few objects here are in cycles, and imports make many objects: collecting often takes time.
    gc.set_threshold(100_000)
    from converter.cli.run import run

    return run(arguments)
