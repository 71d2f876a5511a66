"""Byte strings in a temporary file: the description of every file of a tree need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Self

from converter.errors import StorageFailed

IN_MEMORY = 1024 * 1024
"""Bytes that are not written to disk."""
_WINDOW = 4096
_LENGTH = 4


class Records:
    """Records, each known by its place; they are added first, and then read, best in the order of their places.

    Raises StorageFailed where there is no room for them.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - close() ends it
        self._added: list[bytes] = []
        self._window, self._start = b"", 0
        self.end = 0
        """The place of the next record."""
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete them."""
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, record: bytes) -> int:
        """Give the place of the record."""
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
        """Read the window anew; returns where in it the place is."""
        self._file.seek(place)
        self._window, self._start = self._file.read(max(size, _WINDOW)), place
        return 0

    def _write(self) -> None:
        try:
            self._file.seek(0, 2)
            self._file.write(b"".join(self._added))
        except OSError as error:
            raise StorageFailed(f"temporary file: got {error.strerror!r}, want room for a list of files") from error
        self._added.clear()
        self._window = b""
