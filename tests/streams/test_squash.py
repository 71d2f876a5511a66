from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from converter.errors import Invalid, LimitExceeded, Unsupported
from converter.model.limits import Limits, enforce_limits
from converter.streams.squash import squash
from converter.streams.tar.fields import DIR, END, FILE, LINK, SYMLINK, clean_name, padding_bytes
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import scan_entries
from tests.strategies.tar import File, archive, dialects, old_gnu
from tests.streams.naive import Dangling, flattened, groups, naive, one_layer, opener, plain
from tests.trees import tree


def unrepeated(files: list[File]) -> list[File]:
    return list({plain(file.name): file for file in files}.values())


def check(layers: list[bytes]) -> None:
    try:
        want = naive(layers)
    except Dangling:
        with suppress(Invalid):  # where a link that dangles is hidden, or its target comes later, there is a tree
            flattened(layers)
        return
    out = flattened(layers)
    got = naive([out])
    assert got == want
    assert groups(got) == groups(want)
    assert sorted(entry.name for entry in scan_entries([out])) == sorted(name.encode() for name in want)


@settings(max_examples=400)
@given(st.lists(one_layer.map(unrepeated), max_size=4), dialects)
def test_squash_agrees_with_a_naive_model(layers: list[list[File]], dialect: str) -> None:
    check([archive(layer, dialect) for layer in layers])


@settings(max_examples=400)
@given(st.lists(one_layer, max_size=4), dialects)
def test_squash_agrees_with_a_naive_model_where_layers_repeat_names(layers: list[list[File]], dialect: str) -> None:
    check([archive(layer, dialect) for layer in layers])


def squashed(*layers: bytes) -> list[tuple[str, bytes, bytes, bytes]]:
    """Name, type, content and target of every entry of the flattened layers, in order."""
    return [
        (entry.name.decode(), entry.type, b"".join(entry.payload), entry.linkname)
        for entry in scan_entries([flattened([layer + END for layer in layers])])
    ]


def file(name: bytes, data: bytes = b"", mode: int = 0o644) -> bytes:
    return make_header(name=name, size=len(data), mode=mode) + data + padding_bytes(len(data))


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return make_header(name=name, type=DIR, mode=mode)


def link(name: bytes, target: bytes) -> bytes:
    return make_header(name=name, type=LINK, linkname=target)


def symlink(name: bytes, target: bytes) -> bytes:
    return make_header(name=name, type=SYMLINK, linkname=target)


def a_file(name: str, data: bytes = b"") -> tuple[str, bytes, bytes, bytes]:
    return name, FILE, data, b""


def a_folder(name: str) -> tuple[str, bytes, bytes, bytes]:
    return name, DIR, b"", b""


def a_link(name: str, target: bytes) -> tuple[str, bytes, bytes, bytes]:
    return name, LINK, b"", target


BASE = folder(b"d") + file(b"d/old", b"1") + file(b"d/kept", b"2")
ALL = [a_folder("d"), a_file("d/old", b"1"), a_file("d/kept", b"2")]

