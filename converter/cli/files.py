"""The files that a command writes beside images, such as reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from converter.cli.environment import inputs
from converter.errors import Usage
from converter.streams import Blocks

if TYPE_CHECKING:
    from converter.stores.overwriting import Overwriting


def check_writable(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Fail before any work is done if one of the files could not be written at the end.

    Raises AlreadyExists, NotFound, StorageFailed, and Usage if one is named twice.
    """
    from converter.stores.media.out_file import OutFile

    for path in paths:
        if paths.count(path) > 1:
            raise Usage(f"{path} is named twice: choose a file for each")
        OutFile(path, _rule(overwrite)).probe()


def write_output(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file, whole or not at all; ``overwrite`` replaces one that exists, unless it was read."""
    write_blocks(path, (text.encode(),), overwrite=overwrite)


def write_blocks(path: Path, blocks: Blocks, *, overwrite: bool) -> None:
    """The same for what need not be in memory at once."""
    from converter.stores.media.out_file import write_new

    write_new(path, blocks, _rule(overwrite))


def _rule(overwrite: bool) -> Overwriting:
    from converter.stores.overwriting import Overwriting

    return Overwriting(allowed=overwrite, inputs=inputs())
