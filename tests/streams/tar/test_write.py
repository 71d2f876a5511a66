from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, strategies as st

from converter.streams.tar.fields import DIR, END, padding_bytes
from converter.streams.tar.pax import make_header, split_name
from converter.streams.tar.scan import scan_entries

NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and b"/" not in name and name not in {b".", b".."}
)


@given(
    name=st.lists(NAMES, min_size=1, max_size=3).map(b"/".join),
    linkname=NAMES,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**40),
    gid=st.integers(0, 2**40),
    uname=st.sampled_from([b"", b"joe", b"j" * 40]),
    gname=st.sampled_from([b"", b"users"]),
    mtime_ns=st.integers(-(10**18), 10**19),
)
def test_what_is_written_is_read(name: bytes, linkname: bytes, **fields: Any) -> None:
    (entry,) = scan_entries([make_header(name=name, linkname=linkname, type=b"2", **fields)])
    assert (entry.name, entry.linkname) == (name, linkname)
    assert {key: getattr(entry, key) for key in fields} == fields


@given(st.lists(NAMES, min_size=1, max_size=3).map(b"/".join), st.binary(max_size=2000))
def test_the_standard_library_reads_what_is_written(name: bytes, data: bytes) -> None:
    archive = make_header(name=name, size=len(data)) + data + padding_bytes(len(data)) + END
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as tar:
        (info,) = tar.getmembers()
        stream = tar.extractfile(info)
        assert stream is not None
        assert (info.name.encode("utf-8", "surrogateescape"), stream.read()) == (name.rstrip(b"/"), data)


def test_the_same_call_makes_the_same_bytes() -> None:
    records = {b"b": b"2", b"a": b"1"}
    again = dict(reversed(records.items()))
    assert make_header(name=b"f", records=records) == make_header(name=b"f", records=again)


def test_plain_entries_are_one_block_of_ustar() -> None:
    raw = make_header(name=b"etc/passwd", size=10, mtime_ns=10**18)
    assert len(raw) == 512
    assert raw[257:265] == b"ustar\x0000"


def test_a_directory_ends_in_a_slash() -> None:
    assert make_header(name=b"d", type=DIR)[:3] == b"d/\0"
    assert make_header(name=b"d/", type=DIR)[:3] == b"d/\0"


PLACES = [
    pytest.param(b"f", (b"", b"f"), id="a short name needs no prefix"),
    pytest.param(b"d/" + b"n" * 99, (b"d", b"n" * 99), id="a long one is cut at a slash"),
    pytest.param(b"n" * 101, None, id="a long last part fits nowhere"),
    pytest.param(b"/" + b"n" * 100, None, id="an empty prefix is none"),
    pytest.param(b"d" * 156 + b"/f", None, id="a prefix has 155 bytes at most"),
    pytest.param(b"d" * 120 + b"/", None, id="a directory's own slash is no place to cut"),
]


@pytest.mark.parametrize("name, want", PLACES)
def test_split(name: bytes, want: tuple[bytes, bytes] | None) -> None:
    assert split_name(name) == want
