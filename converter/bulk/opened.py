"""Places of many images, opened once for all who read them: what a layout's index says, it says of all its images."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from converter.model.limits import Limits
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import StoreOptions, open_source

KEPT = 8
"""Most places that stay open while nobody reads them: each may hold a file."""

Key = tuple[str, str, Limits]


class Opened:
    """Any number of threads may read. A place is seen as it was when it was opened; closing closes all."""

    def __init__(self) -> None:
        self._places: OrderedDict[Key, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nobody reads any more."""
        for place in self._places.values():
            place.close()
        self._places.clear()

    @contextmanager
    def source(self, location: Location, options: StoreOptions) -> Iterator[Source]:
        """What lies there, whatever image of it is meant. Raises what ``open_source`` raises."""
        place = self._enter((location.transport, location.path, options.limits))
        try:
            yield place.opened(location, options)
        finally:
            self._leave(place)

    def _enter(self, key: Key) -> _Place:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            place.readers += 1
            return place

    def _leave(self, place: _Place) -> None:
        with self._lock:
            place.readers -= 1
            idle = [key for key, one in self._places.items() if not one.readers]
            for key in idle[: max(0, len(idle) - KEPT)]:
                self._places.pop(key).close()


class _Place:
    def __init__(self) -> None:
        self.readers = 0
        self._source: Source | None = None
        self._lock = threading.Lock()

    def opened(self, location: Location, options: StoreOptions) -> Source:
        with self._lock:
            if self._source is None:
                self._source = open_source(location, options).__enter__()
            return self._source

    def close(self) -> None:
        if self._source is not None:
            self._source.__exit__(None, None, None)
            self._source = None
