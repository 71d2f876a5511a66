"""Blocks on their way to a file: counted, and hashed where nobody has checked them before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from converter.errors import DigestMismatch
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.stores.disk import disk, write_down
from converter.streams import Block
from converter.streams.blocks import Again, closing
from converter.streams.verify import Meter

FICLONE = 0x40049409
"""The request that lets two files share their blocks until one of them is written to (ioctl_ficlonerange(2))."""


def poured(blocks: Blocks, expected: Descriptor | None, write: Callable[[Block], None]) -> Descriptor:
    """Write every block, and say what was written; the media type is that of ``expected``, if any.

    With ``expected`` the blocks are those of a Known, which checks itself: they are not hashed again, only counted.
    """
    meter, size = Meter(), 0
    with closing(blocks) as source:
        for block in source:
            size += len(block)
            if expected is None:
                meter.update(block)
            write(block)
    if expected is None:
        return Descriptor(media_type="", digest=meter.digest(), size=size)
    if expected.size not in (-1, size):
        raise DigestMismatch(f"got {size} bytes, want {expected.size} for {expected.digest}")
    return expected.sized(size)


def poured_file(path: Path, target: Path, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
    """The same into a new file, still to be made durable; whatever is raised leaves nothing of it.

    What the disk refuses is told of ``target``, which the file is staged for: nobody knows the hidden place.

    Blocks that say in which file they lie are read all the same, so that they are checked, but not written again where
    the two files can share them.
    """
    linked = isinstance(blocks, Again) and blocks.file is not None and _shared(blocks.file, path)
    with disk(target, "write"):
        mode = os.O_RDONLY if linked else os.O_WRONLY | os.O_CREAT | os.O_EXCL
        fd = os.open(path, mode | os.O_CLOEXEC, 0o666)

    def write(block: Block) -> None:
        if not linked:
            with disk(target, "write"):
                write_down(fd, block)

    try:
        return poured(blocks, expected, write)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        with disk(target, "write"):
            os.close(fd)


def _shared(source: Path, path: Path) -> bool:
    """Make ``path`` a reflink of a file, else a hard link; False, and nothing is there, where neither can be."""
    try:
        with source.open("rb") as old, path.open("xb") as new:
            fcntl.ioctl(new, FICLONE, old.fileno())
        return True
    except OSError:
        with suppress(OSError):
            path.unlink()
    try:
        os.link(os.path.realpath(source), path)
    except OSError:
        return False
    return True
