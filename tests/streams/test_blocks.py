import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from converter.errors import Invalid, StorageFailed
from converter.streams.blocks import Block, Blocks, closing, file_blocks, join_blocks, peek, reblock

PIECES = st.lists(st.binary(max_size=40), max_size=20)


class Source:
    """Blocks that tell whether they were closed."""

    def __init__(self, *blocks: Block) -> None:
        self.blocks = list(blocks)
        self.closed = False

    def __iter__(self) -> Iterator[Block]:
        try:
            yield from self.blocks
        finally:
            self.closed = True


@given(PIECES, st.integers(1, 50))
def test_reblocked_bytes_are_the_same_in_blocks_of_one_size(pieces: list[bytes], size: int) -> None:
    blocks = list(reblock(pieces, size))
    assert b"".join(blocks) == b"".join(pieces)
    assert all(len(block) == size for block in blocks[:-1])
    assert all(0 < len(block) <= size for block in blocks)


def test_a_block_of_the_right_size_is_not_copied() -> None:
    data = bytes(range(8))
    (block,) = reblock([data], 8)
    assert memoryview(block).obj is data


@given(PIECES, st.integers(1, 50))
def test_gathered_bytes_are_the_same_in_fewer_blocks(pieces: list[bytes], least: int) -> None:
    blocks = list(join_blocks(pieces, least))
    assert b"".join(blocks) == b"".join(pieces)
    assert all(len(block) >= least for block in blocks[:-1])
    assert all(blocks)


@given(PIECES, st.integers(0, 100))
def test_peeking_takes_nothing_away(pieces: list[bytes], size: int) -> None:
    head, blocks = peek(pieces, size)
    whole = b"".join(pieces)
    assert head == whole[:size]
    assert b"".join(blocks) == whole


def test_peeking_at_views_gives_bytes() -> None:
    head, blocks = peek([memoryview(b"abc"), memoryview(b"def")], 4)
    assert head == b"abcd"
    assert b"".join(blocks) == b"abcdef"


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(lambda source: reblock(source, 3), id="reblock"),
        pytest.param(lambda source: join_blocks(source, 3), id="gathered"),
        pytest.param(lambda source: peek(source, 3)[1], id="peek"),
    ],
)
def test_whoever_stops_early_closes_the_source(stage: Callable[[Blocks], Iterator[Block]]) -> None:
    source = Source(b"abc", b"def", b"ghi")
    with closing(stage(source)) as blocks:
        assert next(blocks) == b"abc"
        assert not source.closed
    assert source.closed


def test_a_peeked_stream_that_nobody_reads_is_closed_too() -> None:
    source = Source(b"abc", b"def")
    _, blocks = peek(source, 1)
    del blocks
    assert source.closed


def test_two_readers_share_one_file(tmp_path: Path) -> None:
    data = os.urandom(10_000)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        one, two = file_blocks(file.fileno(), 0, 10_000, 999), file_blocks(file.fileno(), 5000, 5000, 333)
        pairs = list(zip(one, two, strict=False))
        assert data.startswith(b"".join(first for first, _ in pairs))
        assert data[5000:].startswith(b"".join(second for _, second in pairs))
        assert b"".join(file_blocks(file.fileno(), 17, 4000, 1000)) == data[17:4017]
        assert file.tell() == 0
    assert not list(file_blocks(-1, 5, 0))


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    with (
        (tmp_path / "file").open("rb") as file,
        pytest.raises(Invalid, match="end of file at byte 100: 50 bytes are missing"),
    ):
        list(file_blocks(file.fileno(), 50, 100, 30))


def test_a_read_that_fails_is_a_failure_of_storage() -> None:
    with pytest.raises(StorageFailed, match="bad file descriptor"):
        list(file_blocks(-1, 0, 1))
