import pytest

from converter.errors import Invalid
from converter.streams.decompress import CompressedInput


def test_a_feed_is_a_file_to_a_library() -> None:
    compressed = CompressedInput("gzip", iter([b"abc", b"", b"defg"]), 0)
    buffer = bytearray(2)
    assert (compressed.readinto(buffer), bytes(buffer)) == (2, b"ab")
    assert compressed.read(9) == b"c"
    assert compressed.read(9) == b"defg"
    assert compressed.read(9) == b""
    assert compressed.readinto(buffer) == 0
    assert compressed.offset == 7


def test_exactly_that_many_bytes_or_none() -> None:
    compressed = CompressedInput("zstd", iter([b"abc", b"def"]), 0)
    assert compressed.exactly(5) == b"abcde"
    assert compressed.exactly(0) == b""
    with pytest.raises(Invalid, match="unexpected end of the zstd stream after 6 bytes"):
        compressed.exactly(2)
