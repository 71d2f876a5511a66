"""The files of a tree in path order, kept on disk, so that trees of any size can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from converter.streams.blocks import ClosedOnExit
from converter.streams.tar.records import Records

MOST_NAMES = 20
"""Names of one file that are kept; all of them together are covered by a digest."""

_LENGTH = 4


def with_length(name: bytes) -> bytes:
    """A name prefixed with its length, so that others can follow it."""
    return len(name).to_bytes(_LENGTH, "big") + name


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
        head = b"%x %x %x\n" % (len(row.path), len(row.names), row.place)
        self._rows.add(b"".join((head, row.path, row.names, row.record)))

    def add_names(self, count: int, first: bytes) -> int:
        """Add the number of a file's names, and the first of them, framed; returns their place."""
        return self._names.add(b"%x\n%b" % (count, first))

    def names(self, row: Row) -> tuple[int, tuple[bytes, ...]]:
        """The number of a file's names, and the first of them; 0 and none if it has only one."""
        if not row.names:
            return 0, ()
        count, _, rest = self._names[row.place].partition(b"\n")
        first = []
        while rest:
            end = _LENGTH + int.from_bytes(rest[:_LENGTH], "big")
            first.append(rest[_LENGTH:end])
            rest = rest[end:]
        return int(count, 16), tuple(first)

    def __iter__(self) -> Iterator[Row]:
        for data in self._rows:
            head, _, rest = data.partition(b"\n")
            path, names, place = (int(number, 16) for number in head.split())
            yield Row(rest[:path], rest[path + names :], rest[path : path + names], place)
