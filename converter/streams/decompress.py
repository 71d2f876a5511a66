"""Inflates a blob, however it was packed, within limits (gzip: RFC 1952; zstd: RFC 8878)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, LimitExceeded, Unsupported
from converter.model.limits import KIB, MIB, Limits, current_limits
from converter.streams.blocks import BLOCK, Block, Blocks, closing, join_blocks, peek
from converter.streams.detect import HEAD, detect_codec, start_of

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

RATIO_FROM = 64 * MIB
"""Bytes of output from which on the ratio is checked: a short run of zeros may shrink to any ratio."""

SLICE_FIRST, SLICE_MOST = 1 * KIB, 64 * KIB
"""Bytes that a decompressor gets at once, from the start of a stream on.

What it leaves over is copied, and thousands of tiny streams in one file must not copy a large block each.
"""


def decompress(blocks: Blocks, codec: str) -> Iterator[Block]:
    """The unpacked bytes, in blocks of 256 KiB to about 1 MiB; ``none`` is passed through.

    Concatenated streams are read as one, and zeros after the last gzip, bzip2 or xz stream are padding. Raises Invalid
    for a stream that is cut, broken or followed by anything else, LimitExceeded for one that exceeds ``limits.layer``
    bytes or ``limits.ratio`` times its packed size, Unsupported for an encrypted one. Only an iteration that has
    reached its end has seen the whole stream and its checksums.
    """
    if codec == "openpgp":
        raise Unsupported("the image is encrypted with OpenPGP: decrypt it first with `gpg --decrypt`")
    return _decompressed(blocks, codec, current_limits())


def decompress_any(blocks: Blocks) -> tuple[str, Iterator[Block]]:
    """The codec of a stream, and its bytes unpacked. Raises Invalid if it is neither packed nor a tar.

    Nothing at all is a tar without entries, whose end many leave out.
    """
    head, whole = peek(blocks, HEAD)
    codec = detect_codec(head) if head else "none"
    if codec is None:
        raise Invalid(f"data that starts with {start_of(head)} is not a tar, nor a compressed one")
    return codec, decompress(whole, codec)


def _decompressed(blocks: Blocks, codec: str, limits: Limits) -> Iterator[Block]:
    with closing(blocks) as source:
        if codec == "none":
            yield from _bounded(source, None, limits)
            return
        compressed = CompressedInput(codec, source)
        yield from _bounded(_unpacked(compressed, codec, limits), compressed, limits)
        if not compressed.count:
            raise compressed.truncated()


def _unpacked(compressed: CompressedInput, codec: str, limits: Limits) -> Iterator[Block]:
    if codec == "gzip":
        return _gunzip(compressed)
    if codec == "zstd":
        from converter.streams.unzstd import unzstd

        return join_blocks(unzstd(compressed, limits))
    return join_blocks(_bunzip2(compressed) if codec == "bzip2" else _unxz(compressed, limits))


def _bounded(blocks: Iterator[Block], compressed: CompressedInput | None, limits: Limits) -> Iterator[Block]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > limits.layer:
            raise LimitExceeded(f"more than {limits.layer} bytes when decompressed (limit: layer)")
        if compressed is not None and size > max(RATIO_FROM, limits.ratio * compressed.count):
            raise LimitExceeded(
                f"{compressed.count} bytes decompress to {size}: at most {limits.ratio} times as many (limit: ratio)"
            )
        yield block


def _gunzip(compressed: CompressedInput) -> Iterator[Block]:
    from zlib import error as zlib_error

    from isal import igzip

    # This reader walks the members in C, without the GIL, and fills a whole block before it returns. It has no types.
    library: Any = igzip
    # It raises OverflowError if the name or comment of a member is longer than its buffer.
    failures: tuple[type[Exception], ...] = (library.BadGzipFile, library.isal_zlib.error, zlib_error, OverflowError)
    reader = library.IGzipFile(fileobj=compressed, mode="rb")
    while True:
        try:
            data: bytes = reader.read(BLOCK)
        except EOFError:
            raise compressed.truncated() from None
        except failures as error:
            raise compressed.corrupt(error) from None
        if not data:
            return
        yield data


def _bunzip2(compressed: CompressedInput) -> Iterator[bytes]:
    import bz2

    return _streams(compressed, bz2.BZ2Decompressor, OSError, 0)


def _unxz(compressed: CompressedInput, limits: Limits) -> Iterator[bytes]:
    import lzma

    def start() -> LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.window)

    return _streams(compressed, start, lzma.LZMAError, limits.window)


def _streams(
    compressed: CompressedInput,
    start: Callable[[], BZ2Decompressor | LZMADecompressor],
    failure: type[Exception],
    window: int,
) -> Iterator[bytes]:
    """Decompress stream after stream, each with a fresh decompressor, until only zeros are left."""
    rest = bytes(compressed.take(SLICE_FIRST))
    while rest:
        unpacker = start()
        size = SLICE_FIRST
        while not unpacker.eof:
            if unpacker.needs_input and not rest:
                rest = bytes(compressed.take(size))
                size = min(2 * size, SLICE_MOST)
                if not rest:
                    raise compressed.truncated()
            try:
                data = unpacker.decompress(rest, BLOCK)
            except failure as error:
                if "limit exceeded" in str(error):
                    raise LimitExceeded(
                        f"the stream needs a dictionary of more than {window} bytes (limit: window)"
                    ) from None
                raise compressed.corrupt(error) from None
            rest = b""
            if data:
                yield data
        rest = unpacker.unused_data.lstrip(b"\0")
        while not rest and (more := compressed.take(SLICE_MOST)):
            rest = bytes(more).lstrip(b"\0")


class CompressedInput:
    """Hands out a stream piece by piece; ``count`` is how many bytes have been handed out."""

    def __init__(self, codec: str, blocks: Iterator[Block]) -> None:
        self._codec = codec
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.count = 0

    def take(self, most: int) -> memoryview:
        """Between one and ``most`` bytes; empty at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = memoryview(block)
        taken, self._rest = self._rest[:most], self._rest[most:]
        self.count += len(taken)
        return taken

    def exactly(self, size: int) -> bytes:
        """Exactly ``size`` bytes; raises Invalid if the stream ends before."""
        taken: Block = self.take(size)
        while len(taken) < size:
            more = self.take(size - len(taken))
            if not more:
                raise self.truncated()
            taken = b"".join((taken, more))
        return bytes(taken)

    def read(self, most: int) -> bytes:
        """As in a file: the gzip library requires this and ``readinto``."""
        return bytes(self.take(most))

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill part of a buffer, as in a file; returns 0 at the end."""
        taken = self.take(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def truncated(self) -> Invalid:
        return Invalid(f"unexpected end of the {self._codec} stream after {self.count} bytes")

    def corrupt(self, why: object) -> Invalid:
        reason = str(why).strip().rstrip(".") or "corrupt data"
        return Invalid(f"broken {self._codec} stream ({reason}) within its first {self.count} bytes")
