"""Deflate as pigz writes it: blocks packed in parallel, each with the previous one as its dictionary (RFC 1951).

pigz 2.8 with zlib: each 128 KiB block is packed on its own, with the last 32 KiB before it as dictionary, and then
padded to a whole byte by empty blocks: static ones of ten bits each if these get there, else one stored block.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from converter.model.limits import KIB
from converter.streams.blocks import Block, Blocks, reblock

SIZE = 128 * KIB
DICTIONARY = 32 * KIB
_EMPTY, _EMPTY_BITS = 0b10, 10
"""A static block that is not the last and contains only its end marker."""

Piece = tuple[Block, bytes, bool]
"""A block, its dictionary, and whether it is the last."""


def pigz_blocks(blocks: Blocks) -> Iterator[Piece]:
    """The blocks that pigz makes."""
    dictionary, pending = b"", b""
    for block in reblock(blocks, SIZE):
        if pending:
            yield pending, dictionary, False
            dictionary = pending[-DICTIONARY:]
        pending = bytes(block)
    yield pending, dictionary, True


def pigz_deflater(level: int) -> Callable[[Piece], bytes]:
    """A function that packs one block."""

    def deflate(piece: Piece) -> bytes:
        block, known, last = piece
        packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=known)
        packed = packer.compress(block)
        if last:
            return packed + packer.flush()
        packed += packer.flush(zlib.Z_BLOCK)
        bits, count = _pending(packer)
        if count % 2:
            return packed + packer.flush(zlib.Z_SYNC_FLUSH)
        while count % 8:
            bits |= _EMPTY << count
            count += _EMPTY_BITS
        return packed + bits.to_bytes(count // 8, "little")

    return deflate


def _pending(packer: zlib._Compress) -> tuple[int, int]:
    """The bits after the last whole byte, and their number, which an empty block appended to them reveals."""
    bits = int.from_bytes(packer.copy().flush(zlib.Z_PARTIAL_FLUSH), "little")
    count = bits.bit_length() - _EMPTY.bit_length()
    return bits & ((1 << count) - 1), count
