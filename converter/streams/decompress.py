"""Inflates a blob, however its first bytes say it was packed, within limits (gzip: RFC 1952; zstd: RFC 8878).

Neither a name nor a media type says how it was packed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, LimitExceeded, Unsupported
from converter.model.limits import KIB, MIB, Limits, current_limits
from converter.model.media_types import CODECS
from converter.streams.blocks import BLOCK, Block, BlockReader, Blocks, closing, join_blocks, peek

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

HEAD = 512
"""How many bytes ``detect_codec`` needs: the length of a tar header."""

BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
ARMOUR = b"-----BEGIN PGP MESSAGE-----"

RATIO_FROM = 64 * MIB
"""Bytes of output from which on the ratio is checked: a short run of zeros may shrink to any ratio."""

SLICE_FIRST, SLICE_MOST = 1 * KIB, 64 * KIB
"""Bytes that a decompressor gets at once, from the start of a stream on.

What it leaves over is copied, and thousands of tiny streams in one file must not copy a large block each.
"""

ZSTD_MAGIC, *SKIPPABLE = CODECS["zstd"].magics

BLOCKS_AT_ONCE = 8
"""Blocks of zstd handed over together: 128 KiB each unless the writer is malicious, and so 1 MiB."""

RLE, RESERVED = 1, 3
"""Types of the blocks in a frame of zstd."""

CHECKSUM = 4
"""The flag of a frame that ends in a checksum."""


def detect_codec(head: bytes) -> str | None:
    """The codec of a stream that starts with ``head`` (HEAD bytes, or all there are); None if unknown.

    ``none`` is an uncompressed tar. ``openpgp`` is an encrypted image, which nothing here can read.
    """
    for name, codec in CODECS.items():
        if head.startswith(codec.magics):
            if name == "bzip2" and head[4:10] not in BZIP2_BLOCKS and is_tar(head):
                break  # the name of the first file in it starts as bzip2 does
            return name
    if is_tar(head):
        return "none"
    if is_openpgp(head):
        return "openpgp"
    return None


def start_of(head: bytes) -> str:
    """How an unknown stream starts, for an error message: a zip shows its PK, a web page its text."""
    return f'"{repr(head[:8])[2:-1]}"' if head else "nothing"


def is_tar(head: bytes) -> bool:
    """Whether a tar starts here: a header that says so or has the right checksum (v7), or the end of an archive."""
    if len(head) < HEAD:
        return False
    block = head[:HEAD]
    if block[257:262] == b"ustar" or not block.strip(b"\0"):
        return True
    digits = block[148:156].strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return False
    blank = block[:148] + b" " * 8 + block[156:]
    # The low half of an Adler-32 is one more than the sum of the bytes, modulo a prime that a header's sum can exceed.
    return (int(digits, 8) + 1) % 65521 == zlib.adler32(blank) & 0xFFFF


def is_openpgp(head: bytes) -> bool:
    """Whether an OpenPGP message with encrypted data starts here (RFC 9580, 4.2 and 5): armoured, or as packets."""
    if head.startswith(ARMOUR):
        return True
    if len(head) < 3 or not head[0] & 0x80:
        return False
    if head[0] & 0x40:
        tag, length = head[0] & 0x3F, 1 if head[1] < 192 else 2
    else:
        tag, length = head[0] >> 2 & 0x0F, (1, 2, 4, 0)[head[0] & 3]
    version = head[1 + length : 2 + length]
    # Session keys (public-key: tag 1, symmetric: 3) and protected data (18) start with a version.
    versions = {1: b"\x03\x06", 3: b"\x04\x05\x06", 18: b"\x01\x02"}
    return bool(version) and version in versions.get(tag, b"")


def require_tar(head: bytes, codec: str) -> None:
    """Raise Invalid if what was unpacked with ``codec``, and starts with ``head``, is no tar."""
    inner = detect_codec(head) if any(head) else "none"
    if "none" in (codec, inner):
        return
    if inner is None:
        raise Invalid(f"data that starts with {start_of(head)} is not a tar, below its compression ({codec})")
    raise Invalid(f"compressed twice ({inner} in {codec}): decompress it once")


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
    size = 0
    with closing(blocks) as source:
        compressed = CompressedInput(codec, source, limits.window)
        for block in join_blocks(_UNPACKERS[codec](compressed)):
            size += len(block)
            limits.require("layer", size, "bytes or more when decompressed")
            if size > max(RATIO_FROM, limits.ratio * compressed.offset):
                raise LimitExceeded(
                    f"{compressed.offset} bytes decompress to {size}: "
                    f"at most {limits.ratio} times as many (limit: ratio)"
                )
            yield block
        if codec != "none" and not compressed.offset:
            raise compressed.truncated()


def _gunzip(compressed: CompressedInput) -> Iterator[bytes]:
    from isal import igzip

    # This reader walks the members in C, without the GIL, and fills a whole block before it returns. It has no types.
    library: Any = igzip
    # It raises OverflowError if the name or comment of a member is longer than its buffer.
    failures: tuple[type[Exception], ...] = (library.BadGzipFile, library.isal_zlib.error, zlib.error, OverflowError)
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

    return _streams(compressed, bz2.BZ2Decompressor, OSError)


def _unxz(compressed: CompressedInput) -> Iterator[bytes]:
    import lzma

    start = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=compressed.window)
    return _streams(compressed, start, lzma.LZMAError)


def _streams(
    compressed: CompressedInput,
    start: Callable[[], BZ2Decompressor | LZMADecompressor],
    failure: type[Exception],
) -> Iterator[bytes]:
    """Decompress stream after stream, each with a fresh decompressor, until only zeros are left."""
    rest = bytes(compressed.some(SLICE_FIRST))
    while rest:
        unpacker = start()
        size = SLICE_FIRST
        while not unpacker.eof:
            if unpacker.needs_input and not rest:
                rest = bytes(compressed.some(size))
                size = min(2 * size, SLICE_MOST)
                if not rest:
                    raise compressed.truncated()
            try:
                data = unpacker.decompress(rest, BLOCK)
            except failure as error:
                if "limit exceeded" in str(error):
                    fact = f"the stream needs a dictionary of more than {compressed.window} bytes (limit: window)"
                    raise LimitExceeded(fact) from None
                raise compressed.corrupt(error) from None
            rest = b""
            if data:
                yield data
        rest = unpacker.unused_data.lstrip(b"\0")
        while not rest and (more := compressed.some(SLICE_MOST)):
            rest = bytes(more).lstrip(b"\0")


def _unzstd(compressed: CompressedInput) -> Iterator[bytes]:
    """Inflate all frames. Raises Invalid if they are cut or broken, LimitExceeded for a window that is too large.

    The library's streaming reader takes a truncated stream for a whole one, and its incremental one does not bound its
    output. So the frames are parsed here, and the library gets whole blocks, each of which gives at most 2 MiB, as its
    own header says (RFC 8878, 3.1).
    """
    from zstandard import ZstdDecompressor, ZstdError

    unpacker = ZstdDecompressor(max_window_size=compressed.window).decompressobj(read_across_frames=True)
    frames = _zstd_frames(compressed)
    while pieces := b"".join(islice(frames, BLOCKS_AT_ONCE)):
        try:
            data = unpacker.decompress(pieces)
        except ZstdError as error:
            if "too much memory" in str(error):
                fact = f"the zstd frame needs a window of more than {compressed.window} bytes (limit: window)"
                raise LimitExceeded(fact) from None
            raise compressed.corrupt(error) from None
        if data:
            yield data


def _zstd_frames(compressed: CompressedInput) -> Iterator[bytes]:
    """Each header, block and checksum of all frames but the skippable ones."""
    while first := compressed.some(1):
        magic = bytes(first) + compressed.exactly(3)
        if magic == ZSTD_MAGIC:
            yield from _zstd_frame(compressed)
        elif magic in SKIPPABLE:
            size = int.from_bytes(compressed.exactly(4), "little")
            if sum(map(len, compressed.views(size))) < size:
                raise compressed.truncated()
        else:
            raise compressed.corrupt(f"a frame starts with {magic.hex()}")


def _zstd_frame(compressed: CompressedInput) -> Iterator[bytes]:
    from zstandard import frame_header_size

    start = ZSTD_MAGIC + compressed.exactly(1)
    yield start + compressed.exactly(frame_header_size(start) - len(start))
    last = False
    while not last:
        header = compressed.exactly(3)
        number = int.from_bytes(header, "little")
        last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
        if kind == RESERVED:
            raise compressed.corrupt("a block of the reserved type")
        yield header + compressed.exactly(1 if kind == RLE else size)
    if start[-1] & CHECKSUM:
        yield compressed.exactly(4)


_UNPACKERS: dict[str, Callable[[CompressedInput], Iterator[Block]]] = {
    "none": BlockReader.rest,
    "gzip": _gunzip,
    "bzip2": _bunzip2,
    "xz": _unxz,
    "zstd": _unzstd,
}


class CompressedInput(BlockReader):
    """Hands out a compressed stream piece by piece, to be unpacked with up to ``window`` bytes of what came before."""

    def __init__(self, codec: str, blocks: Blocks, window: int) -> None:
        super().__init__(blocks)
        self._codec = codec
        self.window = window

    def some(self, most: int) -> memoryview:
        """Between one and ``most`` bytes; empty at the end."""
        return next(self.views(most), memoryview(b""))

    def exactly(self, size: int) -> bytes:
        """Exactly ``size`` bytes; raises Invalid if the stream ends before."""
        taken = b"".join(self.views(size))
        if len(taken) < size:
            raise self.truncated()
        return taken

    def read(self, most: int) -> bytes:
        """As in a file: the gzip library requires this and ``readinto``."""
        return bytes(self.some(most))

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill part of a buffer, as in a file; returns 0 at the end."""
        taken = self.some(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def truncated(self) -> Invalid:
        return Invalid(f"unexpected end of the {self._codec} stream after {self.offset} bytes")

    def corrupt(self, why: object) -> Invalid:
        reason = str(why).strip().rstrip(".") or "corrupt data"
        return Invalid(f"broken {self._codec} stream ({reason}) within its first {self.offset} bytes")
