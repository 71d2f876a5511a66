import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from converter.errors import DigestMismatch, Unsupported
from converter.model.content import verified_blocks
from converter.model.descriptor import Digest
from converter.streams.blocks import Block, Meter, closing, metered


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_a_meter_knows_length_and_digest(pieces: list[bytes]) -> None:
    meter = Meter("sha512")
    whole = b"".join(pieces)
    assert b"".join(metered(pieces, meter)) == whole
    assert meter.size == len(whole)
    assert str(meter.digest()) == "sha512:" + hashlib.sha512(whole).hexdigest()


def test_a_meter_takes_views_and_sha256_where_nothing_else_is_said() -> None:
    meter = Meter()
    assert list(metered([memoryview(b"ab"), b"c"], meter)) == [b"ab", b"c"]
    assert meter.digest() == Digest.of(b"abc")


def test_an_algorithm_that_no_image_has_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="md5"):
        Meter("md5")


@pytest.mark.parametrize("size", [pytest.param(6, id="size known"), pytest.param(None, id="size unknown")])
def test_the_right_bytes_pass(size: int | None) -> None:
    assert list(verified_blocks([b"abc", b"def"], Digest.of(b"abcdef"), size)) == [b"abc", b"def"]


@pytest.mark.parametrize(
    "blocks, size, passed, fact",
    [
        pytest.param([b"abc", b"xyz"], 6, 2, "digest mismatch: expected sha256:", id="other bytes, told at the end"),
        pytest.param([b"abc", b"defg"], 6, 1, "expected 6 bytes, read more", id="too many, told before they pass"),
        pytest.param([b"abc"], 6, 1, "expected 6 bytes, read 3", id="too few"),
        pytest.param([b"abc"], None, 1, "digest mismatch: expected sha256:", id="too few, of an unknown size"),
        pytest.param([], 6, 0, "expected 6 bytes, read 0", id="none"),
    ],
)
def test_wrong_bytes_do_not_pass(blocks: list[bytes], size: int | None, passed: int, fact: str) -> None:
    seen: list[Block] = []
    with pytest.raises(DigestMismatch, match=fact):
        seen.extend(verified_blocks(blocks, Digest.of(b"abcdef"), size))
    assert len(seen) == passed


def test_whoever_stops_early_closes_the_source() -> None:
    closed = []

    def source() -> Iterator[Block]:
        try:
            yield b"abc"
            yield b"def"
        finally:
            closed.append(True)

    for stage in (verified_blocks(source(), Digest.of(b"abcdef"), 6), metered(source(), Meter())):
        with closing(stage) as blocks:
            assert next(blocks) == b"abc"
    assert closed == [True, True]
