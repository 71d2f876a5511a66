from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from converter.errors import Invalid, LimitExceeded
from converter.streams.tar.fields import padding_bytes
from converter.streams.tar.headers import add_prefix
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.sparse import file_content, real_size
from tests.strategies.tar import Region, cuts, old_gnu, pax_sparse, pieces
from tests.trees import tree

VERSIONS = st.sampled_from(["old GNU", "0.0", "0.1", "1.0"])
MOST = 2**20


def made(regions: list[Region], size: int, version: str) -> bytes:
    return old_gnu(b"f", regions, size) if version == "old GNU" else pax_sparse(b"f", regions, size, version)


def dense(regions: list[Region], size: int) -> bytes:
    data = bytearray(size)
    for offset, piece in regions:
        data[offset : offset + len(piece)] = piece
    return bytes(data)


def placed(steps: list[tuple[int, bytes]]) -> list[Region]:
    regions = []
    end = 0
    for hole, piece in steps:
        regions.append((end + hole, piece))
        end += hole + len(piece)
    return regions


regions = st.lists(st.tuples(st.integers(1, 5000), st.binary(min_size=1, max_size=600)), max_size=60).map(placed)


@given(regions, st.integers(0, 3000), VERSIONS, cuts)
def test_the_holes_are_filled_in(regions: list[Region], hole: int, version: str, where: list[int]) -> None:
    size = max((offset + len(piece) for offset, piece in regions), default=0) + hole + 1
    if not regions:
        regions = [(size, b"")]
    for entry in scan_entries(pieces(made(regions, size, version), where)):
        assert (entry.name, entry.sparse, real_size(entry)) == (b"f", True, size)
        assert b"".join(file_content(entry, MOST)) == dense(regions, size)


@given(regions, VERSIONS)
def test_a_sparse_file_and_a_dense_one_are_the_same_in_a_tree(regions: list[Region], version: str) -> None:
    regions = regions or [(7, b"")]
    size = regions[-1][0] + len(regions[-1][1])
    whole = make_header(name=b"f", size=size) + dense(regions, size) + padding_bytes(size)
    assert tree([lambda: [made(regions, size, version)]]) == tree([lambda: [whole]])


@given(regions, VERSIONS)
def test_a_prefix_reaches_the_name_of_a_sparse_file(regions: list[Region], version: str) -> None:
    for entry in scan_entries([made(regions or [(7, b"")], 10**6, version)]):
        raw = add_prefix(entry.own) + b"".join(entry.body)
        assert [again.name for again in scan_entries([raw])] == [b"rootfs/f"]


def sparse(text: bytes, size: int = 10) -> bytes:
    records = {b"GNU.sparse.map": text, b"GNU.sparse.size": b"%d" % size}
    return make_header(name=b"f", size=2, records=records) + b"ab" + padding_bytes(2)


def version_1(text: bytes, version: tuple[bytes, bytes] = (b"1", b"0"), **records: bytes) -> bytes:
    data = text + padding_bytes(len(text))
    told = dict(zip((b"GNU.sparse.major", b"GNU.sparse.minor"), version, strict=True)) | {b"GNU.sparse.realsize": b"10"}
    told |= {f"GNU.sparse.{key}".encode(): value for key, value in records.items()}
    return make_header(name=b"f", size=len(data), records={key: text for key, text in told.items() if text}) + data


BROKEN = [
    pytest.param(sparse(b"0,1"), "2 bytes of data: its map says 1", id="less data than there is"),
    pytest.param(sparse(b"0,3"), "2 bytes of data: its map says 3", id="more data than there is"),
    pytest.param(sparse(b"9,2"), "data from 9 to 11 is not between 0 and 10", id="data behind the end"),
    pytest.param(sparse(b"4,1,4,1"), "data from 4 to 5 is not between 5", id="data twice in one place"),
    pytest.param(sparse(b"1"), "pairs of decimal numbers", id="half a region"),
    pytest.param(sparse(b"1,-2"), "pairs of decimal numbers", id="a negative length"),
    pytest.param(version_1(b"x\n"), 'invalid count "x"', id="a count that is none"),
    pytest.param(version_1(b"9\n1\n"), "unexpected end of sparse map", id="a map that does not end"),
    pytest.param(version_1(b"1\n0\n0\n", (b"2", b"0")), 'version "2.0" without a map', id="another version"),
    pytest.param(version_1(b"1\n0\n0\n", (b"1", b"")), 'version "1." without a map', id="half a version"),
    pytest.param(version_1(b"1\n0\n0\n", (b"0", b"1")), 'version "0.1" without a map', id="a map that is missing"),
    pytest.param(version_1(b"1\n0\n0\n", map=b"0,1"), 'version "1.0" with a map', id="two maps"),
    pytest.param(version_1(b"1\n0\n0\n", size=b"9"), 'two sizes, "10" and "9"', id="two sizes"),
    pytest.param(make_header(name=b"f", records={b"GNU.sparse.name": b"s"}), 'version "."', id="a name and no map"),
    pytest.param(
        make_header(name=b"f", type=b"5", records={b"GNU.sparse.map": b"0,1"}),
        "not a regular file",
        id="a directory with a map",
    ),
]


@pytest.mark.parametrize("data, message", BROKEN)
def test_broken(data: bytes, message: str) -> None:
    scanned = scan_entries([data])
    with pytest.raises(Invalid, match=message):
        list(file_content(next(scanned), MOST))


BOMBS = [
    pytest.param(sparse(b"0,2", 2**60), "bytes of holes: at most", id="exabytes of holes"),
    pytest.param(version_1(b"999999999\n" + b"1\n" * 2**20), "bytes of a sparse map: at most", id="a map without end"),
]


@pytest.mark.parametrize("data, message", BOMBS)
def test_bombs(data: bytes, message: str) -> None:
    with pytest.raises(LimitExceeded, match=message):
        tree([lambda: [data]])
