import pytest

from converter.errors import Invalid
from converter.streams.decompress import Feed


def test_a_feed_is_a_file_to_a_library() -> None:
    feed = Feed("gzip", iter([b"abc", b"", b"defg"]))
    buffer = bytearray(2)
    assert (feed.readinto(buffer), bytes(buffer)) == (2, b"ab")
    assert feed.read(9) == b"c"
    assert feed.read(9) == b"defg"
    assert feed.read(9) == b""
    assert feed.readinto(buffer) == 0
    assert feed.count == 7


def test_exactly_that_many_bytes_or_none() -> None:
    feed = Feed("zstd", iter([b"abc", b"def"]))
    assert feed.exactly(5) == b"abcde"
    assert feed.exactly(0) == b""
    with pytest.raises(Invalid, match="unexpected end of the zstd stream after 6 bytes"):
        feed.exactly(2)
