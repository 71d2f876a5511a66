import argparse
import gzip
import inspect
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import typing
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given, strategies as st

from converter.model.content import COMPRESSION_LEVELS, Compression
from converter.model.limits import MIB
from converter.streams.blocks import Block, closing
from converter.streams.compress import compress, packing_engine
from converter.streams.decompress import HEAD, decompress, detect_codec
from converter.streams.workers import Workers

TEXTS = ["gzip", "gzip:1", "gzip:2", "gzip:3", "gzip:6", "gzip:9", "zstd", "zstd:1", "zstd:7"]
PACKED = [pytest.param(Compression.parse(text), id=text) for text in TEXTS]
DATA = random.Random(1).randbytes(5 * MIB + 12345).translate(bytes(value & 15 for value in range(256)))


def pack(blocks: list[bytes], compression: Compression, jobs: int = 2) -> bytes:
    with Workers(jobs) as workers:
        return b"".join(compress(blocks, compression, workers))


def unpack(packed: bytes, compression: Compression) -> bytes:
    return b"".join(decompress([packed], compression.codec))


@pytest.mark.parametrize("codec", [codec for codec in COMPRESSION_LEVELS if codec != "keep"])
def test_every_codec_is_known_by_what_is_written(codec: str) -> None:
    assert detect_codec(pack([bytes(HEAD)], Compression(codec))) == codec


@pytest.mark.parametrize("compression", PACKED)
def test_the_bytes_depend_neither_on_the_jobs_nor_on_how_the_data_was_cut(compression: Compression) -> None:
    once = pack([DATA], compression, 1)
    assert unpack(once, compression) == DATA
    assert pack([DATA], compression, 1) == once
    assert pack([DATA[at : at + 77_777] for at in range(0, len(DATA), 77_777)], compression, 2) == once
    assert pack([DATA[: 3 * MIB], DATA[3 * MIB :]], compression, 4) == once


@pytest.mark.parametrize("compression", PACKED)
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=5))
def test_any_data_cut_anywhere_comes_back(compression: Compression, data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    blocks = [data[start:end] for start, end in pairwise(edges) if data[start:end]]
    if b"".join(blocks) != data:
        blocks = [data]
    packed = pack(blocks, compression, 1)
    assert unpack(packed, compression) == data
    assert packed == pack([data] if data else [], compression, 2)


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(0, id="nothing"),
        pytest.param(1, id="one byte"),
        pytest.param(MIB - 1, id="a block less one"),
        pytest.param(MIB, id="one block"),
        pytest.param(MIB + 1, id="a block and one"),
        pytest.param(2 * MIB, id="two blocks"),
    ],
)
def test_sizes_around_a_block(compression: Compression, size: int) -> None:
    packed = pack([DATA[:size]] if size else [], compression)
    assert unpack(packed, compression) == DATA[:size]
    if compression.codec == "gzip":
        assert gzip.decompress(packed) == DATA[:size]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(3 * MIB), id="zeros"),
        pytest.param(random.Random(2).randbytes(3 * MIB), id="noise"),
        pytest.param(b"ab" * MIB, id="a pattern"),
    ],
)
@pytest.mark.parametrize("compression", PACKED)
def test_easy_and_hopeless_data(compression: Compression, data: bytes) -> None:
    packed = pack([data], compression)
    assert unpack(packed, compression) == data
    assert len(packed) < len(data) * 1.001 + 100


def test_gzip_is_one_member_that_tells_neither_time_nor_name_nor_system() -> None:
    packed = pack([DATA], Compression("gzip"))
    assert packed[:10] == bytes.fromhex("1f8b08 00 00000000 00 ff")
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed) == DATA
    assert reader.eof
    assert reader.unused_data == b""


def test_zstd_frames_have_their_length_and_a_checksum() -> None:
    data = DATA * 2
    packed = pack([data], Compression("zstd"))
    lengths: list[int] = []
    while packed:
        frame = zstandard.get_frame_parameters(packed)
        assert frame.has_checksum
        lengths.append(frame.content_size)
        reader = zstandard.ZstdDecompressor().decompressobj()
        assert reader.decompress(packed) == data[sum(lengths) - frame.content_size :][: frame.content_size]
        packed = reader.unused_data
    assert sum(lengths) == len(data)
    assert set(lengths[:-1]) <= {5 * MIB}


