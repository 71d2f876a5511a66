"""Keeps recently fetched blobs on disk, so that several images or targets fetch them only once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

from converter.model.content import Known
from converter.model.descriptor import Digest
from converter.model.limits import GIB
from converter.ports import Source
from converter.stores.base_source import WrappedSource
from converter.stores.resource_pool import ResourcePool
from converter.streams import spool
from converter.streams.blocks import Block, ClosedOnExit, file_blocks

MOST_KEPT = 4 * GIB
"""Bytes kept on disk for later images. A blob in use is never dropped."""


class BlobSpool(ClosedOnExit):
    """Any number of threads may read; a blob is fetched whole, and verified, before any of it is passed on.

    ``fetched`` counts the bytes that came from sources.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._blobs: ResourcePool[Digest, BinaryIO] = ResourcePool(most, _size)
        self._lock = threading.Lock()
        self.fetched = 0

    def close(self) -> None:
        """Free the disk space: the files are unnamed."""
        self._blobs.close()

    def blocks(self, known: Known) -> Iterator[Block]:
        """The bytes of a blob, fetched from its source only once."""
        with self._blobs.use(known.descriptor.digest, lambda: self._fetched(known)) as spooled:
            yield from file_blocks(spooled.fileno(), 0, _size(spooled), named=spool.TEMPORARY)

    def _fetched(self, known: Known) -> BinaryIO:
        spooled = os.fdopen(spool.spool_blocks(known.blocks()), "rb", buffering=0)
        with self._lock:
            self.fetched += _size(spooled)
        return spooled


def _size(spooled: BinaryIO) -> int:
    return os.fstat(spooled.fileno()).st_size


class SharedSource(WrappedSource):
    """A source whose blobs are read several times, and fetched once.

    After ``hold``, blobs go through the spool; until then they are read directly.
    """

    def __init__(self, source: Source, spool: BlobSpool, *, holding: bool = False) -> None:
        super().__init__(source, spool.blocks if holding else lambda known: known.raw())
        self._spool = spool

    def hold(self) -> None:
        """As in Source, even of blobs from an earlier ``fetch``."""
        self._read = self._spool.blocks
