from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

import pytest
from hypothesis import assume, given

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import Limits, enforce_limits
from converter.streams.blocks import Blocks
from converter.streams.tar import pax
from converter.streams.tar.entry import Cursor, Entry, FileCursor
from converter.streams.tar.fields import DIR, END, FILE, ZERO, clean_name, padding_bytes, with_checksum
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import Scanner, scan_entries
from tests.strategies.tar import File, archive, cuts, dialects, files, pieces

Row = tuple[bytes, bytes, int, int, int, int, bytes, bytes]


def ours(data: bytes, where: list[int]) -> list[Row]:
    return [
        (
            entry.name,
            entry.type,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns // 10**9,
            clean_name(entry.linkname),
            b"".join(entry.payload),
        )
        for entry in scan_entries(pieces(data, where))
    ]


def stdlib(data: bytes) -> list[Row]:
    rows: list[Row] = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for info in tar:
            stream = tar.extractfile(info) if info.isreg() else None
            rows.append(
                (
                    clean_name(os_bytes(info.name)),
                    info.type.replace(b"\0", b"0"),
                    info.mode,
                    info.uid,
                    info.gid,
                    int(info.mtime // 1),
                    clean_name(os_bytes(info.linkname)) if info.islnk() or info.issym() else b"",
                    stream.read() if stream else b"",
                )
            )
    return rows


def os_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@given(files, dialects, cuts)
def test_the_scanner_agrees_with_the_standard_library(listing: list[File], dialect: str, where: list[int]) -> None:
    try:
        data = archive(listing, dialect)
    except ValueError:  # ustar cannot hold such a name
        assume(False)
    assert ours(data, where) == stdlib(data)


@given(files, dialects, cuts)
def test_what_is_passed_on_is_the_archive_itself(listing: list[File], dialect: str, where: list[int]) -> None:
    try:
        data = archive(listing, dialect)
    except ValueError:
        assume(False)
    scanner = Scanner(Cursor(pieces(data, where)))
    out = b"".join(block for entry in scanner for block in (entry.raw, *entry.body))
    assert out + b"".join(scanner.trailing()) == data


def gnu(head: bytes) -> bytes:
    """The header with GNU's magic."""
    return with_checksum(head[:257] + b"ustar  \0" + head[265:])


def v7(head: bytes) -> bytes:
    """The header without any magic, as it was before 1988."""
    return with_checksum(head[:257] + bytes(255))


def field(head: bytes, start: int, value: bytes) -> bytes:
    return with_checksum(head[:start] + value + head[start + len(value) :])


def only(data: bytes) -> Entry:
    (entry,) = scan_entries([data])
    return entry


def before(flag: bytes, data: bytes) -> bytes:
    """A record to put before a header."""
    return make_header(name=b"record", type=flag, size=len(data)) + data + padding_bytes(len(data))


PLAIN = make_header(name=b"f")
BIG = 10 * 2**30

NAMES = [
    pytest.param(make_header(name=b"./a/"), b"a", id="./ before and / behind"),
    pytest.param(make_header(name=b"/a"), b"a", id="an absolute name"),
    pytest.param(make_header(name=b"./", type=b"5"), b"", id="the root"),
    pytest.param(make_header(name=b"/", type=b"5"), b"", id="the root with a slash"),
    pytest.param(make_header(name=b".", type=b"5"), b"", id="the root as a dot"),
    pytest.param(make_header(name=b"a//b/./c"), b"a/b/c", id="empty parts and dots"),
    pytest.param(make_header(name=b".a/..b"), b".a/..b", id="dot files"),
    pytest.param(make_header(name=b"a/../b"), b"a/../b", id="two dots stay for the caller to judge"),
    pytest.param(make_header(name=b"\xff\xfe"), b"\xff\xfe", id="bytes that are no UTF-8"),
    pytest.param(make_header(name=b"n" * 100), b"n" * 100, id="a name that fills its field"),
    pytest.param(make_header(name=b"d" * 155 + b"/" + b"n" * 100), b"d" * 155 + b"/" + b"n" * 100, id="a ustar prefix"),
    pytest.param(gnu(field(PLAIN, 345, b"00000000001\0")), b"f", id="GNU's access time is no prefix"),
    pytest.param(gnu(field(PLAIN, 345, b"old/docker\0")), b"old/docker/f", id="the prefix of Go before 1.8"),
    pytest.param(v7(field(PLAIN, 345, b"garbage")), b"f", id="v7 has no prefix"),
    pytest.param(before(b"L", b"long\0") + gnu(PLAIN), b"long", id="a GNU long name"),
    pytest.param(before(b"L", b"long") + gnu(PLAIN), b"long", id="a GNU long name without its NUL"),
    pytest.param(before(b"x", b"13 path=long\n") + PLAIN, b"long", id="a PAX path"),
    pytest.param(before(b"X", b"13 path=long\n") + PLAIN, b"long", id="a PAX path of Solaris"),
    pytest.param(
        before(b"x", b"21 GNU.sparse.name=s\n22 GNU.sparse.map=0,0\n") + PLAIN, b"s", id="the name of a sparse file"
    ),
]


@pytest.mark.parametrize("data, want", NAMES)
def test_names(data: bytes, want: bytes) -> None:
    assert only(data).name == want


TYPES = [
    pytest.param(v7(field(PLAIN, 156, b"\0")), FILE, id="v7 writes files as NUL"),
    pytest.param(field(PLAIN, 156, b"7"), FILE, id="a contiguous file is a file"),
    pytest.param(v7(field(make_header(name=b"d/"), 156, b"\0")), DIR, id="v7 writes directories as names with a slash"),
    pytest.param(gnu(field(PLAIN, 156, b"D")), DIR, id="GNU's incremental directory"),
    pytest.param(gnu(field(PLAIN, 156, b"V")), b"V", id="GNU's volume label is no file"),
    pytest.param(gnu(field(PLAIN, 156, b"M")), b"M", id="GNU's rest of a file of another volume is none of this one"),
]


@pytest.mark.parametrize("data, want", TYPES)
def test_types(data: bytes, want: bytes) -> None:
    assert only(data).type == want


NUMBERS = [
    pytest.param(PLAIN, "mode", 0o644, id="octal with zeros before"),
    pytest.param(field(PLAIN, 100, b"   755 \0"), "mode", 0o755, id="octal with spaces around"),
    pytest.param(field(PLAIN, 108, b"\0" * 8), "uid", 0, id="an empty field is zero"),
    pytest.param(field(PLAIN, 108, b"\x80\0\0\0\x80\0\0\1"), "uid", 2**31 + 1, id="base-256"),
    pytest.param(field(PLAIN, 116, b"\xff" * 8), "gid", -1, id="negative base-256"),
    pytest.param(field(PLAIN, 136, b"\xff" * 12), "mtime_ns", -(10**9), id="a time before 1970"),
    pytest.param(make_header(name=b"f", uid=2**40), "uid", 2**40, id="a PAX uid"),
    pytest.param(
        make_header(name=b"f", mtime_ns=1_500_000_001), "mtime_ns", 1_500_000_001, id="a time below the second"
    ),
    pytest.param(make_header(name=b"f", mtime_ns=-1_500_000_000), "mtime_ns", -1_500_000_000, id="... before 1970"),
    pytest.param(make_header(name=b"f", records={b"mtime": b"1.0000000019"}), "mtime_ns", 10**9 + 1, id="rounded down"),
    pytest.param(
        make_header(name=b"f", records={b"mtime": b"-1.0000000019"}), "mtime_ns", -(10**9) - 2, id="also below 0"
    ),
    pytest.param(make_header(name=b"f", type=b"1", linkname=b"x", size=7), "size", 0, id="a link has no payload"),
    pytest.param(make_header(name=b"f", type=b"3", device=(8, 1)), "device", (8, 1), id="a device"),
]


@pytest.mark.parametrize("data, what, want", NUMBERS)
def test_numbers(data: bytes, what: str, want: object) -> None:
    assert getattr(only(data), what) == want


SIZES = [
    pytest.param(make_header(name=b"big", size=BIG), id="in a PAX record"),
    pytest.param(field(PLAIN, 124, b"\x80" + BIG.to_bytes(11, "big")), id="in base-256"),
]


@pytest.mark.parametrize("data", SIZES)
def test_a_size_over_8_gib_is_read_and_streamed(data: bytes) -> None:
    block = bytes(64 * 2**20)

    def blocks() -> Blocks:
        yield data
        for _ in range(BIG // len(block)):
            yield block
        yield PLAIN

    first, second = ((entry.size, entry.name) for entry in scan_entries(blocks()))
    assert first[0] == BIG
    assert second == (0, b"f")


def test_all_of_pax_is_there() -> None:
    records = {b"SCHILY.xattr.user.a": b"\0b\n", b"LIBARCHIVE.creationtime": b"1.5", b"uname": b"joe"}
    entry = only(make_header(name=b"f", records=records, gname=b"users"))
    assert dict(entry.pax) == records
    assert entry.xattrs == {b"user.a": b"\0b\n"}
    assert (entry.uname, entry.gname) == (b"joe", b"users")


def test_global_records_hold_until_they_are_changed_and_their_own_win() -> None:
    data = b"".join(
        (
            before(b"g", b"15 uname=alice\n"),
            PLAIN,
            make_header(name=b"g", records={b"uname": b"bob"}),
            PLAIN,
            before(b"g", b"9 uname=\n"),
            PLAIN,
        )
    )
    assert [entry.uname for entry in scan_entries([data])] == [b"alice", b"bob", b"alice", b""]


DAMAGED = [
    pytest.param(
        PLAIN[:400],
        "unexpected end of header: expected 512 bytes at byte 0, found 400: it is cut off",
        id="a header that ends early",
    ),
    pytest.param(
        PLAIN[:1] + b"x" + PLAIN[2:], "checksum mismatch: expected 3811, computed 3931", id="a wrong checksum"
    ),
    pytest.param(
        PLAIN[:148] + b"garbage!" + PLAIN[156:], 'invalid checksum "garbage!"', id="a checksum that is no number"
    ),
    pytest.param(field(PLAIN, 124, b"12x"), '"size": invalid number', id="a size that is no number"),
    pytest.param(field(PLAIN, 124, b"00000000009\0"), '"size": invalid number', id="a size with a nine"),
    pytest.param(field(PLAIN, 124, b"-0000000001\0"), '"size": invalid number', id="a negative size in octal"),
    pytest.param(field(PLAIN, 124, b"\xff" * 12), "negative size -1", id="a negative size in base-256"),
    pytest.param(
        before(b"x", b"10 size=-1\n"[:10]) + PLAIN, "no line feed at its length of 10", id="a PAX length too short"
    ),
    pytest.param(before(b"x", b"11 size=-1\n") + PLAIN, "negative size -1", id="a negative PAX size"),
    pytest.param(before(b"x", b"99 path=a\n") + PLAIN, "no line feed at its length of 99", id="a PAX length that lies"),
    pytest.param(before(b"x", b"path=a\n") + PLAIN, "expected a length", id="a PAX record without a length"),
    pytest.param(before(b"x", b"5 ab\n") + PLAIN, "expected KEY=VALUE", id="a PAX record without a value"),
    pytest.param(before(b"x", b"12 path=a\0b\n") + PLAIN, "contains NUL", id="a NUL in a PAX path"),
    pytest.param(before(b"x", b"8 path=\n") + PLAIN, "the name is empty", id="an empty PAX path"),
    pytest.param(before(b"L", b"\0") + gnu(PLAIN), "long name at byte 0 is empty", id="an empty long name"),
    pytest.param(before(b"g", b"10 path=a\n") + PLAIN, "only be set for a single file", id="a global path"),
    pytest.param(before(b"x", b"10 path=a\n"), "no entry follows its PAX header", id="a PAX header and no entry"),
    pytest.param(
        before(b"x", b"10 path=a\n") * 2 + PLAIN, "the second one of the same entry", id="two PAX headers for an entry"
    ),
    pytest.param(
        before(b"L", b"a\0") + before(b"x", b"10 path=b\n") + PLAIN,
        "an entry has two names",
        id="two names that contradict",
    ),
    pytest.param(
        before(b"x", b"10 path=b\n") + before(b"g", b"11 uname=b\n") + PLAIN,
        "it must precede them",
        id="a global header in between",
    ),
    pytest.param(
        before(b"x", b"10 path=a\n")[:517],
        "unexpected end of PAX header: expected 512 bytes at byte 512, found 5",
        id="a record cut short",
    ),
    pytest.param(
        make_header(name=b"f", size=9) + b"123",
        "end of archive at byte 515: 6 bytes of a file are missing",
        id="a payload cut short",
    ),
]


def by_seeking(file: BinaryIO) -> Scanner:
    """As a scan goes over a file, whose payloads it skips."""
    return Scanner(FileCursor(file))


@pytest.mark.parametrize("data, message", DAMAGED)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        list(scan_entries([data]))
    with pytest.raises(Invalid):
        list(by_seeking(io.BytesIO(data)))


def test_garbage_in_a_field_is_named_when_it_is_asked_for() -> None:
    entry = only(field(PLAIN, 100, b"rw-r--r-"))
    with pytest.raises(Invalid, match='"mode": invalid number "rw-r--r-"'):
        _ = entry.mode


def test_a_checksum_over_signed_bytes_is_accepted_as_old_tars_made_it() -> None:
    head = make_header(name=b"\xff")
    signed = sum(byte - 256 if byte > 127 else byte for byte in head[:148] + b"        " + head[156:])
    assert only(head[:148] + b"%06o\0 " % signed + head[156:]).name == b"\xff"


LIMITS = [
    pytest.param(PLAIN * 2, Limits(entries=1), "entries", id="entries"),
    pytest.param(make_header(name=b"n" * 50) * 3, Limits(names=149), "names", id="names together"),
    pytest.param(before(b"K", b"n" * 99) + gnu(PLAIN), Limits(names=99), "names", id="a target of a link as well"),
    pytest.param(make_header(name=b"n" * 50), Limits(path=49), "path", id="the length of a name"),
    pytest.param(before(b"L", b"n" * 500) + gnu(PLAIN), Limits(path=499), "path", id="the length of a long name"),
    pytest.param(make_header(name=b"a/b/c"), Limits(path_depth=2), "path_depth", id="the depth of a name"),
    pytest.param(
        make_header(name=b"f", records={b"a": b"b" * 99}), Limits(pax_record=99), "pax_record", id="a PAX header"
    ),
    pytest.param(
        make_header(name=b"f", records={b"SCHILY.xattr.a": b"bcd"}), Limits(xattr=2), "xattr", id="an attribute"
    ),
]


@pytest.mark.parametrize("data, limits, name", LIMITS)
def test_limits_are_named(data: bytes, limits: Limits, name: str) -> None:
    with enforce_limits(limits), pytest.raises(LimitExceeded, match=f"limit: {name}"):
        list(scan_entries([data]))


def test_global_records_in_force_are_bounded() -> None:
    many = b"".join(before(b"g", pax.format_record(b"key%d" % number, b"v" * 500)) + PLAIN for number in range(9))
    with pytest.raises(LimitExceeded, match="limit: pax_global"):
        list(scan_entries([many]))


F = make_header(name=b"f", size=3) + b"123" + bytes(509)

ENDS = [
    pytest.param(F, b"", id="nothing"),
    pytest.param(F[:515], b"", id="not even padding"),
    pytest.param(F + ZERO, ZERO, id="one block"),
    pytest.param(F + bytes(10240), bytes(10240), id="a whole record"),
    pytest.param(F + bytes(100), bytes(100), id="a piece of a block"),
    pytest.param(F + END + b"garbage", END + b"garbage", id="garbage"),
    pytest.param(F + END + F, END + F, id="another archive"),
]


@pytest.mark.parametrize("data, rest", ENDS)
def test_ends(data: bytes, rest: bytes) -> None:
    scanner = Scanner(Cursor([data]))
    assert [b"".join(entry.payload) for entry in scanner] == [b"123"]
    assert b"".join(scanner.trailing()) == rest


def test_the_stream_is_read_to_its_end_so_that_its_digest_can_be_checked() -> None:
    came: list[int] = []

    def blocks() -> Blocks:
        for block in (F, END, b"garbage", b"more"):
            came.append(len(block))
            yield block

    assert len(list(scan_entries(blocks()))) == 1
    assert came == [1024, 1024, 7, 4]


def test_a_payload_can_be_read_only_in_its_turn() -> None:
    scanned = scan_entries([F + F])
    first = next(scanned)
    late = iter(first.payload)
    next(scanned)
    with pytest.raises(ValueError, match="after the next entry"):
        _ = first.payload
    assert b"".join(late) == b"123"


def test_a_payload_is_views_of_the_blocks_that_came() -> None:
    data = make_header(name=b"f", size=2000) + bytes(2048)
    blocks = [data[:1000], data[1000:]]
    views = [view for entry in scan_entries(blocks) for view in entry.payload]
    assert [view.obj for view in views if isinstance(view, memoryview)] == blocks


def test_the_source_is_closed_when_the_scan_is() -> None:
    closed = []

    def blocks() -> Blocks:
        try:
            yield F
            yield F
        finally:
            closed.append(True)

    scanned = scan_entries(blocks())
    next(scanned)
    scanned.close()
    assert closed == [True]


@given(files, dialects)
def test_seeking_finds_what_the_scan_finds(listing: list[File], dialect: str) -> None:
    try:
        data = archive(listing, dialect)
    except ValueError:
        assume(False)
    scanner = by_seeking(io.BytesIO(data))
    found = [(one.raw, data[scanner.cursor.offset :][: one.size]) for one in scanner]
    assert found == [(one.raw, b"".join(one.payload)) for one in scan_entries([data])]


def test_seeking_reads_headers_alone() -> None:
    size = 5 * 2**20
    data = make_header(name=b"big", size=size) + bytes(size) + PLAIN + END

    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.count += size or 0
            return super().read(size)

    file = Counting(data)
    assert [entry.name for entry in by_seeking(file)] == [b"big", b"f"]
    assert file.count < 2**17
