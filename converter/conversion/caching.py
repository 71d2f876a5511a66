"""A source that is costly to read, with a cache of blobs in front: what was fetched once is fetched no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from converter.cache.blobs import Blobs
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment
from converter.ports import Source
from converter.streams import Block


class Caching:
    """Wraps an open source, which its opener closes."""

    def __init__(self, source: Source, blobs: Blobs) -> None:
        self.local = source.local
        self.unpacked = source.unpacked
        self._source = source
        self._blobs = blobs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The blobs stay; nothing is open."""

    def names(self) -> tuple[str, ...]:
        return self._source.names()

    def resolve(self, name: str) -> Descriptor:
        return self._source.resolve(name)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        return self._source.attachments(subject)

    def fetch(self, descriptor: Descriptor) -> Known:
        known = self._source.fetch(descriptor)
        return known if known.absent else Known(known.descriptor, lambda: self._raw(known))

    def _raw(self, known: Known) -> Iterator[Block]:
        there = self._blobs.find(known.descriptor)
        if there is not None:
            yield from there.raw()
            return
        with self._blobs.keeping(known.blocks()) as (passing, keep):
            yield from passing
            keep(known.descriptor.digest)
