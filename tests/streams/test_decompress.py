import bz2
import gzip
import lzma
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
import zstandard
from hypothesis import given, strategies as st

from converter.errors import Invalid, LimitExceeded, Unsupported
from converter.model import media_types as types
from converter.model.limits import KIB, MIB, Limits, enforce_limits
from converter.streams.blocks import Block, closing
from converter.streams.decompress import decompress, decompress_any

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
CODECS = [pytest.param(codec, id=codec) for codec in PACK]
PADDED = [pytest.param(codec, id=codec) for codec in PACK if codec != "zstd"]
SKIPPABLE = b"\x5a\x2a\x4d\x18\x05\0\0\0notes"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def noise(size: int) -> bytes:
    """Bytes that shrink to about half."""
    return random.Random(size).randbytes(size).translate(bytes(value & 15 for value in range(256)))


def test_every_codec_is_tried() -> None:
    assert {"none", *PACK} == types.CODECS.keys()


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=300), size=st.integers(1, 100))
def test_what_was_packed_comes_back(codec: str, data: bytes, size: int) -> None:
    assert b"".join(decompress(cut(PACK[codec](data), size), codec)) == data


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_are_of_a_useful_size(codec: str) -> None:
    data = noise(3 * MIB + 5)
    blocks = list(decompress(cut(PACK[codec](data), 100_000), codec))
    assert b"".join(blocks) == data
    assert all(256 * KIB <= len(block) <= MIB + 256 * KIB for block in blocks[:-1])


@pytest.mark.parametrize("codec", CODECS)
def test_streams_that_follow_each_other_are_one(codec: str) -> None:
    packed = b"".join(PACK[codec](data) for data in (b"one", b"", noise(5000), b"three"))
    for size in (1, 7, 100_000):
        assert b"".join(decompress(cut(packed, size), codec)) == b"one" + noise(5000) + b"three"


@pytest.mark.parametrize("codec", CODECS)
def test_thousands_of_tiny_streams_are_read_in_no_time(codec: str) -> None:
    packed = PACK[codec](b"x") * 5000
    assert b"".join(decompress([packed], codec)) == b"x" * 5000


@pytest.mark.parametrize("codec", PADDED)
def test_zeros_at_the_end_are_padding(codec: str) -> None:
    packed = PACK[codec](b"data") + bytes(100_000)
    assert b"".join(decompress(cut(packed, 3000), codec)) == b"data"


def test_skippable_frames_are_skipped() -> None:
    packed = SKIPPABLE + PACK["zstd"](b"one") + SKIPPABLE + SKIPPABLE + PACK["zstd"](b"two") + SKIPPABLE
    for size in (1, 5, 1000):
        assert b"".join(decompress(cut(packed, size), "zstd")) == b"onetwo"


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_cut_at_any_byte_is_refused(codec: str) -> None:
    packed = PACK[codec](b"some data, some more data")
    for length in range(len(packed)):
        with pytest.raises(Invalid, match=f"unexpected end of the {codec} stream after {length} bytes"):
            list(decompress([packed[:length]] if length else [], codec))


@pytest.mark.parametrize("codec", CODECS)
def test_a_second_stream_cut_at_any_byte_is_refused(codec: str) -> None:
    first, second = PACK[codec](noise(1000)), PACK[codec](b"two")
    for length in range(1, len(second)):
        with pytest.raises(Invalid, match=f"{codec} stream"):
            list(decompress([first + second[:length]], codec))


def test_a_skippable_frame_cut_at_any_byte_is_refused() -> None:
    for length in range(1, len(SKIPPABLE)):
        with pytest.raises(Invalid, match="unexpected end"):
            list(decompress([PACK["zstd"](b"one") + SKIPPABLE[:length]], "zstd"))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("tail", [pytest.param(b"x", id="one byte"), pytest.param(b"garbage" * 99, id="many bytes")])
def test_what_follows_a_stream_and_is_none_is_refused(codec: str, tail: bytes) -> None:
    with pytest.raises(Invalid, match=f"{codec} stream"):
        list(decompress([PACK[codec](b"data") + tail], codec))


@pytest.mark.parametrize("codec", CODECS)
def test_another_codec_than_was_said_is_refused(codec: str) -> None:
    with pytest.raises(Invalid, match=f"broken {codec} stream"):
        list(decompress([b"this is no compressed data at all"], codec))


def test_zeros_are_no_gzip_stream() -> None:
    with pytest.raises(Invalid):
        list(decompress([bytes(100)], "gzip"))


@pytest.mark.parametrize("codec", CODECS)
def test_a_flipped_bit_never_gives_other_bytes(codec: str) -> None:
    data = noise(400)
    packed = PACK[codec](data)
    for at in range(len(packed)):
        broken = packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :]
        try:
            got = b"".join(decompress([broken], codec))
        except (Invalid, LimitExceeded):
            continue
        # A time, a name or a hint in the header: nothing that the bytes depend on.
        assert got == data


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_beyond_the_limit_are_refused(codec: str) -> None:
    with enforce_limits(Limits(layer=MIB)):
        with pytest.raises(LimitExceeded, match=r"when decompressed: at most .* \(limit: layer\)"):
            list(decompress([PACK[codec](bytes(2 * MIB))], codec))
        assert sum(map(len, decompress([PACK[codec](bytes(MIB))], codec))) == MIB


def test_a_tar_is_bounded_too() -> None:
    with enforce_limits(Limits(layer=MIB)), pytest.raises(LimitExceeded, match="limit: layer"):
        list(decompress([bytes(2 * MIB)], "none"))


