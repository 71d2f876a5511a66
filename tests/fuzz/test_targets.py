"""Every fuzz target over its seeds, and over seeds that Hypothesis mutates: CI has no time for atheris."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings, strategies as st

from fuzz.seeds import seeds
from fuzz.targets import TARGETS, run

pytestmark = pytest.mark.exhaustive


@cache
def seeds_of(target: str) -> list[bytes]:
    return list(seeds(target))


@pytest.mark.parametrize("target", TARGETS)
def test_no_seed_crashes_a_parser(target: str) -> None:
    found = seeds_of(target)
    assert found
    for data in found:
        run(target, data)


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
@settings(max_examples=40)
def test_no_spoiled_seed_crashes_a_parser(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(seeds_of(target)))
    at = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(at, min(len(seed), at + 20)))
    put = data.draw(st.binary(max_size=20) | st.sampled_from([b"\xff" * 8, b"9" * 30, b'"', b"\0" * 512]))
    run(target, seed[:at] + put + seed[end:])
