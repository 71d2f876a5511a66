"""Compressed streams are made again bit for bit, or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.errors import Invalid
from converter.model.content import Compression
from converter.streams.blocks import equal_streams, trailing_zeros
from converter.streams.compress import compress
from converter.streams.repack import Packing, find_compressor, gzip_header, repack
from converter.streams.workers import Workers
from tests.strategies.tar import File, archive

PLAIN = archive([File(f"{number}", data=bytes(range(number)) * 997) for number in range(90)])
"""About 4 MB: more than is compared at once."""


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(2) as made:
        yield made


def own(level: int) -> bytes:
    with Workers(1) as workers:
        return b"".join(compress([PLAIN], Compression("gzip", level), workers))


def named(data: bytes) -> bytes:
    """Gzip with every optional field of its header."""
    header = b"\x1f\x8b\x08\x1e\x01\x02\x03\x04\x02\x03\x04\x00exts" + b"name\0comment\0"
    return header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + gzip.compress(data, 9)[10:]


@pytest.mark.parametrize(
    "packed, by",
    [
        *(pytest.param(gzip.compress(PLAIN, level), "zlib", id=f"zlib {level}") for level in range(1, 10)),
        pytest.param(named(PLAIN), "zlib", id="a header with everything in it"),
        pytest.param(gzip.compress(PLAIN) + bytes(999), "zlib", id="zeros behind it"),
        pytest.param(own(2), "transship-2", id="our own"),
        pytest.param(own(7), "transship-2", id="our own, at another level"),
        pytest.param(bz2.compress(PLAIN, 2), "bzip2", id="bzip2"),
        pytest.param(lzma.compress(PLAIN, preset=1), "xz", id="xz 1"),
        pytest.param(lzma.compress(PLAIN, preset=4), "xz", id="xz 4"),
        pytest.param(lzma.compress(PLAIN, preset=0 | lzma.PRESET_EXTREME, check=lzma.CHECK_CRC32), "xz", id="xz 0e"),
        pytest.param(PLAIN, "none", id="nothing"),
    ],
)
def test_a_stream_is_made_again(packed: bytes, by: str, workers: Workers) -> None:
    found = find_compressor(lambda: [packed[:1000], packed[1000:]], workers)
    assert found is not None
    packing = Packing.parse(found)
    assert packing.by == by
    assert b"".join(repack([PLAIN], packing, workers)) == packed


@pytest.mark.skipif(shutil.which("gzip") is None, reason="gzip is part of every Debian, and of no specification")
@pytest.mark.parametrize("level", ["-1", "-6", "-9"])
def test_what_the_program_gzip_packs(level: str, workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(PLAIN)
    packed = subprocess.run(["gzip", level, "-c", "image"], cwd=tmp_path, capture_output=True, check=True).stdout
    found = find_compressor(lambda: [packed], workers)
    assert found is not None
    assert Packing.parse(found).by in {"gzip", "zlib"}
    assert b"".join(repack([PLAIN], Packing.parse(found), workers)) == packed


@pytest.mark.skipif(shutil.which("pigz") is None, reason="pigz is a package of its own")
@pytest.mark.parametrize(
    "options, size",
    [
        *(pytest.param(f"-{level}", 1_000_000, id=f"level {level}") for level in range(1, 10)),
        pytest.param("-p1", 1_000_000, id="one thread"),
        pytest.param("-p3", 1_000_000, id="three threads"),
        *(pytest.param("-6", size, id=f"{size} bytes") for size in (2, 128, 131_072, 131_073, 262_144)),
    ],
)
def test_what_pigz_packs(options: str, size: int, workers: Workers, tmp_path: Path) -> None:
    plain = PLAIN[:size]
    (tmp_path / "image").write_bytes(plain)
    packed = subprocess.run(["pigz", options, "-c", "image"], cwd=tmp_path, capture_output=True, check=True).stdout
    found = find_compressor(lambda: [packed], workers)
    assert found is not None
    assert Packing.parse(found).by == ("pigz" if size > 131_072 else "zlib")
    assert b"".join(repack([plain], Packing.parse(found), workers)) == packed


def test_an_error_of_the_source_is_one_of_the_program_too(workers: Workers) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise Invalid("broken")

    with pytest.raises(Invalid, match="broken"):
        list(repack(broken(), Packing(by="gzip", level=1, header=b"x"), workers))


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(PLAIN[:99]) + gzip.compress(PLAIN[99:]), id="two members"),
        pytest.param(lzma.compress(PLAIN[:9999], preset=9), id="xz that takes too much memory"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(600), id="zstd"),
        pytest.param(b"BZh0" + bz2.compress(PLAIN[:9999])[4:], id="bzip2 of a level that there is not"),
        pytest.param(b"BZh", id="bzip2 without its level"),
        pytest.param(b"nothing of that kind" * 40, id="something else"),
    ],
)
def test_what_nobody_known_has_packed(packed: bytes, workers: Workers) -> None:
    assert find_compressor(lambda: [packed], workers) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"by":"zlib"}',
        '{"by":"zlib","level":10,"header":"","check":0,"zeros":0}',
        '{"by":"zlib","level":1,"header":"no","check":0,"zeros":0}',
        '{"by":"xz","level":8,"header":"","check":0,"zeros":0}',
        '{"by":"rm","level":1,"header":"","check":0,"zeros":0}',
        '{"by":"none","level":0,"header":"","check":0,"zeros":99999999}',
        "[" * 100_000,
    ],
)
def test_what_is_no_packing(text: str) -> None:
    with pytest.raises(Invalid):
        Packing.parse(text)


def test_a_check_that_xz_does_not_have(workers: Workers) -> None:
    with pytest.raises(Invalid):
        list(repack([b"x"], Packing(by="xz", level=1, check=3), workers))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x1f\x8b\x08",
        b"\x1f\x8b\x07" + bytes(20),
        b"\x1f\x8b\x08\x80" + bytes(20),
        b"\x1f\x8b\x08\x08" + b"x" * 40,
    ],
)
def test_what_is_no_header(head: bytes) -> None:
    assert gzip_header(head) == b""


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "a, b, same, zeros",
    [
        (b"abc", b"abc", True, 0),
        (b"", b"", True, 0),
        (b"abc", b"abd", False, None),
        (b"abc", b"ab", False, None),
        (b"ab", b"abc", False, None),
        (b"ab", b"ab\0\0", False, 2),
        (b"ab", b"ab\0x", False, None),
    ],
)
def test_streams_are_compared(a: bytes, b: bytes, same: bool, zeros: int | None, size: int) -> None:
    def blocks(data: bytes) -> list[bytes]:
        return [b"", *(data[start : start + size] for start in range(0, len(data), size))]

    assert equal_streams(blocks(a), [b]) == same
    assert equal_streams([b], blocks(a)) == same
    assert trailing_zeros(blocks(a), [b]) == zeros
