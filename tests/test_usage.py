"""What layers add, replace, delete and waste."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from converter.errors import Invalid
from converter.streams.tar.fields import DIR, END, SYMLINK, padding_bytes
from converter.streams.tar.pax import make_header
from converter.usage import ImageUse, LayerUse, files_below, usage
from tests.naive_tree import flattened
from tests.strategies.tar import File, archive
from tests.streams.naive import one_layer, opener, plain


def file(name: str, size: int) -> bytes:
    return make_header(name=name.encode(), size=size) + bytes(size) + padding_bytes(size)


def folder(name: str) -> bytes:
    return make_header(name=name.encode(), type=DIR)


def symlink(name: str) -> bytes:
    return make_header(name=name.encode(), type=SYMLINK, linkname=b"there")


def used(*layers: bytes) -> ImageUse:
    return usage([opener(layer + END) for layer in layers])


def use(**counts: int) -> LayerUse:
    return LayerUse(**counts)


BASE = file("a", 10) + file("d/b", 20) + file("d/c", 30)


@pytest.mark.parametrize(
    "upper, base, top, repeated",
    [
        pytest.param(file("e", 5), 0, use(files=1, size=5, added=1), {}, id="a new file wastes nothing"),
        pytest.param(
            file("a", 5),
            10,
            use(files=1, size=5, replaced=1, hides=10),
            {b"a": (2, 15, 10)},
            id="a file that is replaced is wasted",
        ),
        pytest.param(
            file(".wh.a", 0), 10, use(deleted=1, hides=10), {b"a": (2, 10, 10)}, id="a file that is removed is wasted"
        ),
        pytest.param(
            file(".wh.d", 0),
            50,
            use(deleted=2, hides=50),
            {b"d/b": (1, 20, 20), b"d/c": (1, 30, 30)},
            id="so are all files of a directory that is removed",
        ),
        pytest.param(
            file("d/.wh..wh..opq", 0) + file("d/b", 1),
            50,
            use(files=1, size=1, added=0, replaced=1, deleted=2, hides=50),
            {b"d/b": (2, 21, 20), b"d/c": (1, 30, 30)},
            id="or emptied",
        ),
        pytest.param(
            symlink("d"),
            50,
            use(files=1, replaced=1, hides=50),
            {b"d/b": (1, 20, 20), b"d/c": (1, 30, 30)},
            id="or replaced by a link",
        ),
        pytest.param(folder("d"), 0, use(), {}, id="a directory again is no file"),
        pytest.param(file(".wh.nothing", 0), 0, use(), {}, id="what is not there cannot be removed"),
        pytest.param(
            file("a/x", 1),
            10,
            use(files=1, size=1, added=1, hides=10),
            {b"a": (1, 10, 10)},
            id="a directory there",
        ),
        pytest.param(
            file("e", 7) + file("e", 5), 0, use(files=1, size=5, added=1), {}, id="of two entries the last one counts"
        ),
        pytest.param(
            file("a", 7) + file("a", 5),
            10,
            use(files=1, size=5, replaced=1, hides=10),
            {b"a": (2, 15, 10)},
            id="also if there is one below",
        ),
        pytest.param(
            file("a", 5) + file(".wh.a", 0),
            10,
            use(files=1, size=5, replaced=1, deleted=1, hides=10),
            {b"a": (3, 15, 10)},
            id="a removal concerns the layers below, wherever it stands",
        ),
        pytest.param(
            file(".wh.d", 0) + file("d/.wh.b", 0),
            50,
            use(deleted=2, hides=50),
            {b"d/b": (2, 20, 20), b"d/c": (1, 30, 30)},
            id="a removal counts for its path, also if the directory is removed as well",
        ),
        pytest.param(
            file("d/.wh..wh..opq", 0) + file("d/.wh.b", 0),
            50,
            use(deleted=2, hides=50),
            {b"d/b": (2, 20, 20), b"d/c": (1, 30, 30)},
            id="or emptied as well",
        ),
    ],
)
def test_what_a_layer_does(upper: bytes, base: int, top: LayerUse, repeated: dict[bytes, tuple[int, int, int]]) -> None:
    found = used(BASE, upper)

    assert found.layers == [use(files=3, size=60, added=3, wasted=base), top]
    assert {path: (one.copies, one.size, one.wasted) for path, one in found.repeated.items()} == repeated
    assert found.wasted == base


def test_the_worst_comes_first() -> None:
    found = used(BASE, file("a", 1) + file("d/c", 1))

    assert [path for path, _ in found.most_wasted(5)] == [b"d/c", b"a"]
    assert found.inefficient == 10 + 1 + 30 + 1


def unrepeated(layer: list[File]) -> list[File]:
    return list({plain(one.name): one for one in layer}.values())


@settings(max_examples=200)
@given(st.lists(one_layer.map(unrepeated), max_size=4))
def test_what_is_not_wasted_is_in_the_tree(layers: list[list[File]]) -> None:
    data = [archive(layer) for layer in layers]
    with suppress(Invalid, KeyError):  # a link to nothing
        wanted = {path for path, one in flattened(data).items() if path and one.type != "directory"}
        found = usage([opener(layer) for layer in data])
        left = dict(files_below(found.root))
        assert set(left) == wanted
        assert sum(node.size for node in left.values()) == found.size - found.wasted
        assert found.wasted == sum(layer.hides for layer in found.layers)


PATHS = ("a", "b", "d/c", "d/e", "d/f/g")
CHANGES = st.dictionaries(st.sampled_from(PATHS), st.none() | st.integers(0, 50))
"""What a layer makes of paths: a file of so many bytes, or None, no file."""


@given(st.lists(CHANGES, max_size=5))
def test_the_bytes_are_those_that_dive_counts(layers: list[dict[str, int | None]]) -> None:
    # As dive 0.13 does (filetree/efficiency.go): all copies of a path that two layers have, or have and remove.
    copies: dict[str, list[int]] = {}
    there: set[str] = set()
    written = []
    for layer in layers:
        changes = {path: size for path, size in layer.items() if size is not None or path in there}
        for path, size in changes.items():
            copies.setdefault(path, []).append(size or 0)
            (there.discard if size is None else there.add)(path)
        written.append(b"".join(gone(path) if size is None else file(path, size) for path, size in changes.items()))

    found = used(*written)

    assert [layer.size for layer in found.layers] == [sum(filter(None, layer.values())) for layer in layers]
    assert found.inefficient == sum(sum(sizes) for sizes in copies.values() if len(sizes) > 1)


def gone(path: str) -> bytes:
    folder, slash, name = path.rpartition("/")
    return file(f"{folder}{slash}.wh.{name}", 0)
