"""The files of a tree that a profile speaks of, sorted by the bytes of their paths, and their digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Self

from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.profile import mtree
from converter.profile.mtree import File
from converter.streams.tar import fields
from converter.streams.tar.listing import TreeListing
from converter.streams.tar.node import Node, decode_node
from converter.streams.tar.records import Records

VOLATILE = (
    "/.dockerenv",
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/sys",
)
"""What container engines put into a tree when they run it."""

UNDESCRIBED = Node(type=fields.DIR, mode=0o755, uid=0, gid=0, mtime_ns=0)
"""A directory that no layer describes, as unpackers make it."""

_PLACE = 8


@frozen
class Scope:
    """What is compared: not the ``ignored`` paths and what is below them; modification times only with ``times``."""

    ignored: tuple[str, ...] = VOLATILE
    times: bool = False

    def covers(self) -> Callable[[bytes], bool]:
        """A function that says whether a path, which has no slash before it, is compared."""
        roots = frozenset(one.strip("/").encode("utf-8", "surrogateescape") for one in self.ignored)
        below = tuple(root + b"/" for root in roots)
        return lambda path: path not in roots and not path.startswith(below)


class Contents:
    """The files in order, kept on disk: memory holds their paths only. A context manager, which deletes them."""

    def __init__(self, listing: TreeListing, scope: Scope) -> None:
        self.scope = scope
        self._records = Records()
        covers = scope.covers()
        self._order = [
            row.path + b"\0" + self._records.add(row.record).to_bytes(_PLACE, "big")
            for row in listing
            if covers(row.path)
        ]
        self._order.sort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[File]:
        for one in self._order:
            record = self._records[int.from_bytes(one[-_PLACE:], "big")]
            yield File(one[: -_PLACE - 1], decode_node(record) if record else UNDESCRIBED)

    def lines(self) -> Iterator[bytes]:
        """The canonical text, line by line."""
        yield mtree.FIRST
        for file in self:
            yield mtree.format_line(file, times=self.scope.times)

    def digest(self) -> Digest:
        """The content digest: that of the canonical text."""
        return digest_of(self.lines())


def digest_of(lines: Iterable[bytes]) -> Digest:
    """The digest of a text in lines."""
    hasher = sha256()
    for one in lines:
        hasher.update(one)
    return Digest(algorithm="sha256", encoded=hasher.hexdigest())
