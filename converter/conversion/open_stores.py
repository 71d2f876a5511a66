"""Stores of many images, opened once for all readers: a layout's index describes all of its images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from converter.model.frozen import frozen
from converter.model.limits import Limits
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import StoreOptions, open_source
from converter.stores.resource_pool import ResourcePool

KEPT = 8
"""The most stores that stay open for later readers: each may hold a file open."""


class OpenStores:
    """The open stores, for any number of threads. Each is seen as it was when it was opened; ``close`` closes all."""

    def __init__(self) -> None:
        self._places: ResourcePool[tuple[str, str, Limits], _OpenStore] = ResourcePool(KEPT)
        self.close = self._places.close

    @contextmanager
    def source(self, location: Location, options: StoreOptions) -> Iterator[Source]:
        """The store at a location, whichever of its images is meant. Raises what ``open_source`` raises."""
        key = (location.transport, location.path, options.limits)
        with self._places.use(key, lambda: _OpenStore(open_source(location, options).__enter__())) as place:
            yield place.source


@frozen(kw_only=False)
class _OpenStore:
    source: Source
    size: ClassVar[int] = 1

    def close(self) -> None:
        self.source.__exit__(None, None, None)
