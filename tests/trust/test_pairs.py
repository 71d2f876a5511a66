"""From every place to every other: signed, converted, verified; the level is the one that the documentation says."""

from __future__ import annotations

import pytest

from tests.trust.pair_table import DOCUMENT, MADE, MARKS, TARGETS, cell, marks

pytestmark = pytest.mark.exhaustive


def told(compress: str) -> dict[tuple[str, str], str]:
    """The levels in the documentation's table."""
    start, end = marks(compress)
    text = DOCUMENT.read_text().partition(start)[2].partition(end)[0]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    return {(row[0], target): level for row in rows for target, level in zip(head[1:], row[1:], strict=True)}


@pytest.mark.parametrize("compress", [pytest.param(how, id=MARKS[how]) for how in MARKS])
@pytest.mark.parametrize("target", [pytest.param(target, id=f"to {target}") for target in TARGETS])
@pytest.mark.parametrize("made", [pytest.param(made, id=f"from {made}") for made in MADE])
def test_a_pair_has_the_level_that_is_told(made: str, target: str, compress: str) -> None:
    level = cell(made, target, compress)
    assert level
    assert told(compress)[made, target] == level


@pytest.mark.parametrize("compress", MARKS)
def test_the_table_has_every_pair_and_no_other(compress: str) -> None:
    assert list(told(compress)) == [(made, target) for made in MADE for target in TARGETS]
