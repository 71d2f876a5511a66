"""Bytes go to a file as readers ask for them; every reader gets an error of their source."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from errno import ENOSPC
from threading import Event

import pytest

from converter.errors import DigestMismatch, Invalid, StorageFailed
from converter.streams.spool import SpooledStream
from tests.failing_disk import failing

DATA = [bytes([number]) * 1000 for number in range(8)]


def breaking() -> Iterator[bytes]:
    yield from DATA[:2]
    raise DigestMismatch("other bytes")


def test_all_of_them_and_some_of_them() -> None:
    with closing(SpooledStream(iter(DATA))) as spooled:
        assert b"".join(spooled.piece(1500, 1000)) == b"\1" * 500 + b"\2" * 500
        assert b"".join(spooled.blocks()) == b"".join(DATA)
        assert b"".join(spooled.blocks()) == b"".join(DATA)
        assert spooled.read_on() == 8000


def test_what_is_there_is_read_before_the_rest_comes() -> None:
    more = Event()

    def slow() -> Iterator[bytes]:
        yield DATA[0]
        assert more.wait(timeout=60)
        yield DATA[1]

    with closing(SpooledStream(slow())) as spooled:
        assert b"".join(spooled.piece(0, 1000)) == DATA[0]
        more.set()
        assert b"".join(spooled.piece(500, 1500)) == DATA[0][:500] + DATA[1]


@pytest.mark.parametrize("offset, size", [(7999, 2), (8000, 1), (1 << 50, 100)])
def test_a_piece_that_is_not_there(offset: int, size: int) -> None:
    with closing(SpooledStream(iter(DATA))) as spooled, pytest.raises(Invalid, match="there are 8000 bytes"):
        list(spooled.piece(offset, size))


def test_an_error_is_raised_where_the_bytes_end() -> None:
    with closing(SpooledStream(breaking())) as spooled:
        assert b"".join(spooled.piece(0, 2000)) == DATA[0] + DATA[1]
        for read in (lambda: list(spooled.blocks()), lambda: list(spooled.piece(0, 2001)), spooled.read_on):
            with pytest.raises(DigestMismatch):
                read()


def test_after_an_error_nothing_more_is_taken() -> None:
    with closing(SpooledStream(iter(DATA))) as spooled:
        assert b"".join(spooled.piece(0, 1000)) == DATA[0]
        with failing(ENOSPC, 0, lasting=False), pytest.raises(StorageFailed):
            spooled.read_on()
        for read in (lambda: list(spooled.blocks()), spooled.read_on):
            with pytest.raises(StorageFailed):
                read()


def test_threads_read_one_stream() -> None:
    with closing(SpooledStream(iter(DATA))) as spooled, ThreadPoolExecutor(4) as threads:
        pieces = threads.map(lambda place: b"".join(spooled.piece(place, 500)), range(7500, -1, -500))
        assert b"".join(reversed(list(pieces))) == b"".join(DATA)


def test_too_many_bytes_are_not_taken() -> None:
    with closing(SpooledStream(iter(DATA), most=2500)) as spooled:
        assert 2500 < spooled.read_on() <= 4000


def test_nobody_need_wait_for_the_end() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield DATA[0]

    with closing(SpooledStream(endless())) as spooled:
        next(iter(spooled.blocks()))
