"""Deflate as pigz writes it: blocks by any number of threads, each with the one before it as its dictionary (RFC 1951).

pigz 2.8 with zlib: a block of 128 KiB, packed on its own with the last 32 KiB before it known, goes to the next byte by
empty blocks: static ones, of ten bits each, where those get there, and one stored block where they do not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from converter.streams import Block, Blocks
from converter.streams.blocks import reblock

SIZE = 128 * 1024
DICTIONARY = 32 * 1024
_EMPTY, _EMPTY_BITS = 0b10, 10
"""A static block that is not the last and has nothing in it but its end."""

Piece = tuple[Block, bytes, bool]
"""A block, what is known before it, and whether it is the last."""


def pieces(blocks: Blocks) -> Iterator[Piece]:
    """The blocks that pigz makes."""
    known, held = b"", b""
    for block in reblock(blocks, SIZE):
        if held:
            yield held, known, False
            known = held[-DICTIONARY:]
        held = bytes(block)
    yield held, known, True


def deflater(level: int) -> Callable[[Piece], bytes]:
    """Packs one block."""

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
    """The bits behind the last whole byte, and how many they are: an empty block behind them shows where they end."""
    bits = int.from_bytes(packer.copy().flush(zlib.Z_PARTIAL_FLUSH), "little")
    count = bits.bit_length() - _EMPTY.bit_length()
    return bits & ((1 << count) - 1), count
