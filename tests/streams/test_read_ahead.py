import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from converter.errors import DigestMismatch, within
from converter.model.content import verified_blocks
from converter.model.descriptor import Digest
from converter.streams.blocks import Block, closing
from converter.streams.read_ahead import Abandoned, fan_out, read_ahead
from tests.patience import wait_until


class Source:
    """Blocks 0, 1, 2 …; tells how many it gave, in which thread, and whether it was closed there."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.given = 0
        self.thread = ""
        self.closed = ""

    def __iter__(self) -> Iterator[Block]:
        self.thread = threading.current_thread().name
        try:
            for number in range(self.count):
                self.given += 1
                yield b"%d" % number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = threading.current_thread().name


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=30), st.integers(1, 5))
def test_reading_ahead_changes_nothing(blocks: list[bytes], depth: int) -> None:
    assert list(read_ahead(blocks, depth)) == blocks


def test_the_source_is_read_and_closed_in_its_own_thread() -> None:
    source = Source(10)
    assert list(read_ahead(source)) == numbers(10)
    assert (source.thread, source.closed) == ("ahead", "ahead")


def test_no_more_is_read_than_was_said() -> None:
    source = Source(1000)
    with closing(read_ahead(source, 3)) as blocks:
        next(blocks)
        wait_until(lambda: source.given >= 1 + 3 + 1, "one taken, three waiting, and one in the hand")
        time.sleep(0.05)  # in which more could be read
        assert source.given == 1 + 3 + 1
    assert source.closed == "ahead"


def test_nothing_is_read_before_somebody_asks() -> None:
    source = Source(10)
    blocks = read_ahead(source)
    assert source.given == 0
    del blocks


def test_an_error_comes_after_the_blocks_before_it() -> None:
    seen: list[Block] = []
    with pytest.raises(ValueError, match="torn"):
        seen.extend(read_ahead(Source(7, ValueError("torn")), 2))
    assert seen == numbers(7)


def test_an_error_keeps_its_trail() -> None:
    with pytest.raises(DigestMismatch) as caught, within("layer[3]"):
        list(read_ahead(verified_blocks([b"other"], Digest.of(b"bytes"))))
    assert str(caught.value).startswith("layer[3]: digest mismatch")


def test_closing_ends_the_thread_while_it_waits_for_room() -> None:
    source = Source(10**9)
    with closing(read_ahead(source, 1)) as blocks:
        next(blocks)
        wait_until(lambda: source.given == 1 + 1 + 1, "one taken, one waiting, and one in the hand")
    assert source.closed == "ahead"


def test_a_stream_that_is_dropped_ends_its_thread() -> None:
    source = Source(10**9)
    blocks = read_ahead(source)
    next(blocks)
    del blocks
    gc.collect()
    assert source.closed == "ahead"


def test_stages_of_threads_end_together() -> None:
    source = Source(10**9)
    with closing(read_ahead(read_ahead(read_ahead(source)))) as blocks:
        next(blocks)
    assert source.closed == "ahead"


def test_a_block_is_held_no_longer_than_needed() -> None:
    class Tracked(bytearray):
        pass

    def source() -> Iterator[Block]:
        for _ in range(20):
            block = Tracked(10)
            held.append(weakref.ref(block))
            yield memoryview(block)
            del block

    held: list[weakref.ref[Tracked]] = []
    most = 0
    blocks = read_ahead(source(), 2)
    for block in blocks:
        del block
        time.sleep(0.001)
        most = max(most, sum(reference() is not None for reference in held))
    assert most <= 2 + 2


def gather(stream: Iterator[Block]) -> bytes:
    return b"".join(stream)


def first(stream: Iterator[Block]) -> bytes:
    return bytes(next(stream))


def count(stream: Iterator[Block]) -> int:
    return sum(1 for _ in stream)


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=30), st.integers(0, 4), st.integers(1, 5))
def test_every_reader_gets_the_whole_stream(blocks: list[bytes], readers: int, depth: int) -> None:
    assert fan_out(blocks, [gather] * readers, depth) == [b"".join(blocks)] * readers


def test_results_come_in_the_order_of_the_readers() -> None:
    readers: list[Callable[[Iterator[Block]], object]] = [count, first, gather]
    assert fan_out(Source(5), readers) == [5, b"0", b"01234"]


def test_a_reader_that_has_enough_stops_nobody() -> None:
    source = Source(500)
    readers: list[Callable[[Iterator[Block]], object]] = [first, count]
    assert fan_out(source, readers, 1) == [b"0", 500]
    assert source.closed


def test_when_all_have_enough_the_rest_is_not_read() -> None:
    source = Source(10**9)
    assert fan_out(source, [first, first], 2) == [b"0", b"0"]
    assert source.given < 10
    assert source.closed


class Sink:
    """A target that keeps what it got only if its reading ended well."""

    def __init__(self) -> None:
        self.kept = False
        self.ended: type[BaseException] | None = None

    def __call__(self, stream: Iterator[Block]) -> bool:
        try:
            for _ in stream:
                pass
        except BaseException as error:
            self.ended = type(error)
            raise
        self.kept = True
        return True


def test_an_error_of_the_source_ends_all_readers_and_is_raised() -> None:
    sinks = [Sink(), Sink()]
    with pytest.raises(ValueError, match="torn"):
        fan_out(Source(50, ValueError("torn")), sinks)
    assert [sink.kept for sink in sinks] == [False, False]
    assert [sink.ended for sink in sinks] == [Abandoned, Abandoned]


def test_wrong_bytes_are_kept_by_no_reader() -> None:
    sinks = [Sink(), Sink()]
    with pytest.raises(DigestMismatch):
        fan_out(verified_blocks([b"other"], Digest.of(b"bytes")), sinks)
    assert not any(sink.kept for sink in sinks)


def test_an_error_of_one_reader_ends_the_others_and_is_raised() -> None:
    def full(stream: Iterator[Block]) -> bool:
        next(stream)
        raise OSError(28, "No space left on device")

    source, sink = Source(10**9), Sink()
    readers: list[Callable[[Iterator[Block]], bool]] = [sink, full]
    with pytest.raises(OSError, match="No space left"):
        fan_out(source, readers)
    assert (sink.kept, sink.ended) == (False, Abandoned)
    assert source.closed


def test_the_first_of_several_errors_is_raised() -> None:
    def early(stream: Iterator[Block]) -> None:
        next(stream)
        raise ValueError("early")

    def late(stream: Iterator[Block]) -> None:
        with suppress(Abandoned):
            count(stream)
        raise KeyError("late")

    readers: list[Callable[[Iterator[Block]], None]] = [late, early]
    with pytest.raises(ValueError, match="early"):
        fan_out(Source(10**9), readers)
