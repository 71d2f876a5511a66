"""Blocks on their way to a file: counted, and hashed where nobody has checked them before."""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import DigestMismatch
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.streams import Block
from converter.streams.blocks import closing
from converter.streams.verify import Meter


def poured(blocks: Blocks, expected: Descriptor | None, write: Callable[[Block], None]) -> tuple[Digest, int]:
    """Write every block; the digest and the size in bytes of what was written.

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
        return meter.digest(), size
    if expected.size not in (-1, size):
        raise DigestMismatch(f"got {size} bytes, want {expected.size} for {expected.digest}")
    return expected.digest, size