FLATTENED = [
    pytest.param([BASE, file(b"d/.wh.old")], [a_folder("d"), a_file("d/kept", b"2")], id="a whiteout removes a file"),
    pytest.param([BASE, file(b".wh.d")], [], id="a whiteout removes a directory and all below it"),
    pytest.param(
        [BASE, file(b"d/new") + file(b"d/.wh..wh..opq")],
        [a_file("d/new"), a_folder("d")],
        id="an opaque marker behind its siblings hides what is below them, not them",
    ),
    pytest.param(
        [BASE, file(b"d/.wh..wh..opq") + file(b"d/new")],
        [a_file("d/new"), a_folder("d")],
        id="an opaque marker before its siblings does the same",
    ),
    pytest.param(
        [BASE, file(b"d/old", b"new") + file(b"d/.wh.old")],
        [a_file("d/old", b"new"), a_folder("d"), a_file("d/kept", b"2")],
        id="a path whited out and added again in one layer stays",
    ),
    pytest.param(
        [BASE, file(b".wh.d") + folder(b"d") + file(b"d/new")],
        [a_folder("d"), a_file("d/new")],
        id="a directory whited out and made again is new",
    ),
    pytest.param(
        [BASE, file(b".wh..wh.aufs") + file(b".wh..wh.plnk/1.2")], ALL, id="what aufs kept for itself is ignored"
    ),
    pytest.param([BASE, file(b"d/.wh.never")], ALL, id="a whiteout of nothing does nothing"),
    pytest.param([BASE, file(b"d", b"file")], [a_file("d", b"file")], id="a directory is replaced by a file"),
    pytest.param([file(b"d", b"file"), BASE], ALL, id="a file is replaced by a directory"),
    pytest.param(
        [BASE, file(b"d"), file(b"d/new")],
        [a_file("d/new")],
        id="what a file in between has removed stays removed under a new directory",
    ),
    pytest.param(
        [symlink(b"d", b"/etc"), file(b"d/new")],
        [a_file("d/new")],
        id="a symbolic link in the way of a path is replaced, not followed",
    ),
    pytest.param(
        [BASE, symlink(b"d", b"/etc")], [("d", SYMLINK, b"", b"/etc")], id="a directory is replaced by a symbolic link"
    ),
    pytest.param([symlink(b"d", b"/etc") + file(b"d/new")], [a_file("d/new")], id="also when both are in one layer"),
    pytest.param(
        [file(b"f", b"1") + file(b"f", b"2")], [a_file("f", b"2")], id="of two entries of one name the last wins"
    ),
    pytest.param(
        [file(b"d/x", b"1") + folder(b"d")], [a_file("d/x", b"1"), a_folder("d")], id="a parent may come later"
    ),
    pytest.param([file(b"d/e/x", b"1")], [a_file("d/e/x", b"1")], id="a parent may never come"),
    pytest.param([folder(b"./") + BASE], [a_folder(""), *ALL], id="an entry for the root is one like others"),
    pytest.param([folder(b"/") + BASE], [a_folder(""), *ALL], id="also when it is spelled as a slash"),
    pytest.param(
        [file(b"f", b"1"), link(b"l", b"f")],
        [a_file("f", b"1"), a_link("l", b"f")],
        id="a hard link to a file of a lower layer comes after it",
    ),
    pytest.param(
        [file(b"f", b"1") + link(b"l", b"f"), file(b".wh.f")],
        [a_file("l", b"1")],
        id="when its target is removed a hard link becomes the file",
    ),
    pytest.param(
        [file(b"f", b"1") + link(b"l", b"f"), file(b"f", b"2")],
        [a_file("f", b"2"), a_file("l", b"1")],
        id="when its target is replaced a hard link keeps the old content",
    ),
    pytest.param(
        [file(b"f", b"1"), link(b"l", b"f") + link(b"m", b"f"), file(b".wh.f")],
        [a_file("l", b"1"), a_link("m", b"l")],
        id="two links to a removed file of a lower layer stay linked to each other",
    ),
    pytest.param(
        [file(b"f", b"1") + link(b"l", b"f") + link(b"m", b"l"), file(b".wh.l")],
        [a_file("f", b"1"), a_link("m", b"f")],
        id="a link to a link that is removed goes on to the file",
    ),
    pytest.param(
        [file(b"f", b"1"), link(b"l", b"f"), link(b"m", b"l"), file(b".wh.f") + file(b".wh.l")],
        [a_file("m", b"1")],
        id="a chain of links through layers ends at the file when the rest is removed",
    ),
    pytest.param(
        [file(b"f", b"1"), file(b"f", b"2"), link(b"l", b"f"), file(b"f", b"3")],
        [a_file("f", b"3"), a_file("l", b"2")],
        id="a link means the file as it was in its own layer",
    ),
    pytest.param(
        [symlink(b"s", b"x") + link(b"l", b"s"), file(b".wh.s")],
        [("l", SYMLINK, b"", b"x")],
        id="a hard link to a removed symbolic link becomes it",
    ),
    pytest.param(
        [link(b"l", b"f") + file(b"f", b"1")],
        [a_file("f", b"1"), a_link("l", b"f")],
        id="a link that comes before its target comes after it",
    ),
    pytest.param(
        [make_header(name=b"volume", type=b"V") + file(b"f")], [a_file("f")], id="a GNU volume label is no file"
    ),
]


