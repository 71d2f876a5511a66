"""Packs blocks: one gzip member of independent blocks (RFC 1952, RFC 1951), or zstd frames (RFC 8878).

The output is the same for any number of threads, at any address, and however the input was cut (docs/decisions/0013).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from converter.model.content import Compression
from converter.model.media_types import CODECS
from converter.streams.blocks import BLOCK, Block, Blocks, closing, reblock
from converter.streams.workers import Spares, Workers

if TYPE_CHECKING:
    from isal.isal_zlib import Compress

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, time or system: nothing that would distinguish two runs."""

LAST_BLOCK = b"\x03\x00"
"""An empty final deflate block, so that the blocks before it need not know whether they are last."""

ISAL_MOST = 2
"""isal's level 3 gives different bytes on different processors; from there on zlib-ng is used, which does not."""
ISAL_MEMORY = 3
ISAL_HEAD = 8
"""Bytes of a block that isal packs before the rest, as its first match may otherwise depend on a memory address.

See docs/decisions/0013.
"""
ZSTD_NEAR = 2
"""Up to this level a frame is small and looks back no further than processor caches reach: twice as fast, 10 to 25 %
larger.
"""
ZSTD_NEAR_FRAME, ZSTD_FRAME = 2 * BLOCK, 5 * BLOCK
"""Bytes packed per frame. Every reader accepts consecutive frames, as pzstd and zstd:chunked write them."""
ZSTD_NEAR_SETTINGS, ZSTD_SETTINGS = {"window_log": 18}, {"window_log": 23}
"""8 MiB are what every reader must be able to look back (RFC 8878, 3.1.1.1.2)."""
ZSTD_DEFAULT_TABLES = {"chain_log": 14, "hash_log": 18}
"""Many long matches are remembered, and few short ones: smaller than with the library's own (docs/decisions/0012)."""

SMALL_LEVEL, SMALL_WINDOW = 9, 21
"""For what is packed once and kept.

Level 12 takes twice the time and 50 MiB more for 3 % less, a window of 4 MiB gives 0.5 %.
"""


def compress(blocks: Blocks, compression: Compression, workers: Workers) -> Iterator[Block]:
    """The packed bytes of a stream; ``none`` passes it through.

    The blocks are read in the caller's thread. Memory, for all streams together: about ``3 * workers.jobs`` MiB for
    gzip; for zstd, a frame and its result for each worker, another frame for each stream, and what the library needs at
    a level.
    """
    level = CODECS[compression.codec].default_level if compression.level is None else compression.level
    if compression.codec == "gzip":
        return gzip_member(blocks, deflater(level), workers)
    if compression.codec == "zstd":
        return _zstd(blocks, level, workers)
    assert compression.codec == "none", "a codec that is written has its compressor above"
    return iter(blocks)


def pack_small(blocks: Blocks) -> Iterator[Block]:
    """One zstd frame, for what is kept long and read seldom: slower to make than with ``compress``, and smaller."""
    from zstandard import ZstdCompressionParameters, ZstdCompressor

    parameters = ZstdCompressionParameters.from_level(SMALL_LEVEL, window_log=SMALL_WINDOW, write_checksum=True)
    return pack_with(ZstdCompressor(compression_params=parameters).compressobj(), blocks)


def pack_with(packer: Any, blocks: Blocks) -> Iterator[Block]:
    """What a compressor of any library makes of a stream."""
    with closing(blocks) as source:
        for block in source:
            yield packer.compress(block)
    yield packer.flush()


def packing_engine(compression: Compression) -> str:
    """What determines the packed bytes besides the data: the library's version, the level, and how blocks are cut.

    Equal engines give the same bytes for the same data; for isal, on processors of x86-64 with SSE 4.2, which all have
    had since 2008. The empty string for ``none``.
    """
    level = CODECS[compression.codec].default_level if compression.level is None else compression.level
    if compression.codec == "zstd":
        import zstandard

        version = ".".join(map(str, zstandard.ZSTD_VERSION))
        frame, settings = _zstd_settings(level)
        chosen = "".join(f" {name} {value}" for name, value in settings.items())
        return f"zstd {version} level {level} whole frame {frame}{chosen}"
    if compression.codec == "gzip":
        if level <= ISAL_MOST:
            import isal

            return f"isa-l {isal.ISAL_VERSION} {os.uname().machine} level {level} block {BLOCK} head {ISAL_HEAD}"
        from zlib_ng import zlib_ng

        return f"zlib-ng {zlib_ng.ZLIBNG_RUNTIME_VERSION} level {level} block {BLOCK}"
    return ""


