"""Files of an image, found from the top layer down: as the layers make them, reading no more of them than needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from converter.browse import Files
from converter.errors import Invalid, NotFound
from converter.model.content import open_missing
from converter.streams.tar.fields import DIR, END, LINK, SYMLINK, padding_bytes
from converter.streams.tar.pax import make_header
from tests.naive_tree import TYPES, flattened
from tests.strategies.tar import File, archive
from tests.streams.naive import one_layer, opener, plain


def file(name: str, data: bytes = b"") -> bytes:
    return make_header(name=name.encode(), size=len(data)) + data + padding_bytes(len(data))


def folder(name: str) -> bytes:
    return make_header(name=name.encode(), type=DIR)


def link(name: str, target: str) -> bytes:
    return make_header(name=name.encode(), type=LINK, linkname=target.encode())


def symlink(name: str, target: str) -> bytes:
    return make_header(name=name.encode(), type=SYMLINK, linkname=target.encode())


def files(*layers: bytes) -> Files:
    return Files([opener(layer + END) for layer in layers])


def unrepeated(layer: list[File]) -> list[File]:
    return list({plain(one.name): one for one in layer}.values())


KINDS = {b"0": "file", b"2": "symlink", b"3": "character device", b"4": "block device", b"5": "directory", b"6": "fifo"}


@settings(max_examples=300)
@given(st.lists(one_layer.map(unrepeated), max_size=4))
def test_what_is_listed_is_what_the_layers_make(layers: list[list[File]]) -> None:
    data = [archive(layer) for layer in layers]
    with suppress(Invalid, KeyError):  # a link to nothing
        wanted = {path: one.type for path, one in flattened(data).items() if path}
        found = {
            one.path: "directory" if one.entry is None else KINDS.get(one.entry.type, wanted.get(one.path, "link"))
            for one in Files([opener(layer) for layer in data]).below(b"")
        }
        assert found == wanted


BASE = folder("etc") + file("etc/name", b"base") + symlink("bin", "usr/bin") + file("usr/bin/sh", b"#!")


@pytest.mark.parametrize(
    "layers, path, content, read",
    [
        pytest.param([BASE], "etc/name", b"base", 1, id="a file"),
        pytest.param([BASE], "/etc/./name", b"base", 1, id="a path in another spelling"),
        pytest.param([BASE, file("etc/name", b"top")], "etc/name", b"top", 1, id="the upper of two, alone read"),
        pytest.param([BASE, file("x"), file("y")], "etc/name", b"base", 3, id="a file of the base"),
        pytest.param([BASE], "bin/sh", b"#!", 1, id="through a link to a directory"),
        pytest.param([BASE + symlink("s", "/bin/sh")], "s", b"#!", 1, id="through an absolute link, and another"),
        pytest.param([BASE + symlink("etc/s", "../usr/bin/sh")], "etc/s", b"#!", 1, id="through a relative link"),
        pytest.param([BASE + symlink("s", "../../etc/name")], "s", b"base", 1, id="nothing is above the root"),
        pytest.param([BASE + link("hard", "etc/name")], "hard", b"base", 1, id="a hard link"),
        pytest.param([BASE, link("hard", "etc/name")], "hard", b"base", 2, id="a hard link into a layer below"),
        pytest.param(
            [BASE, file("etc/name", b"new"), link("hard", "etc/name")], "hard", b"new", 2, id="the nearest layer below"
        ),
        pytest.param(
            [BASE + link("hard", "etc/name"), file("etc/name", b"new")], "hard", b"base", 2, id="not a layer above"
        ),
        pytest.param([BASE, symlink("usr/bin/ls", "sh")], "bin/ls", b"#!", 2, id="a link in a directory of two layers"),
    ],
)
def test_a_file_is_found_as_a_process_finds_it(layers: Sequence[bytes], path: str, content: bytes, read: int) -> None:
    found = files(*layers)
    assert b"".join(map(bytes, found.read(found.find(path.encode())))) == content
    assert found.layers_read == read


@pytest.mark.parametrize(
    "layers, path, error, reason",
    [
        pytest.param([BASE], "nope", NotFound, 'no file "/nope"', id="nothing of that name"),
        pytest.param([BASE], "etc/name/x", NotFound, '"/etc/name" is not a directory', id="below a file"),
        pytest.param([BASE, file("etc/.wh.name")], "etc/name", NotFound, "no file", id="whited out above"),
        pytest.param([BASE, file(".wh..wh..opq")], "etc/name", NotFound, "no file", id="in an emptied directory"),
        pytest.param([BASE, file("etc")], "etc/name", NotFound, "not a directory", id="its directory became a file"),
        pytest.param([symlink("a", "b") + symlink("b", "a")], "a", Invalid, "too many symbolic links", id="a circle"),
        pytest.param([BASE], "etc", Invalid, '"/etc" is a directory .`transship ls` lists it.', id="a directory"),
        pytest.param([link("hard", "nope")], "hard", NotFound, 'hard link "/hard": no file', id="a link to nothing"),
    ],
)
def test_what_cannot_be_read(layers: Sequence[bytes], path: str, error: type[Exception], reason: str) -> None:
    found = files(*layers)
    with pytest.raises(error, match=reason):
        list(found.read(found.find(path.encode())))


@pytest.mark.parametrize(
    "layers, path, size",
    [
        pytest.param([BASE], "etc/name", 4, id="of a file"),
        pytest.param([BASE, link("hard", "etc/name")], "hard", 4, id="of what a hard link leads to"),
        pytest.param([link("hard", "nope")], "hard", 0, id="of a link to nothing"),
        pytest.param([BASE], "etc", 0, id="of a directory"),
    ],
)
def test_the_size(layers: Sequence[bytes], path: str, size: int) -> None:
    found = files(*layers)
    assert found.size(found.find(path.encode())) == size


def test_the_size_of_a_link_into_a_layer_that_is_not_there() -> None:
    found = Files([open_missing(NotFound("no layer")), opener(link("hard", "etc/name") + END)])
    with pytest.raises(NotFound, match="no layer"):
        found.size(found.find(b"hard"))


def names(found: Files, directory: str = "", depth: int | None = None) -> list[str]:
    return [one.path.decode() for one in found.below(directory.encode(), depth)]


def test_a_directory_comes_before_its_contents_and_depth_ends_there() -> None:
    found = files(file("a/b/c") + file("a-b"))
    assert names(found) == ["a", "a/b", "a/b/c", "a-b"]
    assert names(found, depth=1) == ["a", "a-b"]
    assert names(found, "a", depth=1) == ["a/b"]


@pytest.mark.parametrize(
    "top, read",
    [
        pytest.param(file("d/.wh..wh..opq") + file("d/new"), 1, id="an opaque directory hides all layers below"),
        pytest.param(file(".wh.d") + file("d/new"), 1, id="a directory made anew hides them as well"),
        pytest.param(file("d/.wh.old") + file("d/new"), 2, id="a whiteout in it does not"),
    ],
)
def test_layers_that_cannot_matter_are_not_read(top: bytes, read: int) -> None:
    found = files(file("d/old"), top)
    assert names(found, "d") == ["d/new"]
    assert found.layers_read == read


def test_each_file_knows_its_layer() -> None:
    found = files(file("a") + file("b"), file("b"))
    assert [(one.path, one.layer) for one in found.below(b"")] == [(b"a", 0), (b"b", 1)]


assert set(KINDS.values()) == set(TYPES.values())
