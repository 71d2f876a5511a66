"""Compressed streams that are cut, broken, or bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.zoo.heads import END, Head, entry, pax
from tests.zoo.tars import FILE

MIB = 1024 * 1024
PLAIN = FILE + entry("zeros", bytes(100_000)) + END
BOMB = 300 * MIB
"""Bytes that a bomb unpacks to: more than a reader may hold, no more than it can pass on in a few seconds."""


def _bomb_head(size: int) -> bytes:
    return Head(name=b"bomb", size=size).packed()


def _zeros(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield bytes(MIB)


def gzip_bomb(size: int = BOMB) -> bytes:
    """A file of zeros at gzip's best."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join((packer.compress(_bomb_head(size)), *map(packer.compress, _zeros(size)), packer.flush()))


def gzip_names(count: int = 12_000) -> bytes:
    """Files without content, each with a name of 16 KB."""
    folder = b"/".join([b"d" * 250] * 63)
    packer = zlib.compressobj(1, wbits=31)
    named = (pax(path=b"%s/%07d" % (folder, number)) + Head().packed() for number in range(count))
    return b"".join((*map(packer.compress, named), packer.compress(END), packer.flush()))


def bzip2_bomb(size: int = BOMB) -> bytes:
    """Zeros shrink to a 20,000th there: made of one stream, repeated."""
    return bz2.compress(_bomb_head(size)) + bz2.compress(bytes(20 * MIB)) * (size // (20 * MIB))


def xz_bomb(size: int = BOMB) -> bytes:
    """The same for xz."""
    return lzma.compress(_bomb_head(size), preset=1) + lzma.compress(bytes(20 * MIB), preset=1) * (size // (20 * MIB))


def zstd_bomb(size: int = BOMB) -> bytes:
    """Blocks of one repeated byte: 128 KiB from four bytes."""
    head = _bomb_head(size)
    raw = (len(head) << 3 | 0 << 1).to_bytes(3, "little") + head
    run = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (0 << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + bytes((0, 0x38)) + raw + run * (size // (128 * 1024)) + last


def zstd_window(log: int) -> bytes:
    """A frame that wants a window of 2^log bytes."""
    raw = (len(FILE) << 3 | 1).to_bytes(3, "little") + FILE
    return b"\x28\xb5\x2f\xfd" + bytes((0, (log - 10) << 3)) + raw


def zstd_raw(data: bytes = PLAIN) -> bytes:
    """A frame of stored blocks."""
    blocks = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
    out = b"\x28\xb5\x2f\xfd" + bytes((0, 0x38))
    for number, block in enumerate(blocks):
        out += (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") + block
    return out


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd_raw,
}


def streams() -> Iterator[tuple[str, bytes]]:
    """All of them, each with a sentence."""
    good = {codec: pack(PLAIN) for codec, pack in PACK.items()}
    for codec, data in good.items():
        for cut in (1, 4, 10, len(data) // 2, len(data) - 4, len(data) - 1):
            yield f"{codec} cut at {cut}", data[:cut]
        for at in (2, 3, 4, 6, 8, 12, len(data) // 2, len(data) - 6, len(data) - 2):
            yield f"{codec} with byte {at} flipped", data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        yield f"{codec} twice", data + data
        yield f"{codec} and garbage", data + b"garbage"
        yield f"{codec} and zeros", data + bytes(5000)
        yield (
            f"{codec} in {codec}",
            PACK[codec](data),
        )
        yield (
            f"{codec} of nothing",
            PACK[codec](b""),
        )
    yield "gzip bomb", gzip_bomb()
    yield "gzip of long names", gzip_names()
    yield "bzip2 bomb", bzip2_bomb()
    yield "xz bomb", xz_bomb()
    yield "zstd bomb", zstd_bomb()
    yield "zstd with a window of 128 MiB", zstd_window(27)
    yield "zstd with a window of 2 GiB", zstd_window(31)
    yield "zstd with a window of an exbibyte", zstd_window(41)
    yield "zstd that says it holds an exbibyte", b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**60) + zstd_raw()[6:]
    yield "zstd with a dictionary", b"\x28\xb5\x2f\xfd\x03\x38" + b"\1\2\3\4" + zstd_raw()[6:]
    yield "zstd of skippable frames", (b"\x50\x2a\x4d\x18" + struct.pack("<I", 0)) * 100_000 + zstd_raw()
    yield "zstd with a skippable frame of 4 GiB", b"\x50\x2a\x4d\x18" + b"\xff" * 4 + zstd_raw()
    yield "zstd of empty frames", (b"\x28\xb5\x2f\xfd\x00\x38" + b"\1\0\0") * 100_000 + zstd_raw()
    yield "zstd with a block of 2 MiB that is short", b"\x28\xb5\x2f\xfd\x00\x38" + b"\xff\xff\xff"
    yield "zstd with a reserved block", b"\x28\xb5\x2f\xfd\x00\x38" + b"\x07\0\0"
    yield "gzip of empty members", gzip.compress(b"", mtime=0) * 50_000 + good["gzip"]
    flags = {"name without end": 8, "comment without end": 16, "extra field": 4, "header checksum": 2, "reserved": 0xE0}
    for told, flag in flags.items():
        data = b"\x1f\x8b\x08" + bytes([flag]) + bytes(6) + b"\xff\xff" + b"x" * 70_000
        yield f"gzip: {told}", data
    for told, size in (("a megabyte", MIB), ("three megabytes", 3 * MIB)):
        yield (
            f"gzip with a name of {told}",
            (
                b"\x1f\x8b\x08\x08"
                + bytes(6)
                + b"n" * size
                + b"\0"
                + zlib.compress(PLAIN, wbits=-15)
                + struct.pack("<II", zlib.crc32(PLAIN), len(PLAIN))
            ),
        )
    yield "gzip with another method", b"\x1f\x8b\x09" + good["gzip"][3:]
    yield "bzip2 of empty streams", bz2.compress(b"") * 50_000 + good["bzip2"]
    yield "xz of empty streams", lzma.compress(b"") * 20_000 + good["xz"]
    big = lzma.compress(PLAIN, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}])
    yield "xz with a larger dictionary", big.replace(b"\x21\x01\x10", b"\x21\x01\x28", 1)
    yield "lzma alone", lzma.compress(PLAIN, format=lzma.FORMAT_ALONE)
    yield "OpenPGP", bytes.fromhex("8c0d0409030213") + bytes(100)
    yield "zip", b"PK\3\4" + bytes(100)
    yield "lz4", b"\x04\x22\x4d\x18" + bytes(100)
    yield "compress", b"\x1f\x9d\x90" + bytes(100)
