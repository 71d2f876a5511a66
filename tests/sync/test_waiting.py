from __future__ import annotations

import threading
import time
from pathlib import Path

from converter.cache import VerifiedCache
from converter.conversion import Options
from converter.conversion.job import Job
from converter.conversion.shared import Shared
from converter.model.reference import Location
from converter.streams.workers import Workers


def test_the_time_that_an_image_waits_for_its_turn_is_known(tmp_path: Path) -> None:
    source = Location(transport="oci", path="in")
    first, second = (
        Job(source=source, destinations=(Location(transport="oci", path=str(tmp_path), name=name),), options=Options())
        for name in ("first", "second")
    )
    with Workers(1) as workers, Shared(VerifiedCache(), workers, many=True) as shared:

        def wait() -> None:
            with shared.turn(second):
                pass

        with shared.turn(first):
            waiting = threading.Thread(target=wait)
            waiting.start()
            time.sleep(0.05)
        waiting.join()
        assert shared.waited(first) < 0.02
        assert shared.waited(second) > 0.03
