"""Stores of many images, opened once for all readers: a layout's index describes all of its images."""

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
"""The most stores that stay open without readers: each may hold a file open."""

Key = tuple[str, str, Limits]


class Opened:
    """The open stores, for any number of threads. Each is seen as it was when it was opened; ``close`` closes all."""

    def __init__(self) -> None:
        self._places: OrderedDict[Key, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all stores; there must be no readers left."""
        for place in self._places.values():
            place.close()
        self._places.clear()

    @contextmanager
    def source(self, location: Location, options: StoreOptions) -> Iterator[Source]:
        """The store at a location, whichever of its images is meant. Raises what ``open_source`` raises."""
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
