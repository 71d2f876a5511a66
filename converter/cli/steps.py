"""The times of the steps of a conversion, taken from its events, for reports and JSON."""

from __future__ import annotations

import time
from collections.abc import Callable

from converter.events import Event, Finished, Planned, Report, Started
from converter.model.frozen import frozen


@frozen(kw_only=False)
class Step:
    """One step; times are in seconds since the conversion began, ``size`` is what it read, in bytes."""

    name: str
    began: float
    ended: float
    size: int = 0


class Stopwatch:
    """A Report that passes every event on. Threads may call it at once."""

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._start = clock()
        self._running: dict[str, float] = {}
        self._planned: float | None = None
        self._blobs: list[Step] = []

    def __call__(self, event: Event) -> None:
        now = self._clock() - self._start
        match event:
            case Planned():
                self._planned = now
            case Started(name):
                self._running[name] = now
            case Finished(name, size, skipped=False):
                self._blobs.append(Step(name, self._running.pop(name, now), now, size))
        self._report(event)

    def steps(self, seconds: float) -> list[Step]:
        """The steps of a conversion that took so long: what came before the blobs, these, and what came after."""
        blobs = sorted(self._blobs, key=lambda step: (step.began, step.ended))
        begin = min([seconds if self._planned is None else self._planned, *(step.began for step in blobs)])
        end = max([begin, *(step.ended for step in blobs)])
        return [Step("read and plan", 0, begin), *blobs, Step("write documents, commit", end, max(end, seconds))]
