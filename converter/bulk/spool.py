"""Blobs that were fetched lately, on disk: a source is asked once for what several images or targets need."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

from converter.model.content import Blocks, Known
from converter.model.digest import Digest
from converter.ports import Source
from converter.stores.around import Around
from converter.streams import Block
from converter.streams.blocks import file_blocks

MOST = 4 * 1024**3
"""Bytes that are kept on disk for images to come. A blob in use is never dropped."""


class Spool:
    """Any number of threads may read; a blob is fetched whole, and verified, before any of it is passed on.

    ``fetched`` counts the bytes that came from sources.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[Digest, _Held] = OrderedDict()
        self._lock = threading.Lock()
        self.fetched = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the disk: the files have no names."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def blocks(self, known: Known) -> Iterator[Block]:
        """The bytes of a blob, from its source once."""
        held = self._enter(known.descriptor.digest)
        try:
            with held.lock:
                if held.file is None:
                    held.fill(known)
                    with self._lock:
                        self.fetched += known.descriptor.size
            assert held.file is not None
            yield from file_blocks(held.file.fileno(), 0, held.size)
        finally:
            self._leave(held)

    def _enter(self, digest: Digest) -> _Held:
        with self._lock:
            held = self._held.setdefault(digest, _Held())
            self._held.move_to_end(digest)
            held.users += 1
            return held

    def _leave(self, held: _Held) -> None:
        with self._lock:
            held.users -= 1
            kept = sum(one.size for one in self._held.values())
            for digest, one in list(self._held.items()):
                if kept <= self._most:
                    break
                if not one.users:
                    kept -= one.size
                    one.close()
                    del self._held[digest]


class _Held:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.size = 0
        self.file: IO[bytes] | None = None

    def fill(self, known: Known) -> None:
        file = tempfile.TemporaryFile(prefix="transship-")  # noqa: SIM115 - closed when it is dropped
        try:
            size = 0
            for block in known.blocks():
                file.write(block)
                size += len(block)
            file.flush()
        except BaseException:
            file.close()
            raise
        self.size, self.file = size, file

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class SpooledSource(Around):
    """A source whose blobs come by way of a spool. It opens and closes the other."""

    def __init__(self, source: Source, spool: Spool) -> None:
        super().__init__(source)
        self.local = False
        self._spool = spool

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def _blocks(self, known: Known) -> Blocks:
        return self._spool.blocks(known)
