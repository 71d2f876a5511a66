from __future__ import annotations

import pytest
from hypothesis import assume, given, settings, strategies as st

from converter.errors import Invalid
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import header_block
from converter.streams.tar.headers import add_prefix, merge_globals, relink_entry, rename_entry, strip_prefix
from converter.streams.tar.pax import extended_header, make_header
from converter.streams.tar.scan import scan_entries
from tests.strategies.tar import File, archive, cuts, decorated, dialects, names, pieces


def only(raw: bytes) -> Entry:
    (entry,) = scan_entries([raw])
    return entry


def blocks(file: File, dialect: str) -> bytes:
    try:
        return next(scan_entries([archive([file], dialect)])).raw
    except ValueError:  # ustar cannot hold such a name
        assume(False)
        raise


deep = st.integers(0, 260).map(lambda length: "d" * (length % 90) + "/" + "n" * (length // 3 + 1) + "/" + "f" * length)
any_name = st.one_of(decorated, deep.map(lambda name: name.lstrip("/")))
kinds = st.sampled_from(["file", "dir", "link", "symlink"])


def inside(name: str) -> str:
    return f"./rootfs/{name[2:]}" if name.startswith("./") else f"rootfs/{name.lstrip('/')}"


@given(any_name, names, kinds, dialects)
@settings(max_examples=400)
def test_prefixing_a_stripped_header_gives_it_back(name: str, target: str, kind: str, dialect: str) -> None:
    link = f"rootfs/{target}" if kind == "link" else target
    assume(not name.startswith(".//"))
    raw = blocks(File(inside(name), kind, target=link if "link" in kind else ""), dialect)
    assert add_prefix(strip_prefix(raw)) == raw


@given(any_name, names, kinds, dialects)
def test_a_prefixed_header_reads_as_the_prefixed_name(name: str, target: str, kind: str, dialect: str) -> None:
    raw = blocks(File(name, kind, target=target if "link" in kind else ""), dialect)
    before, after = only(raw), only(add_prefix(raw))
    assert after.name == b"rootfs/" + before.name
    assert after.linkname == (b"rootfs/" if kind == "link" else b"") + before.linkname
    assert (after.type, after.mode, after.mtime_ns, after.size) == (
        before.type,
        before.mode,
        before.mtime_ns,
        before.size,
    )


@given(any_name, names, names, kinds, dialects)
def test_a_renamed_header_reads_as_the_new_name(old: str, new: str, target: str, kind: str, dialect: str) -> None:
    raw = blocks(File(old, kind, target=target if "link" in kind else ""), dialect)
    wanted = new.encode("utf-8", "surrogateescape")
    assert only(rename_entry(raw, wanted)).name == wanted
    if "link" in kind:
        assert only(relink_entry(raw, wanted)).linkname == wanted
        assert only(relink_entry(raw, wanted)).name == only(raw).name


PREFIXED = [
    pytest.param(b"etc/passwd", b"rootfs/etc/passwd", id="a plain name gets the prefix"),
    pytest.param(b"./etc/passwd", b"./rootfs/etc/passwd", id="a leading ./ stays in front"),
    pytest.param(b"/etc/passwd", b"rootfs/etc/passwd", id="a leading slash goes"),
    pytest.param(b"./", b"./rootfs/", id="the root becomes the prefix"),
    pytest.param(b".", b"rootfs/", id="the root written as a dot becomes the prefix"),
    pytest.param(b".hidden", b"rootfs/.hidden", id="a name that begins with a dot is no ./"),
    pytest.param(b"n" * 93, b"rootfs/" + b"n" * 93, id="a name that just fits stays in the name field"),
]


@pytest.mark.parametrize("name, want", PREFIXED)
def test_prefix(name: bytes, want: bytes) -> None:
    raw = add_prefix(make_header(name=name))
    assert len(raw) == 512
    assert raw.startswith(want + b"\0") or raw[:100] == want


def test_a_long_name_moves_into_the_prefix_field_rather_than_into_a_new_record() -> None:
    raw = add_prefix(make_header(name=b"n" * 94))
    assert len(raw) == 512
    assert only(raw).name == b"rootfs/" + b"n" * 94


def test_a_gnu_header_gets_a_gnu_record_when_its_field_is_full() -> None:
    raw = add_prefix(blocks(File("n" * 99), "gnu"))
    assert raw[:13] == b"././@LongLink"
    assert only(raw).name == b"rootfs/" + b"n" * 99


def test_a_name_for_which_nothing_else_is_left_gets_a_pax_record() -> None:
    raw = add_prefix(make_header(name=b"d" * 155 + b"/" + b"n" * 100))
    assert only(raw).pax == {b"path": b"rootfs/" + b"d" * 155 + b"/" + b"n" * 100}


def test_a_pax_record_of_something_else_stays_when_a_path_joins_it() -> None:
    raw = add_prefix(make_header(name=b"d" * 155 + b"/" + b"n" * 100, records={b"comment": b"stays"}))
    assert only(raw).pax[b"comment"] == b"stays"


def shortened(name: bytes) -> bytes:
    """As bsdtar writes a long name: whole in a record, and in both fields what they can hold of it."""
    above, _, last = name.rpartition(b"/")
    return extended_header(name, {b"path": name}) + header_block(last[:98], size=0, uid=7, prefix=above[:155])


SHORTENED = [
    pytest.param(b"f" * 120, id="a long name in the root"),
    pytest.param(b"usr/share/" + b"f" * 120, id="a long name in a directory"),
    pytest.param(b"d" * 140 + b"/" + b"f" * 95, id="a name that both fields can hold"),
    pytest.param(b"d" * 148 + b"/" + b"f" * 120, id="a directory that fills the prefix field"),
    pytest.param(b"d" * 200 + b"/" + b"f" * 120, id="a directory that is cut, too"),
]


@pytest.mark.parametrize("name", SHORTENED)
def test_a_name_that_bsdtar_shortened_in_both_fields_leaves_the_other_fields_alone(name: bytes) -> None:
    for raw, want in (
        (add_prefix(shortened(name)), b"rootfs/" + name),
        (strip_prefix(shortened(b"rootfs/" + name)), name),
        (rename_entry(shortened(name), b"n" * 300), b"n" * 300),
    ):
        entry = only(raw)
        assert (entry.name, entry.mode, entry.uid, entry.size, len(entry.head)) == (want, 0o644, 7, 0, 512)


OUTSIDE = [
    pytest.param(make_header(name=b"manifest"), id="a name beside the root"),
    pytest.param(make_header(name=b"rootfs-evil/x"), id="a name that only begins like the root"),
    pytest.param(
        make_header(name=b"rootfs/a", type=b"1", linkname=b"b"), id="a hard link to something beside the root"
    ),
]


@pytest.mark.parametrize("raw", OUTSIDE)
def test_what_is_not_below_the_prefix_cannot_be_stripped(raw: bytes) -> None:
    with pytest.raises(Invalid, match='is not below "rootfs/"'):
        strip_prefix(raw)


STRIPPED = [
    pytest.param(b"rootfs/", b"./", id="the root becomes ./"),
    pytest.param(b"rootfs", b"./", id="the root without a slash becomes ./"),
    pytest.param(b"./rootfs", b"./", id="the root with a dot becomes ./"),
    pytest.param(b"rootfs//a", b"a", id="no absolute name comes out of a double slash"),
    pytest.param(b".//rootfs/a/", b"a/", id="an odd spelling is put in order and stays a directory's"),
]


@pytest.mark.parametrize("name, want", STRIPPED)
def test_strip(name: bytes, want: bytes) -> None:
    assert strip_prefix(make_header(name=name, type=b"5" if name.endswith(b"/") else b"0"))[:100].rstrip(b"\0") == want


def test_a_symbolic_link_keeps_its_target() -> None:
    raw = make_header(name=b"rootfs/a", type=b"2", linkname=b"rootfs/b")
    assert only(strip_prefix(raw)).linkname == b"rootfs/b"


def test_global_records_become_the_entrys_own() -> None:
    raw = make_header(name=b"a", records={b"mtime": b"1.5", b"comment": b"own"})
    own = only(merge_globals(raw, {b"comment": b"own", b"mtime": b"1.5", b"uname": b"joe"}))
    assert own.pax == {b"mtime": b"1.5", b"comment": b"own", b"uname": b"joe"}
    assert only(merge_globals(make_header(name=b"a"), {b"uname": b"joe"})).uname == b"joe"


@given(decorated, dialects, cuts)
def test_the_checksum_stays_right_whatever_is_edited(name: str, dialect: str, where: list[int]) -> None:
    raw = blocks(File(name), dialect)
    assert len(list(scan_entries(pieces(add_prefix(raw), where)))) == 1  # the scanner verifies it