@pytest.mark.parametrize("layers, want", FLATTENED)
def test_flattened(layers: list[bytes], want: list[tuple[str, bytes, bytes, bytes]]) -> None:
    assert squashed(*layers) == want


def test_headers_and_padding_stay_as_they_are() -> None:
    head = make_header(name=b"./f", size=3, mtime_ns=1, records={b"SCHILY.xattr.user.a": b"b", b"VENDOR.x": b"y"})
    entry = head + b"123" + b"\xff" * 509
    assert flattened([entry]) == entry + END


def test_padding_that_an_archive_lacks_is_made_up() -> None:
    assert flattened([make_header(name=b"a", size=1) + b"1", file(b"b")]) == file(b"b") + file(b"a", b"1") + END


def test_global_records_become_those_of_each_file_they_hold_for() -> None:
    records = b"15 uname=alice\n"
    shared = make_header(name=b"g", type=b"g", size=len(records)) + records + padding_bytes(len(records))
    out = flattened([shared + file(b"a") + file(b"b"), file(b"c")])
    assert [(entry.name, entry.uname) for entry in scan_entries([out])] == [
        (b"c", b""),
        (b"a", b"alice"),
        (b"b", b"alice"),
    ]
    assert b"g" not in {out[at + 156 : at + 157] for at in range(0, len(out), 512)}


def test_a_sparse_file_stays_sparse_and_whole() -> None:
    entry = old_gnu(b"f", [(4096, b"x")], 5000)
    assert flattened([entry]) == entry + END


def options(layers: Sequence[bytes], **given: Any) -> list[tuple[bytes, bytes, bytes]]:
    out = b"".join(squash([opener(layer + END) for layer in layers], **given))
    return [(entry.written, entry.type, b"".join(entry.payload)) for entry in scan_entries([out])]


ROOT = make_header(name=b"rootfs/", type=DIR)


def test_a_prefix_goes_before_names_and_targets_of_hard_links() -> None:
    layers = [folder(b"./") + file(b"./f", b"1") + link(b"l", b"./f") + symlink(b"s", b"/f")]
    out = b"".join(squash([opener(layer) for layer in layers], root=ROOT))
    assert [(entry.written, entry.linkname) for entry in scan_entries([out])] == [
        (b"./rootfs/", b""),
        (b"./rootfs/f", b""),
        (b"rootfs/l", b"./rootfs/f"),
        (b"rootfs/s", b"/f"),
    ]


def test_the_root_gets_an_entry_where_no_layer_has_one() -> None:
    assert [name for name, _, _ in options([BASE], root=ROOT)][-1] == b"rootfs/"
    names = [name for name, _, _ in options([folder(b"./"), BASE], root=ROOT)]
    assert names.count(b"rootfs/") == 0
    assert names.count(b"./rootfs/") == 1


def test_entries_may_come_after() -> None:
    assert [name for name, _, _ in options([file(b"f")], after=[file(b"last")])] == [b"f", b"last"]


def test_only_the_paths_to_keep_stay_and_the_directories_above_them() -> None:
    layers = [folder(b"./") + BASE + folder(b"e") + file(b"e/x") + file(b"k")]
    kept = options(layers, keep={b"/d/kept", b"k", b"never"})
    assert [clean_name(name) for name, _, _ in kept] == [b"", b"d", b"d/kept", b"k"]


def test_a_link_that_is_kept_without_its_target_becomes_the_file() -> None:
    kept = options([file(b"f", b"1") + link(b"l", b"f")], keep={b"l"})
    assert kept == [(b"l", FILE, b"1")]


