"""A tar rebuilt from another, byte for byte, whatever they share; a malformed recipe is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from converter.errors import Invalid
from converter.streams.tar.delta import (
    DELTA_MOST,
    LITERAL_MOST,
    MAGIC,
    FileIndex,
    apply_delta,
    make_delta,
    make_difference,
)
from tests.strategies.tar import File, archive

SOME = [File("a", data=b"a" * 100), File("b", data=b"b" * 3000), File("d", "dir"), File("c", "symlink", target="a")]
LARGE = File("large", data=bytes(range(251)) * 20_000)
STATUS = b"".join(b"Package: %x\nVersion: %x\n" % (n, n * n * 7919**9) for n in range(60_000))
"""About 4 MB of which little repeats."""
LATER = STATUS.replace(b"Package: 7", b"Package: 8")[100:] + b"Package: new"


def cut(data: bytes, size: int) -> Sequence[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def there_and_back(data: bytes, other: bytes, size: int = 70_000) -> tuple[bytes, int]:
    """What a recipe gives, and how long it is."""

    def lend(offset: int, length: int) -> Sequence[bytes]:
        return [other[offset : offset + length]]

    recipe = b"".join(make_delta(cut(data, size), FileIndex(cut(other, size)), lend))
    made = b"".join(apply_delta(cut(recipe, size), lend))
    return made, len(recipe)


@pytest.mark.parametrize(
    "data, other, most",
    [
        pytest.param(archive(SOME), archive(SOME), 12_000, id="itself"),
        pytest.param(archive([LARGE]), archive([File("x/y", data=LARGE.data)], "gnu"), 12_000, id="under another name"),
        pytest.param(archive([LARGE]), archive([]), 6_000_000, id="out of nothing"),
        pytest.param(archive([LARGE, LARGE, LARGE]), archive([LARGE]), 12_000, id="a file three times"),
        pytest.param(
            archive([File("a/status", data=STATUS)]),
            archive([File("rootfs/a/status", data=LATER)]),
            40_000,
            id="a file much like the one that replaced it",
        ),
        pytest.param(
            archive([File("status", data=STATUS)]), archive([File("b", data=LATER)]), 4_000_000, id="not by that name"
        ),
        pytest.param(archive([LARGE], ending=False), archive([LARGE]), 1_500, id="without its end"),
        pytest.param(archive(SOME[:1], ending=False)[:-300], archive([]), 6_000, id="without some padding"),
        pytest.param(archive([LARGE]) + b"garbage", archive([LARGE]), 13_000, id="with garbage behind it"),
        pytest.param(bytes(1024), archive(SOME), 1_100, id="an empty one"),
        pytest.param(archive([File("ö" * 200, data=b"x" * 900)]), archive(SOME), 14_000, id="with long names"),
    ],
)
def test_a_tar_is_made_of_another(data: bytes, other: bytes, most: int) -> None:
    made, size = there_and_back(data, other)
    assert made == data
    assert size < most


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2000)), max_size=8),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2000)), max_size=8),
    st.sampled_from(["ustar", "gnu", "pax"]),
    st.integers(1, 3000),
)
def test_any_tar_is_made_of_any_other(
    data: list[tuple[str, int]], other: list[tuple[str, int]], dialect: str, size: int
) -> None:
    one, two = (
        archive(
            [File(f"{name}{place}", data=name.encode() * length) for place, (name, length) in enumerate(files)], kind
        )
        for files, kind in ((data, dialect), (other, "pax"))
    )
    assert there_and_back(one, two, size)[0] == one


def difference(there: int, size: int, frame: bytes) -> bytes:
    """A recipe of one step that takes from a file of zeros."""
    return MAGIC + b"D" + (0).to_bytes(8) + b"".join(one.to_bytes(4) for one in (there, size, len(frame))) + frame


FRAME = make_difference(b"some of it" * 999, b"some of it" * 500) or b""


@pytest.mark.parametrize(
    "recipe, fact",
    [
        pytest.param(b"", "unexpected end of recipe", id="nothing"),
        pytest.param(b"something else of that length at least", "does not describe", id="no recipe"),
        pytest.param(MAGIC, "expected 1 bytes at byte 25, found 0", id="no end"),
        pytest.param(MAGIC + b"X", 'unknown step "X"', id="an unknown step"),
        pytest.param(MAGIC + b"L" + bytes(4), "step of 0 bytes", id="a literal of nothing"),
        pytest.param(
            MAGIC + b"L" + (LITERAL_MOST + 1).to_bytes(4), "step of 1048577 bytes", id="a literal that is too long"
        ),
        pytest.param(
            MAGIC + b"L" + (9).to_bytes(4) + b"short",
            "expected 9 bytes at byte 30, found 5",
            id="a literal that is cut",
        ),
        pytest.param(MAGIC + b"P" + bytes(16), "piece of 0 bytes", id="a piece of nothing"),
        pytest.param(MAGIC + b"P" + bytes(7), "expected 16 bytes at byte 26, found 7", id="a place that is cut"),
        pytest.param(difference(10, DELTA_MOST + 1, FRAME), "is out of range", id="a difference that makes too much"),
        pytest.param(
            difference(3 * DELTA_MOST + 1, DELTA_MOST, FRAME), "is out of range", id="one that takes too much"
        ),
        pytest.param(difference(18 * 40, 40, b"f"), "is out of range", id="one that takes too much for what it makes"),
        pytest.param(difference(10, 0, b""), "is out of range", id="one that makes nothing"),
        pytest.param(difference(10, len(FRAME), FRAME), "is out of range", id="one that is no shorter"),
        pytest.param(
            difference(5000, 9989, FRAME), "makes 9990 bytes: expected 9989", id="one that makes another size"
        ),
        pytest.param(difference(5000, 9990, FRAME[:-1]), "not a valid zstd frame", id="one that is cut"),
        pytest.param(difference(5000, 9990, FRAME + b"x"), "not a valid zstd frame", id="one with more behind it"),
        pytest.param(difference(5000, 9990, b"no frame at all"), "not a valid zstd frame", id="one that is no frame"),
        pytest.param(MAGIC + b"E" + b"more", "data after its end", id="more behind the end"),
    ],
)
def test_what_is_no_recipe(recipe: bytes, fact: str) -> None:
    with pytest.raises(Invalid, match=fact):
        list(apply_delta([recipe], lambda _offset, size: [bytes(size)]))


def test_large_files_are_not_held_in_memory() -> None:
    one = archive([File("large", data=bytes(24_000_000))])
    blocks = cut(one, 100_000)
    tracemalloc.start()
    size = sum(map(len, make_delta(blocks, FileIndex([archive([])]), lambda _offset, _size: [])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 24_000_000
    assert peak < 8_000_000
