from __future__ import annotations

from pathlib import Path

import pytest

from converter.conversion.job import MOST_OPEN, OpenStores
from converter.errors import NotFound
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink

OPTIONS = StoreOptions()


def layout(path: Path) -> Location:
    place = Location(transport="oci", path=str(path))
    with open_sink(place):
        pass
    return place


def test_who_reads_at_the_same_time_reads_the_same_place(tmp_path: Path) -> None:
    opened, place = OpenStores(), layout(tmp_path / "a")
    with opened.source(place, OPTIONS) as one, opened.source(place, OPTIONS) as other:
        assert one is other
    opened.close()


@pytest.mark.parametrize(
    "others, kept",
    [
        pytest.param(MOST_OPEN - 1, True, id="a few others meanwhile: it is open still"),
        pytest.param(MOST_OPEN, False, id="many others: it is closed, and opened again"),
    ],
)
def test_places_that_nobody_reads_stay_open_but_few(tmp_path: Path, others: int, kept: bool) -> None:
    opened, place = OpenStores(), layout(tmp_path / "a")
    with opened.source(place, OPTIONS) as first:
        pass
    for number in range(others):
        with opened.source(layout(tmp_path / str(number)), OPTIONS):
            pass
    with opened.source(place, OPTIONS) as again:
        assert (again is first) is kept
    opened.close()


def test_a_place_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    opened, place = OpenStores(), Location(transport="oci", path=str(tmp_path / "a"))
    with pytest.raises(NotFound), opened.source(place, OPTIONS):
        pass
    layout(tmp_path / "a")
    with opened.source(place, OPTIONS) as source:
        assert source.names() == ()
    opened.close()
