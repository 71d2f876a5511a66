"""Stores of many images, opened once for all readers: a layout's index describes all of its images."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from converter.model.limits import Limits
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import StoreOptions, open_source
from converter.stores.lending import Lending

KEPT = 8
"""The most stores that stay open for later readers: each may hold a file open."""


class OpenStores:
    """The open stores, for any number of threads. Each is seen as it was when it was opened; ``close`` closes all."""

    def __init__(self) -> None:
        self._places: Lending[tuple[str, str, Limits], _Place] = Lending(_Place, KEPT)

    def close(self) -> None:
        """Close all stores; there must be no readers left."""
        self._places.close()

    @contextmanager
    def source(self, location: Location, options: StoreOptions) -> Iterator[Source]:
        """The store at a location, whichever of its images is meant. Raises what ``open_source`` raises."""
        with self._places.use((location.transport, location.path, options.limits)) as place:
            yield place.opened(location, options)


class _Place:
    size = 1

    def __init__(self) -> None:
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
