"""The files of a tree that a profile covers, sorted by the bytes of their paths, and their digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.profile import mtree
from converter.profile.mtree import File
from converter.streams.blocks import Block, ClosedOnExit, Meter, join_blocks, metered, on_error
from converter.streams.spool import Spool
from converter.streams.tar import fields
from converter.streams.tar.listing import Node, decode_node

if TYPE_CHECKING:
    from converter.streams.tar.listing import TreeListing

IGNORED_BY_DEFAULT = (
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

ENGINES_ROOT_MODE = "0555"
"""What the root of a deployed tree has in podman's overlay storage, whatever the image says."""

ENGINES_DIRECTORIES = ("/etc",)
"""What container engines make in a tree that does not have it, for the files that they put there."""

UNDESCRIBED = Node(type=fields.DIR, mode=0o755, uid=0, gid=0, mtime_ns=0)
"""A directory that no layer describes, as unpackers make it."""


@frozen
class Scope:
    """What is compared: not the ``ignored`` paths and what is below them; modification times only with ``times``."""

    ignored: tuple[str, ...] = IGNORED_BY_DEFAULT
    times: bool = False

    def paths(self) -> frozenset[bytes]:
        """The ignored paths, without a slash before them."""
        return frozenset(one.strip("/").encode("utf-8", "surrogateescape") for one in self.ignored)

    def covers(self) -> Callable[[bytes], bool]:
        """A function that says whether a path, which has no slash before it, is compared."""
        roots = self.paths()
        below = tuple(root + b"/" for root in roots)
        return lambda path: path not in roots and not path.startswith(below)

    def without(self, mounts: Iterable[bytes]) -> Scope:
        """The scope without what other file systems lie over."""
        over = (os.fsdecode(b"/" + path) for path in mounts)
        return replace(self, ignored=tuple(sorted({*self.ignored, *over})))


Line = tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]
"""The path of a file, its line in the text, and its extended attributes, sorted by name."""


class Contents(ClosedOnExit):
    """The canonical text of a tree, kept on disk, and its digest. A context manager, which deletes the text.

    ``attributes`` are the extended attributes of the files that have some, by path. ``scope`` is what it covers.
    """

    def __init__(self, lines: Iterable[Line], scope: Scope, mounts: Collection[bytes] = ()) -> None:
        """The lines are in the order of their paths, and in the scope, but for the ``mounts`` over the tree, which are
        known once all lines have been read.
        """
        self.attributes: dict[bytes, dict[bytes, bytes]] = {}
        self._text = Spool()
        self._meter = Meter()
        with on_error(self._text.close):
            for block in metered(join_blocks(self._noted(lines)), self._meter):
                self._text.append(block)
        self.scope = scope.without(mounts)

    def close(self) -> None:
        self._text.close()

    def _noted(self, lines: Iterable[Line]) -> Iterator[bytes]:
        """The canonical text, of whose files the attributes are kept."""
        yield mtree.FIRST
        for path, line, attributes in lines:
            if attributes:
                self.attributes[path] = dict(attributes)
            yield line

    @property
    def digest(self) -> Digest:
        """The content digest: that of the canonical text."""
        return self._meter.digest()

    def blocks(self) -> Iterator[Block]:
        """The canonical text."""
        return self._text.blocks(0, self._text.size)

    def lines(self) -> Iterator[bytes]:
        """The canonical text, line by line."""
        rest = b""
        for block in self.blocks():
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line + b"\n"


def of_layers(listing: TreeListing, scope: Scope) -> Contents:
    """The contents of an image. Memory holds one short record for each file while they are sorted."""
    covers = scope.covers()
    # No path has a NUL, and no byte is less: the records are in the order of their paths.
    order = sorted(row.path + b"\0" + row.record for row in listing if covers(row.path))
    return Contents(_decoded_lines(order, times=scope.times), scope)


def _decoded_lines(order: list[bytes], *, times: bool) -> Iterator[Line]:
    for one in order:
        path, _, record = one.partition(b"\0")
        yield line_of(File(path, decode_node(record) if record else UNDESCRIBED), times=times)


def line_of(file: File, *, times: bool) -> Line:
    """What contents hold of a file."""
    return file.path, mtree.format_line(file, times=times), file.node.xattrs
