"""A source whose blobs are costly to read again, read once for several targets: the second reading is from disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO

from converter.model.content import Blocks, Known
from converter.model.digest import Digest
from converter.ports import Source
from converter.stores.around import Around
from converter.streams import Block
from converter.streams.blocks import file_blocks


class Once(Around):
    """Another source, which its opener closes, and a blob of which may be asked for again.

    From ``hold`` on a blob is fetched whole before any of it is passed on; until then everything is read where it is.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._files = ExitStack()
        self._held: dict[Digest, _Spool] = {}
        self._holding = False
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Keep what is read from now on, also of what has been fetched before: it will be read again."""
        self._holding = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def _blocks(self, known: Known) -> Blocks:
        return self._spool(known).blocks() if self._holding else known.raw()

    def _spool(self, known: Known) -> _Spool:
        with self._lock:
            digest = known.descriptor.digest
            if digest not in self._held:
                self._held[digest] = _Spool(known, self._files)
            return self._held[digest]


class _Spool:
    """One blob, in a file without a name once somebody has asked for it."""

    def __init__(self, known: Known, files: ExitStack) -> None:
        self._known = known
        self._files = files
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def blocks(self) -> Iterator[Block]:
        with self._lock:
            if self._file is None:
                import tempfile

                spool = tempfile.TemporaryFile(prefix="transship-")  # noqa: SIM115 - closed when the source is left
                file = self._files.enter_context(spool)
                for block in self._known.blocks():
                    file.write(block)
                file.flush()
                self._file = file
        yield from file_blocks(self._file.fileno(), 0, self._known.descriptor.size)