REFUSED = [
    pytest.param(file(b"../f"), '".." is not allowed', id="a name that leads out"),
    pytest.param(file(b"d/../../.wh.f"), '".." is not allowed', id="a whiteout that leads out"),
    pytest.param(link(b"l", b"../f"), '".." is not allowed', id="a hard link that leads out"),
    pytest.param(link(b"l", b"f"), 'no file "f" in layer', id="a hard link to nothing"),
    pytest.param(link(b"l", b"l"), 'no file "l" in layer', id="a hard link to itself"),
    pytest.param(folder(b"d") + link(b"l", b"d"), 'no file "d" in layer', id="a hard link to a directory"),
    pytest.param(file(b".wh.."), "does not say what it removes", id="a whiteout of its own directory"),
    pytest.param(symlink(b".", b"/etc"), '"/" is not a directory', id="a link for the root"),
]


@pytest.mark.parametrize("layer, message", REFUSED)
def test_refused(layer: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        flattened([layer])


def test_what_is_no_file_is_unsupported() -> None:
    with pytest.raises(Unsupported, match='unsupported type "M"'):
        flattened([make_header(name=b"f", type=b"M")])


def test_a_link_to_nothing_may_stay_where_an_image_below_has_its_target() -> None:
    assert options([link(b"l", b"f")], dangling=True) == [(b"l", LINK, b"")]


def test_each_layer_is_opened_once_and_read_to_its_end() -> None:
    opened: list[int] = []
    ended: list[int] = []

    def layer(number: int) -> Callable[[], Iterator[bytes]]:
        def blocks() -> Iterator[bytes]:
            opened.append(number)
            yield file(b"%d" % number)
            yield END
            ended.append(number)

        return blocks

    list(squash([layer(number) for number in range(3)]))
    assert opened == [2, 1, 0]
    assert ended == [2, 1, 0]


def test_hidden_files_that_a_link_may_ask_for_are_not_held_in_memory() -> None:
    size = 8 * 2**20
    big = make_header(name=b"f", size=size)
    block = bytes(2**16)

    def lower() -> Iterator[bytes]:
        yield big
        yield from (block for _ in range(size // len(block)))
        yield link(b"l", b"f")

    tracemalloc.start()
    found = {entry.name: entry.size for entry in scan_entries(squash([lower, opener(file(b".wh.f"))]))}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {b"l": size}
    assert peak < size / 2


def test_directories_that_files_replace_in_one_layer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.streams.tar.changesets.MOST_SPENT", 100)
    with pytest.raises(LimitExceeded, match="directories are replaced by files"):
        flattened([(file(b"d/x") + file(b"d")) * 100])


MANY = [
    pytest.param([folder(b"a/" * 40 + b"%d" % n) for n in range(9)], Limits(names=1500), id="directories in between"),
    pytest.param([file(b"f%d" % n) + END for n in range(3)], Limits(names=5), id="names of all layers"),
    pytest.param([link(b"l", b"f" * 90)], Limits(names=500), id="a link that waits"),
    pytest.param([file(b"f%d" % n) + END for n in range(3)], Limits(entries=2), id="entries of all layers"),
]


@pytest.mark.parametrize("layers, limits", MANY)
def test_what_is_held_of_all_layers_is_bounded(layers: list[bytes], limits: Limits) -> None:
    with enforce_limits(limits), pytest.raises(LimitExceeded, match=r"limit: (names|entries)"):
        list(squash([opener(layer) for layer in layers]))


@pytest.mark.parametrize("layers, limits", [MANY[1], MANY[3]])
def test_so_it_is_for_a_tree(layers: list[bytes], limits: Limits) -> None:
    with enforce_limits(limits), pytest.raises(LimitExceeded, match=r"limit: (names|entries)"):
        tree([opener(layer) for layer in layers])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(folder(b"a/" * 40 + b"d"), id="directories in between"),
        pytest.param(b"".join(folder(b"%d" % number) for number in range(50)), id="directories"),
        pytest.param(make_header(name=b"f", records={b"SCHILY.xattr.user.a": b"v" * 5000}), id="attributes"),
    ],
)
def test_a_tree_counts_what_an_entry_makes_it_hold(data: bytes) -> None:
    with enforce_limits(Limits(names=5000)), pytest.raises(LimitExceeded, match="limit: names"):
        tree([opener(data)])