def bomb(codec: str) -> Iterator[Block]:
    """A terabyte of zeros, packed."""
    gib = 1024 * MIB
    if codec == "zstd":
        writer = zstandard.ZstdCompressor().compressobj()
        yield from (writer.compress(bytes(8 * MIB)) for _ in range(1024 * gib // (8 * MIB)))
    elif codec == "bzip2":
        stream = bz2.compress(bytes(45 * MIB))
        yield from (stream for _ in range(10_000))
    elif codec == "xz":
        stream = lzma.compress(bytes(32 * MIB), preset=0)
        yield from (stream for _ in range(10_000))
    else:
        squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield from (squeeze.compress(bytes(MIB)) for _ in range(10_000))


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_early(codec: str) -> None:
    with enforce_limits(Limits(ratio=900)), pytest.raises(LimitExceeded, match=r"times as many \(limit: ratio\)"):
        for _ in decompress(bomb(codec), codec):
            pass


def looking_back(log: int) -> bytes:
    """A frame with a window of 2^log bytes."""
    packer = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=log)
    ).compressobj()
    return packer.compress(b"data") + packer.flush()


@pytest.mark.parametrize(
    "codec, packed, taken",
    [
        pytest.param("xz", lzma.compress(b"data", preset=9), True, id="xz at its best"),
        pytest.param("zstd", looking_back(26), True, id="zstd that looks far back"),
        pytest.param("zstd", looking_back(27), False, id="zstd that looks further than two cores may at once"),
    ],
)
def test_windows_that_are_taken_by_default(codec: str, packed: bytes, taken: bool) -> None:
    with nullcontext() if taken else pytest.raises(LimitExceeded, match="limit: window"):
        assert b"".join(decompress([packed], codec)) == b"data"


def test_a_zstd_window_beyond_the_limit_is_refused() -> None:
    packed = looking_back(27)
    with enforce_limits(Limits(window=128 * MIB)):
        assert b"".join(decompress([packed], "zstd")) == b"data"
    with enforce_limits(Limits(window=64 * MIB)), pytest.raises(LimitExceeded, match="limit: window"):
        list(decompress([packed], "zstd"))


def test_an_xz_dictionary_beyond_the_limit_is_refused() -> None:
    packed = lzma.compress(b"data", preset=9)
    assert b"".join(decompress([packed], "xz")) == b"data"
    with enforce_limits(Limits(window=16 * MIB)), pytest.raises(LimitExceeded, match="limit: window"):
        list(decompress([packed], "xz"))


def test_a_reserved_zstd_block_is_refused() -> None:
    with pytest.raises(Invalid, match="a block of the reserved type"):
        list(decompress([b"\x28\xb5\x2f\xfd\x00\x58\x07\x00\x00"], "zstd"))


def test_an_encrypted_image_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="encrypted with OpenPGP: decrypt it first"):
        decompress([b"\x8c\x0d\x04"], "openpgp")


@pytest.mark.parametrize("codec", CODECS)
def test_whoever_stops_early_closes_the_source(codec: str) -> None:
    closed = []

    def source() -> Iterator[Block]:
        try:
            while True:
                yield PACK[codec](noise(2 * MIB))
        finally:
            closed.append(True)

    with closing(decompress(source(), codec)) as blocks:
        next(blocks)
    assert closed == [True]


@pytest.mark.parametrize("codec", CODECS)
def test_an_error_of_the_source_is_not_taken_for_broken_data(codec: str) -> None:
    def source() -> Iterator[Block]:
        yield PACK[codec](noise(10_000))[:2000]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        list(decompress(source(), codec))


@pytest.mark.parametrize("codec", CODECS)
def test_plain_finds_the_codec(codec: str) -> None:
    found, blocks = decompress_any(cut(PACK[codec](bytes(1024)), 5))
    assert found == codec
    assert b"".join(blocks) == bytes(1024)


def test_plain_passes_a_tar_and_refuses_what_is_none() -> None:
    found, blocks = decompress_any([bytes(1024)])
    assert (found, b"".join(blocks)) == ("none", bytes(1024))
    with pytest.raises(Invalid, match=r'data that starts with "\{\}" is not a tar'):
        decompress_any([b"{}"])
    found, blocks = decompress_any([])
    assert (found, b"".join(blocks)) == ("none", b"")


@pytest.mark.parametrize(
    "codec, command",
    [
        pytest.param("gzip", ["gzip", "-9"], id="gzip"),
        pytest.param("gzip", ["pigz", "-p", "2", "-b", "128"], id="pigz"),
        pytest.param("bzip2", ["bzip2"], id="bzip2"),
        pytest.param("xz", ["xz", "-T2", "--block-size=300000"], id="xz with blocks"),
        pytest.param("zstd", ["zstd", "-T2", "-19", "--long=24"], id="zstd with a long window"),
    ],
)
def test_what_the_usual_tools_write_is_read(codec: str, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed (bin/test installs it)")
    data = noise(1_500_000)
    packed = subprocess.run([*command, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert b"".join(decompress(cut(packed, 4096), codec)) == data


def test_a_member_whose_name_is_megabytes_long_is_refused() -> None:
    packed = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 3_000_000 + b"\0" + zlib.compress(b"data", wbits=-15)
    with pytest.raises(Invalid, match=r"broken gzip stream \(Gzip header exceeds input buffer size"):
        list(decompress(cut(packed, 100_000), "gzip"))
