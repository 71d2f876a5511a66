"""The files of a tree in path order, kept on disk, so that trees of any size can be compared."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import NamedTuple

from converter.streams.blocks import ClosedOnExit
from converter.streams.spool import Spool
from converter.streams.tar.entry import Entry

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

    def close(self) -> None:
        """Delete the temporary file."""
        self._spool.close()

    def add(self, record: bytes) -> int:
        """Add a record; returns its place."""
        place = self.end
        self._added += (len(record).to_bytes(_LENGTH, "big"), record)
        self.end += _LENGTH + len(record)
        if len(self._added) > 2000:
            self._write()
        return place

    def __getitem__(self, place: int) -> bytes:
        if self._added:
            self._write()
        size = int.from_bytes(self._read(place, _LENGTH), "big")
        return self._read(place + _LENGTH, size)

    def __iter__(self) -> Iterator[bytes]:
        place = 0
        while place < self.end:
            record = self[place]
            yield record
            place += _LENGTH + len(record)

    def _read(self, place: int, size: int) -> bytes:
        """The bytes at a place, from the window if they are in it, or else moving that."""
        at = place - self._start
        if not 0 <= at <= len(self._window) - size:
            self._window, self._start = self._spool.read(place, max(size, _WINDOW)), place
            at = 0
        return self._window[at : at + size]

    def _write(self) -> None:
        self._spool.append(b"".join(self._added))
        self._added.clear()
        self._window = b""


class Node(NamedTuple):
    """One file of a tree. Hard links to one file are equal nodes, whichever of them the archive stores as a link."""

    type: bytes
    """A constant of ``fields``, never LINK."""
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    """Bytes of a regular file, holes included."""
    sha256: bytes = b""
    """The digest of a regular file's content."""
    linkname: bytes = b""
    """The target of a symbolic link, as written."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """Names and values, sorted by name."""


_VERSION = 2
"""Of the form of records: from 3 on, equal values may be written in different ways."""


def encode_node(entry: Entry, size: int, sha256: bytes) -> bytes:
    """What an entry says of a file, equal for equal files; ``size`` and ``sha256`` are for regular files."""
    stated = (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        size,
        sha256,
        entry.linkname,
        entry.device,
        tuple(sorted(entry.xattrs.items())),
    )
    return entry.type + marshal.dumps(stated, _VERSION)


def decode_node(record: bytes) -> Node:
    """The file that the record describes."""
    return Node(record[:1], *marshal.loads(record[1:]))  # noqa: S302 - our own temporary file


MOST_NAMES = 20
"""Names of one file that are kept; all of them together are covered by a digest."""


class Row(NamedTuple):
    """A path and the record of the file there, which is empty for a directory that no entry describes.

    ``names`` is a digest of all names of a file that has several; ``place`` is where the first of them are.
    """

    path: bytes
    record: bytes
    names: bytes = b""
    place: int = 0


class TreeListing(ClosedOnExit):
    """Rows in order: a directory before its contents, and the names in a directory by their bytes."""

    def __init__(self) -> None:
        self._rows = Records()
        self._names = Records()

    def close(self) -> None:
        """Delete the temporary files."""
        self._rows.close()
        self._names.close()

    def add(self, row: Row) -> None:
        """Append a row."""
        self._rows.add(marshal.dumps(tuple(row)))

    def add_names(self, count: int, first: bytes) -> int:
        """Add the number of a file's names, and the first of them, each with a NUL after it; returns their place."""
        return self._names.add(marshal.dumps((count, first)))

    def names(self, row: Row) -> tuple[int, tuple[bytes, ...]]:
        """The number of a file's names, and the first of them; 0 and none if it has only one."""
        if not row.names:
            return 0, ()
        count, first = marshal.loads(self._names[row.place])  # noqa: S302 - our own temporary file
        return count, tuple(first.split(b"\0")[:-1])

    def __iter__(self) -> Iterator[Row]:
        for data in self._rows:
            yield Row(*marshal.loads(data))  # noqa: S302 - our own temporary file
