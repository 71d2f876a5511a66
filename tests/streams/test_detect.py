import bz2
import gzip
import io
import lzma
import tarfile

import pytest
import zstandard

from converter.streams.decompress import HEAD, detect_codec


def tar_of(name: str, style: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=style) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return held.getvalue()


def v7_of(name: bytes) -> bytes:
    header = bytearray(HEAD)
    header[: len(name)] = name
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "head, codec",
    [
        pytest.param(gzip.compress(b"x"), "gzip", id="gzip"),
        pytest.param(bz2.compress(b"x"), "bzip2", id="bzip2"),
        pytest.param(bz2.compress(b""), "bzip2", id="bzip2 of nothing"),
        pytest.param(lzma.compress(b"x"), "xz", id="xz"),
        pytest.param(zstandard.compress(b"x"), "zstd", id="zstd"),
        pytest.param(b"\x50\x2a\x4d\x18\0\0\0\0", "zstd", id="the first skippable zstd frame"),
        pytest.param(b"\x5f\x2a\x4d\x18\0\0\0\0", "zstd", id="the last skippable zstd frame"),
        pytest.param(tar_of("a", tarfile.USTAR_FORMAT), "none", id="ustar"),
        pytest.param(tar_of("a", tarfile.GNU_FORMAT), "none", id="GNU tar"),
        pytest.param(tar_of("ä" * 200, tarfile.PAX_FORMAT), "none", id="PAX"),
        pytest.param(v7_of(b"a/b"), "none", id="v7, known by its checksum"),
        pytest.param(v7_of(b"\xff" * 100), "none", id="v7 with a large checksum"),
        pytest.param(tar_of("BZhang", tarfile.USTAR_FORMAT), "none", id="a tar whose first name starts as bzip2 does"),
        pytest.param(bytes(1024), "none", id="a tar without entries"),
        pytest.param(b"\x8c\x0d\x04\x09\x03\x08" + bytes(20), "openpgp", id="gpg --symmetric"),
        pytest.param(b"\xc3\x2e\x04\x09\x03\x08" + bytes(20), "openpgp", id="the same in the new packet format"),
        pytest.param(b"\x85\x01\x0c\x03" + bytes(20), "openpgp", id="gpg --encrypt to a key"),
        pytest.param(b"-----BEGIN PGP MESSAGE-----\n", "openpgp", id="armoured"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"\x1f", None, id="half a magic number"),
        pytest.param(b"\x8c", None, id="one byte of a packet"),
        pytest.param(b"\x4f\x2a\x4d\x18", None, id="not quite a skippable frame"),
        pytest.param(bytes(511), None, id="zeros that are no block"),
        pytest.param(b"PK\x03\x04" + bytes(508), None, id="zip"),
        pytest.param(b'{"schemaVersion": 2}' + b" " * 500, None, id="JSON"),
        pytest.param(lzma.compress(b"x", lzma.FORMAT_ALONE), None, id="lzma without xz"),
    ],
)
def test_a_stream_is_known_by_its_first_bytes(head: bytes, codec: str | None) -> None:
    assert detect_codec(head[:HEAD]) == codec