def gzip_member(blocks: Blocks, deflate: Callable[[Block], bytes], workers: Workers) -> Iterator[Block]:
    """One gzip member; ``deflate`` packs a block so that it ends on a byte and refers to nothing before it."""

    def packed(source: Iterator[Block]) -> Iterator[Block]:
        yield from workers.ordered(deflate, source)
        yield LAST_BLOCK

    return framed(reblock(blocks), packed, GZIP_HEADER)


def framed(blocks: Blocks, deflate: Callable[[Iterator[Block]], Iterator[Block]], header: bytes) -> Iterator[Block]:
    """One gzip member of what ``deflate`` makes of the blocks."""
    from isal.isal_zlib import crc32

    crc = size = 0

    def summed(source: Iterator[Block]) -> Iterator[Block]:
        nonlocal crc, size
        for block in source:
            crc = crc32(block, crc)
            size += len(block)
            yield block

    yield header
    with closing(blocks) as source:
        yield from deflate(summed(source))
    yield struct.pack("<LL", crc, size & 0xFFFFFFFF)


def deflater(level: int) -> Callable[[Block], bytes]:
    """A function that packs one block for ``gzip_member``."""
    if level <= ISAL_MOST:
        from isal.isal_zlib import Z_SYNC_FLUSH

        def by_isal(block: Block) -> bytes:
            packer, view = isal_packer(level), memoryview(block)
            head = packer.compress(view[:ISAL_HEAD]) + packer.flush(Z_SYNC_FLUSH)
            return b"".join((head, packer.compress(view[ISAL_HEAD:]), packer.flush(Z_SYNC_FLUSH)))

        return by_isal
    from zlib_ng import zlib_ng

    def by_zlib_ng(block: Block) -> bytes:
        packer = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS)
        return packer.compress(block) + packer.flush(zlib_ng.Z_SYNC_FLUSH)

    return by_zlib_ng


def isal_packer(level: int) -> Compress:
    """A raw deflate stream of isal."""
    from isal import isal_zlib

    return isal_zlib.compressobj(level, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS, ISAL_MEMORY)


def _zstd_settings(level: int) -> tuple[int, dict[str, int]]:
    """The bytes of a frame, and what differs from the library's own settings for a level."""
    if level <= ZSTD_NEAR:
        return ZSTD_NEAR_FRAME, ZSTD_NEAR_SETTINGS
    if level == CODECS["zstd"].default_level:
        return ZSTD_FRAME, ZSTD_SETTINGS | ZSTD_DEFAULT_TABLES
    return ZSTD_FRAME, ZSTD_SETTINGS


def _zstd(blocks: Blocks, level: int, workers: Workers) -> Iterator[Block]:
    from zstandard import ZstdCompressionParameters, ZstdCompressor

    size, settings = _zstd_settings(level)
    parameters = ZstdCompressionParameters.from_level(level, write_checksum=True, **settings)
    packers = workers.spares(level, lambda: ZstdCompressor(compression_params=parameters))
    buffers = workers.spares("frames", bytearray)

    def packed(filled: tuple[bytearray, int]) -> bytes:
        buffer, length = filled
        packer = packers.take()
        frame = packer.compress(memoryview(buffer)[:length])
        frame = bytes(memoryview(frame))  # what the library returns takes as much memory as the input
        packers.give_back(packer)
        buffers.give_back(buffer)
        return frame

    with closing(_filled(blocks, size, buffers)) as source:
        yield from workers.ordered(packed, source, spare=1 if level <= ZSTD_NEAR else 0)


def _filled(blocks: Blocks, size: int, buffers: Spares[bytearray]) -> Iterator[tuple[bytearray, int]]:
    """The same bytes in buffers, at least one, and how many are in each: ``size``, but for the last.

    A buffer may hold old ones after them.
    """
    buffer, length = buffers.take(), 0
    with closing(reblock(blocks)) as source:
        for block in source:
            if length == size:
                yield buffer, length
                buffer, length = buffers.take(), 0
            buffer[length : length + len(block)] = block
            length += len(block)
    yield buffer, length
