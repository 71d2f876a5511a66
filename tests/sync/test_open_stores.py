from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.cache import VerifiedCache
from converter.conversion import Options
from converter.conversion.job import MOST_OPEN, Job, Shared
from converter.errors import NotFound
from converter.model.reference import Location
from converter.stores import open_sink
from converter.streams.workers import Workers


@pytest.fixture
def shared() -> Iterator[Shared]:
    with Workers(1) as workers, Shared(VerifiedCache(), workers, many=True) as shared:
        yield shared


def job(place: Location) -> Job:
    return Job(source=place, destinations=(), options=Options())


def layout(path: Path) -> Location:
    place = Location(transport="oci", path=str(path))
    with open_sink(place):
        pass
    return place


def test_who_reads_at_the_same_time_reads_the_same_place(shared: Shared, tmp_path: Path) -> None:
    place = layout(tmp_path / "a")
    with shared.source(job(place)) as one, shared.source(job(place)) as other:
        assert one is other


@pytest.mark.parametrize(
    "others, kept",
    [
        pytest.param(MOST_OPEN - 1, True, id="a few others meanwhile: it is open still"),
        pytest.param(MOST_OPEN, False, id="many others: it is closed, and opened again"),
    ],
)
def test_places_that_nobody_reads_stay_open_but_few(shared: Shared, tmp_path: Path, others: int, kept: bool) -> None:
    place = layout(tmp_path / "a")
    with shared.source(job(place)) as first:
        pass
    for number in range(others):
        with shared.source(job(layout(tmp_path / str(number)))):
            pass
    with shared.source(job(place)) as again:
        assert (again is first) is kept


def test_a_place_that_could_not_be_opened_is_tried_again(shared: Shared, tmp_path: Path) -> None:
    place = Location(transport="oci", path=str(tmp_path / "a"))
    with pytest.raises(NotFound), shared.source(job(place)):
        pass
    layout(tmp_path / "a")
    with shared.source(job(place)) as source:
        assert source.names() == ()
