"""Writes blocks to a file, counts their bytes, and hashes those that are not verified yet."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from converter.errors import DigestMismatch
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.stores.disk import disk_errors, write_behind
from converter.streams.blocks import Block, Meter, RereadableBlocks, closing

FICLONE = 0x40049409
"""The request to make two files share their blocks until one is written to (ioctl_ficlonerange(2))."""


def write_blob(blocks: Blocks, expected: Descriptor | None, write: Callable[[Block], None]) -> Descriptor:
    """Write every block; returns what was written, with the media type of ``expected``, if any.

    With ``expected``, the blocks are those of a Known, which verifies itself: they are only counted, not hashed again.
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
        raise DigestMismatch(f"size mismatch for {expected.digest}: expected {expected.size} bytes, read {size}")
    return expected.sized(size)


def write_blob_file(path: Path, target: Path, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
    """As ``write_blob``, into a new file that is still to be made durable; it is removed on any error.

    Disk errors name ``target``, for which the file is staged, because the staging place is hidden.

    If the blocks say which file holds them, they are still read, and so verified, but not written if the two files can
    share them.
    """
    linked = isinstance(blocks, RereadableBlocks) and blocks.file is not None and _share_blocks(blocks.file, path)
    with disk_errors(target, "write"):
        mode = os.O_RDONLY if linked else os.O_WRONLY | os.O_CREAT | os.O_EXCL
        fd = os.open(path, mode, 0o666)

    def write(block: Block) -> None:
        if not linked:
            with disk_errors(target, "write"):
                write_behind(fd, block)

    try:
        return write_blob(blocks, expected, write)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        with disk_errors(target, "write"):
            os.close(fd)


def _share_blocks(source: Path, path: Path) -> bool:
    """Make ``path`` a reflink of a file, or else a hard link; False, leaving nothing, if neither is possible."""
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
