"""Puts a cache of blobs in front of a source that is costly to read, so that no blob is fetched twice."""

from __future__ import annotations

from collections.abc import Iterator

from converter.cache.blobs import BlobFolder
from converter.model.content import Known
from converter.ports import Source
from converter.stores.wrapped import WrappedSource
from converter.streams import Block


class CachedSource(WrappedSource):
    """A source in front of which cached blobs are looked up."""

    def __init__(self, source: Source, blobs: BlobFolder) -> None:
        super().__init__(source)
        self._kept = blobs

    def _blocks(self, known: Known) -> Iterator[Block]:
        there = self._kept.find(known.descriptor)
        if there is not None:
            yield from there.raw()
            return
        with self._kept.keeping(known.blocks()) as (passing, keep):
            yield from passing
            keep(known.descriptor.digest)