def test_streams_of_zstd_use_the_same_buffers_and_leave_nothing_of_one_in_another() -> None:
    zstd = Compression(codec="zstd")
    data = [random.Random(size).randbytes(size) for size in (11 * MIB, 6 * MIB, 1, 5 * MIB)]
    with Workers(2) as workers:
        packed = [b"".join(compress([part], zstd, workers)) for part in data]
        buffers = [workers.spares("frames", bytearray).take() for _ in range(4)]
    assert [b"".join(decompress([part], "zstd")) for part in packed] == data
    assert not all(buffers), "three suffice: two that are packed, and one that is filled"


def test_a_higher_level_gives_less() -> None:
    text = b"".join(inspect.getsource(module).encode() for module in (argparse, inspect, subprocess, tarfile, typing))
    sizes = [len(pack([text], Compression("gzip", level))) for level in (1, 4, 6, 9)]
    assert sizes == sorted(sizes, reverse=True)


def test_none_passes_blocks_as_they_are() -> None:
    with Workers(1) as workers:
        blocks: list[Block] = [b"one", memoryview(b"two")]
        assert list(compress(blocks, Compression("none"), workers)) == blocks


@pytest.mark.parametrize("text", ["gzip", "gzip:6", "zstd", "none"])
def test_whoever_stops_early_closes_the_source_and_leaves_no_thread(text: str) -> None:
    closed = []

    def source() -> Iterator[Block]:
        try:
            while True:
                yield DATA[:MIB]
        finally:
            closed.append(True)

    with Workers(2) as workers:
        with closing(compress(source(), Compression.parse(text), workers)) as blocks:
            for _ in range(4):
                next(blocks)
        assert closed == [True]
    assert not [thread for thread in threading.enumerate() if thread.name == "blocks"]


@pytest.mark.parametrize("text", ["gzip", "gzip:6", "zstd", "none"])
def test_an_error_of_the_source_comes_through(text: str) -> None:
    def source() -> Iterator[Block]:
        yield DATA
        raise OSError(5, "Input/output error")

    with Workers(2) as workers, pytest.raises(OSError, match="Input/output error"):
        list(compress(source(), Compression.parse(text), workers))


@pytest.mark.parametrize(
    "command, compression",
    [
        pytest.param(["gzip", "-dc"], Compression("gzip"), id="gzip reads isal's"),
        pytest.param(["gzip", "-dc"], Compression("gzip", 6), id="gzip reads zlib-ng's"),
        pytest.param(["pigz", "-dc"], Compression("gzip"), id="pigz"),
        pytest.param(["zstd", "-dc"], Compression("zstd"), id="zstd"),
    ],
)
def test_the_usual_tools_read_it(command: list[str], compression: Compression) -> None:
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed (bin/test installs it)")
    packed = pack([DATA], compression)
    assert subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=True).stdout == DATA


@pytest.mark.parametrize(
    "text, engine_is",
    [
        pytest.param("gzip", r"isa-l \d+\.\d+\.\d+ \w+ level 2 block 1048576 head 8", id="gzip by itself is isal's"),
        pytest.param("gzip:1", r"isa-l \d+\.\d+\.\d+ \w+ level 1 block 1048576 head 8", id="level 1 too"),
        pytest.param("gzip:3", r"zlib-ng \d+\.\d+\.\d+ level 3 block 1048576", id="from 3 on it is zlib-ng's"),
        pytest.param("zstd:5", r"zstd \d+\.\d+\.\d+ level 5 whole frame 5242880 window_log 23", id="zstd"),
        pytest.param(
            "zstd", r"zstd \S+ level 3 whole frame 5242880 window_log 23 chain_log 14 hash_log 18", id="zstd by default"
        ),
        pytest.param("zstd:1", r"zstd \S+ level 1 whole frame 2097152 window_log 18", id="zstd in a hurry"),
        pytest.param("none", r"", id="nothing decides where nothing is packed"),
    ],
)
def test_an_engine_has_a_name(text: str, engine_is: str) -> None:
    assert re.fullmatch(engine_is, packing_engine(Compression.parse(text)))


@pytest.mark.parametrize(
    "module",
    ["compress", "decompress", "read_ahead", "blocks", "workers"],
    ids=lambda name: f"{name}",
)
def test_importing_a_stage_imports_no_codec(module: str) -> None:
    script = f"import sys, converter.streams.{module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.split()
    heavy = {"isal", "zlib_ng", "zstandard", "bz2", "lzma", "concurrent.futures", "logging", "tarfile", "asyncio"}
    assert not heavy & set(loaded)
