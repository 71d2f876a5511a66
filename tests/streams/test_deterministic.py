"""Packed bytes depend on the data and the level alone: not on addresses, threads, reuse, or the cut of the input."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st
from isal.isal_zlib import Z_SYNC_FLUSH

from converter.model.content import COMPRESSION_LEVELS, Compression
from converter.model.limits import MIB
from converter.streams.compress import compress, deflater, isal_packer, pack_small
from converter.streams.repack import Packing, repack
from converter.streams.workers import Workers

SYMBOLS = bytes(value & 31 for value in range(256))
EVERY_LEVEL = [
    pytest.param(Compression(codec, level), id=f"{codec}:{level}")
    for codec in ("gzip", "zstd")
    for level in (None, *COMPRESSION_LEVELS[codec])
]


def pack(blocks: list[bytes], compression: Compression, jobs: int = 1) -> bytes:
    with Workers(jobs) as workers:
        return b"".join(compress(blocks, compression, workers))


def recurring(number: int) -> bytes:
    """A block whose first four bytes, second to fifth, and third to sixth come again later."""
    chance = random.Random(number)
    head = chance.randbytes(6)
    parts = (head, head[:4], head[1:5], head[2:])
    return b"".join(part + chance.randbytes(300) for part in parts).translate(SYMBOLS)


@pytest.mark.parametrize("level", [pytest.param(level, id=f"level {level}") for level in (0, 1, 2)])
def test_gzip_is_the_same_wherever_its_compressor_lies(level: int) -> None:
    pack_block = deflater(level)
    for number in range(250):
        block = recurring(number)
        elsewhere, packed = [], set()
        for _ in range(100):
            packed.add(pack_block(block))
            elsewhere.append(isal_packer(level))  # takes the place that was just left, so the next has another
        assert len(packed) == 1


def test_a_former_record_is_remade_with_the_bytes_of_nearly_all_addresses() -> None:
    packing = Packing(by="transship", level=1)
    with Workers(1) as workers:
        for number in range(150):
            block = recurring(number)
            elsewhere, packed = [], set()
            for _ in range(40):
                packed.add(b"".join(repack([block], packing, workers)))
                elsewhere.append(isal_packer(1))
            former = Counter(one.compress(block) + one.flush(Z_SYNC_FLUSH) for one in elsewhere[:9])
            (remade,) = packed
            assert former.most_common(1)[0][0] in remade


def streams() -> st.SearchStrategy[bytes]:
    """Text that repeats itself at every distance, up to a few frames long."""

    def made(seed: int, words: int, size: int) -> bytes:
        chance = random.Random(seed)
        known = [chance.randbytes(chance.randint(1, 40)).translate(SYMBOLS) for _ in range(words)]
        text = b" ".join(chance.choices(known, k=2000))
        return (text * (size // len(text) + 1))[:size]

    return st.builds(
        made, st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([0, 7, 8, 9, 5000, MIB + 9, 9 * MIB])
    )


@pytest.mark.parametrize("compression", EVERY_LEVEL)
@settings(max_examples=12)
@given(data=streams(), cuts=st.lists(st.floats(0, 1), max_size=4), jobs=st.integers(1, 4), held=st.integers(0, 9))
def test_every_level_gives_the_same_bytes_however_it_is_run(
    compression: Compression, data: bytes, cuts: list[float], jobs: int, held: int
) -> None:
    once = pack([data] if data else [], compression)
    edges = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})
    elsewhere = [isal_packer(2) for _ in range(held)]
    assert pack([data[start:end] for start, end in pairwise(edges)], compression, jobs) == once
    del elsewhere


@pytest.mark.parametrize(
    "packing",
    [
        *(pytest.param(Packing(by="zlib", level=level), id=f"zlib {level}") for level in range(1, 10)),
        *(pytest.param(Packing(by="pigz", level=level), id=f"pigz {level}") for level in range(1, 10)),
        *(pytest.param(Packing(by="bzip2", level=level), id=f"bzip2 {level}") for level in (1, 9)),
        *(pytest.param(Packing(by="xz", level=level, check=4), id=f"xz {level}") for level in (0, 3, 6, 16)),
    ],
)
def test_what_a_record_says_is_packed_alike_wherever_its_compressor_lies(packing: Packing) -> None:
    block = recurring(1) * 200
    elsewhere, packed = [], set()
    with Workers(2) as workers:
        for number in range(4):
            elsewhere += [isal_packer(2) for _ in range(number * 7)]
            packed.add(b"".join(repack(cut(block), packing, workers)))
    assert len(packed) == 1


def test_a_recipe_is_packed_alike_however_it_was_cut() -> None:
    data = recurring(2) * 3000
    assert b"".join(pack_small([data])) == b"".join(pack_small(cut(data)))


@pytest.mark.parametrize(
    "text", ["gzip", "gzip:1", "gzip:3", "gzip:6", "gzip:9", "zstd", "zstd:1", "zstd:5", "zstd:9", "zstd:13"]
)
def test_streams_that_share_workers_do_not_change_each_other(text: str) -> None:
    compression = Compression.parse(text)
    data = [recurring(number) * (number * 97) for number in range(6)]
    alone = [pack([one], compression) for one in data]

    def all_at_once(_: int) -> list[bytes]:
        with Workers(3) as workers, ThreadPoolExecutor(len(data)) as threads:
            return list(threads.map(lambda one: b"".join(compress(cut(one), compression, workers)), data))

    for together in map(all_at_once, range(3)):
        assert together == alone


def cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 65_537):
        yield data[start : start + 65_537]
