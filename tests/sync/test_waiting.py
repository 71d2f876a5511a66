from __future__ import annotations

import threading
from pathlib import Path

from converter.cache import VerifiedCache
from converter.conversion import Options
from converter.conversion.job import Job, Shared
from converter.model.reference import Location
from converter.streams.workers import Workers
from tests.patience import PATIENCE


class Clock:
    """Stands still but for what is added to it; tells when another thread has looked at it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen = threading.Event()

    def __call__(self) -> float:
        now = self.now
        if threading.current_thread() is not threading.main_thread():
            self.seen.set()
        return now


def test_the_time_that_an_image_waits_for_its_turn_is_known(tmp_path: Path) -> None:
    source = Location(transport="oci", path="in")
    first, second = (
        Job(source=source, destinations=(Location(transport="oci", path=str(tmp_path), name=name),), options=Options())
        for name in ("first", "second")
    )
    clock = Clock()
    with Workers(1) as workers, Shared(VerifiedCache(), workers, many=True, clock=clock) as shared:

        def wait() -> None:
            with shared.turn(second):
                pass

        with shared.turn(first):
            waiting = threading.Thread(target=wait)
            waiting.start()
            assert clock.seen.wait(PATIENCE)
            clock.now += 5
        waiting.join()
        assert (shared.waited(first), shared.waited(second)) == (0, 5)
