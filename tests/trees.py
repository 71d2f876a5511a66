"""The file tree that layers make, in memory, for tests to compare; the program keeps it on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from converter.model.content import Open
from converter.streams.tar.listing import Node, TreeListing, decode_node
from converter.streams.tar.tree import list_tree


class Named(NamedTuple):
    """A file, and all its names if it has more than one."""

    node: Node
    names: tuple[bytes, ...] = ()


def tree(layers: Sequence[Open]) -> dict[bytes, Named]:
    """The files that ``layers``, base first, make, by clean name; the root is ``b""``.

    A directory that no entry describes is left out: its attributes are up to the reader of the archive.
    """
    with list_tree(layers) as found:
        return described(found)


def described(found: TreeListing) -> dict[bytes, Named]:
    """The files of a listing that an entry describes, by path."""
    rows = list(found)
    names: dict[bytes, list[bytes]] = {}
    for row in rows:
        if row.names:
            names.setdefault(row.names, []).append(row.path)
    return {row.path: Named(decode_node(row.record), tuple(names.get(row.names, ()))) for row in rows if row.record}
