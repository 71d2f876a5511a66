"""Reads Zstandard frames one by one, so that neither truncation nor a bomb goes unnoticed (RFC 8878, 3.1).

The library's streaming reader takes a truncated stream for a whole one, and its incremental one does not bound its
output. So the frames are parsed here, and the library gets whole blocks, each of which gives at most 2 MiB, as its own
header says.
"""

from __future__ import annotations

from collections.abc import Iterator

from converter.errors import LimitExceeded
from converter.model.limits import Limits
from converter.streams.decompress import Feed
from converter.streams.detect import ZSTD_MAGIC, ZSTD_SKIPPABLE

BLOCKS_AT_ONCE = 8
"""Blocks handed over together: 128 KiB each unless the writer is malicious, and so 1 MiB."""

RLE, RESERVED = 1, 3


def unzstd(feed: Feed, limits: Limits) -> Iterator[bytes]:
    """Inflate all frames. Raises Invalid if they are cut or broken, LimitExceeded for a window that is too large."""
    from zstandard import ZstdDecompressor, ZstdError

    unpacker = ZstdDecompressor(max_window_size=limits.window).decompressobj(read_across_frames=True)
    for pieces in _batched(_frames(feed)):
        try:
            data = unpacker.decompress(pieces)
        except ZstdError as error:
            if "too much memory" in str(error):
                raise LimitExceeded(
                    f"the zstd frame needs a window of more than {limits.window} bytes (limit: window)"
                ) from None
            raise feed.corrupt(error) from None
        if data:
            yield data


def _batched(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if len(held) == BLOCKS_AT_ONCE:
            yield b"".join(held)
            held = []
    if held:
        yield b"".join(held)


def _frames(feed: Feed) -> Iterator[bytes]:
    """Each header, block and checksum of all frames but the skippable ones."""
    while first := feed.take(1):
        magic = bytes(first) + feed.exactly(3)
        if magic == ZSTD_MAGIC:
            yield from _frame(feed)
        elif magic[1:] == ZSTD_SKIPPABLE and magic[0] & 0xF0 == 0x50:
            _skip(feed, int.from_bytes(feed.exactly(4), "little"))
        else:
            raise feed.corrupt(f"a frame starts with {magic.hex()}")


def _frame(feed: Feed) -> Iterator[bytes]:
    descriptor = feed.exactly(1)
    flags = descriptor[0]
    single_segment = flags >> 5 & 1
    dictionary = (0, 1, 2, 4)[flags & 3]
    content_size = (single_segment, 2, 4, 8)[flags >> 6]
    yield ZSTD_MAGIC + descriptor + feed.exactly(1 - single_segment + dictionary + content_size)
    last = False
    while not last:
        header = feed.exactly(3)
        number = int.from_bytes(header, "little")
        last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
        if kind == RESERVED:
            raise feed.corrupt("a block of the reserved type")
        yield header + feed.exactly(1 if kind == RLE else size)
    if flags & 4:
        yield feed.exactly(4)


def _skip(feed: Feed, size: int) -> None:
    while size:
        taken = len(feed.take(size))
        if not taken:
            raise feed.truncated()
        size -= taken
