"""Reads Zstandard frames one by one, so that neither truncation nor a bomb goes unnoticed (RFC 8878, 3.1).

The library's streaming reader takes a truncated stream for a whole one, and its incremental one does not bound its
output. So the frames are parsed here, and the library gets whole blocks, each of which gives at most 2 MiB, as its own
header says.
"""

from __future__ import annotations

from collections.abc import Iterator

from converter.errors import LimitExceeded
from converter.model.limits import Limits
from converter.model.media_types import CODECS
from converter.streams.decompress import CompressedInput

MAGIC, *SKIPPABLE = CODECS["zstd"].magics

BLOCKS_AT_ONCE = 8
"""Blocks handed over together: 128 KiB each unless the writer is malicious, and so 1 MiB."""

RLE, RESERVED = 1, 3


def unzstd(compressed: CompressedInput, limits: Limits) -> Iterator[bytes]:
    """Inflate all frames. Raises Invalid if they are cut or broken, LimitExceeded for a window that is too large."""
    from zstandard import ZstdDecompressor, ZstdError

    unpacker = ZstdDecompressor(max_window_size=limits.window).decompressobj(read_across_frames=True)
    for pieces in _batched(_frames(compressed)):
        try:
            data = unpacker.decompress(pieces)
        except ZstdError as error:
            if "too much memory" in str(error):
                raise LimitExceeded(
                    f"the zstd frame needs a window of more than {limits.window} bytes (limit: window)"
                ) from None
            raise compressed.corrupt(error) from None
        if data:
            yield data


def _batched(pieces: Iterator[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    for piece in pieces:
        batch.append(piece)
        if len(batch) == BLOCKS_AT_ONCE:
            yield b"".join(batch)
            batch = []
    if batch:
        yield b"".join(batch)


def _frames(compressed: CompressedInput) -> Iterator[bytes]:
    """Each header, block and checksum of all frames but the skippable ones."""
    while first := compressed.take(1):
        magic = bytes(first) + compressed.exactly(3)
        if magic == MAGIC:
            yield from _frame(compressed)
        elif magic in SKIPPABLE:
            _skip(compressed, int.from_bytes(compressed.exactly(4), "little"))
        else:
            raise compressed.corrupt(f"a frame starts with {magic.hex()}")


def _frame(compressed: CompressedInput) -> Iterator[bytes]:
    descriptor = compressed.exactly(1)
    flags = descriptor[0]
    single_segment = flags >> 5 & 1
    dictionary = (0, 1, 2, 4)[flags & 3]
    content_size = (single_segment, 2, 4, 8)[flags >> 6]
    yield MAGIC + descriptor + compressed.exactly(1 - single_segment + dictionary + content_size)
    last = False
    while not last:
        header = compressed.exactly(3)
        number = int.from_bytes(header, "little")
        last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
        if kind == RESERVED:
            raise compressed.corrupt("a block of the reserved type")
        yield header + compressed.exactly(1 if kind == RLE else size)
    if flags & 4:
        yield compressed.exactly(4)


def _skip(compressed: CompressedInput, size: int) -> None:
    while size:
        taken = len(compressed.take(size))
        if not taken:
            raise compressed.truncated()
        size -= taken
