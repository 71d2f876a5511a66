"""Byte strings in a temporary file, so that the descriptions of all files of a tree need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

from converter.streams.blocks import ClosedOnExit
from converter.streams.spool import Spool

_WINDOW = 4096
_LENGTH = 4


class Records(ClosedOnExit):
    """Records, each identified by its place; add all first, then read them, ideally in the order of their places.

    Raises StorageFailed if there is no room for them.
    """

    def __init__(self) -> None:
        self._spool = Spool()
        self._added: list[bytes] = []
        self._window, self._start = b"", 0
        self.end = 0
        """The place of the next record."""
        self._count = 0

    def close(self) -> None:
        """Delete the temporary file."""
        self._spool.close()

    def __len__(self) -> int:
        return self._count

    def add(self, record: bytes) -> int:
        """Add a record; returns its place."""
        place = self.end
        self._added += (len(record).to_bytes(_LENGTH, "big"), record)
        self.end += _LENGTH + len(record)
        self._count += 1
        if len(self._added) > 2000:
            self._write()
        return place

    def __getitem__(self, place: int) -> bytes:
        if self._added:
            self._write()
        at = place - self._start
        if not 0 <= at <= len(self._window) - _LENGTH:
            at = self._read(place, _LENGTH)
        start = at + _LENGTH
        size = int.from_bytes(self._window[at:start], "big")
        if start + size > len(self._window):
            start = self._read(place, _LENGTH + size) + _LENGTH
        return self._window[start : start + size]

    def __iter__(self) -> Iterator[bytes]:
        place = 0
        while place < self.end:
            record = self[place]
            yield record
            place += _LENGTH + len(record)

    def _read(self, place: int, size: int) -> int:
        """Reload the window; returns the place's offset in it."""
        self._window, self._start = self._spool.read(place, max(size, _WINDOW)), place
        return 0

    def _write(self) -> None:
        self._spool.append(b"".join(self._added))
        self._added.clear()
        self._window = b""
