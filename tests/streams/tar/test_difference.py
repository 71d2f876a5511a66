"""The difference of similar bytes is small, and restores them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from converter.streams.tar.delta import apply_difference, make_difference

LIBRARY = random.Random(1).randbytes(900_000)


@pytest.mark.parametrize(
    "data, other, most",
    [
        pytest.param(LIBRARY, LIBRARY, 200, id="the same"),
        pytest.param(LIBRARY[500:], LIBRARY + b"more", 200, id="moved"),
        pytest.param(LIBRARY[:9000] + b"changed" + LIBRARY[9000:], LIBRARY, 300, id="something put in"),
        pytest.param(LIBRARY[400_000:] + LIBRARY[:400_000], LIBRARY, 300, id="its parts exchanged"),
    ],
)
def test_a_difference_is_small(data: bytes, other: bytes, most: int) -> None:
    frame = make_difference(data, other)
    assert frame is not None
    assert len(frame) < most
    assert apply_difference(frame, other, len(data)) == data


@pytest.mark.parametrize(
    "data, other",
    [
        pytest.param(LIBRARY, LIBRARY[::-1], id="another file"),
        pytest.param(b"text" * 9999, LIBRARY, id="what is packed well alone"),
        pytest.param(b"", LIBRARY, id="nothing"),
    ],
)
def test_a_difference_that_is_not_worth_it(data: bytes, other: bytes) -> None:
    assert make_difference(data, other) is None


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=300), st.integers(0, 300))
def test_any_difference_gives_what_it_was_made_of(new: bytes, other: bytes, place: int) -> None:
    data = other[:place] + new + other[place:]
    frame = make_difference(data, other)
    assert frame is None or apply_difference(frame, other, len(data)) == data
