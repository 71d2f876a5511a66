"""What each layer of an image adds, replaces, deletes and wastes, and the tree of files that remains.

Wasted are the bytes of files that a layer has and a layer above it replaces or removes: they are stored and fetched,
and no container sees them (image-spec 1.1.1, layer.md, "Applying Changesets"). docs/reports.md compares with dive's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from converter.errors import within
from converter.model.content import Open
from converter.streams.tar import fields
from converter.streams.tar.changesets import read_entries
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import Budget
from converter.streams.tar.sparse import real_size


@dataclass(slots=True)
class TreeNode:
    """A file or a directory; ``layer`` is the number of the layer that it comes from, ``size`` that of its content."""

    size: int = 0
    layer: int = 0
    children: dict[bytes, TreeNode] | None = None
    """By name; None for anything but a directory."""


@dataclass(slots=True)
class LayerUse:
    """What one layer does. Files are all but directories; of a hard link, the bytes count where the content is."""

    files: int = 0
    size: int = 0
    added: int = 0
    replaced: int = 0
    deleted: int = 0
    hides: int = 0
    """The bytes in layers below that it replaces or deletes."""
    wasted: int = 0
    """The bytes in it that layers above replace or delete."""


@dataclass(slots=True)
class Repeated:
    """A path of which a layer has bytes that no container sees."""

    copies: int = 1
    """Layers that have or delete this very path."""
    size: int = 0
    """The bytes of all copies."""
    wasted: int = 0
    """The bytes of those that are hidden."""


@dataclass(slots=True)
class ImageUse:
    """The files that layers, base first, make, and what each of these does."""

    root: TreeNode = field(default_factory=lambda: TreeNode(children={}))
    layers: list[LayerUse] = field(default_factory=list)
    repeated: dict[bytes, Repeated] = field(default_factory=dict)
    """By path without a slash before it."""

    @property
    def wasted(self) -> int:
        """The bytes of all files that no container sees."""
        return sum(layer.wasted for layer in self.layers)

    @property
    def size(self) -> int:
        """The bytes of all files in all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def inefficient(self) -> int:
        """The bytes of all copies of paths that several layers have or delete: what dive calls wasted."""
        return sum(one.size for one in self.repeated.values() if one.copies > 1)

    def most_wasted(self, most: int) -> list[tuple[bytes, Repeated]]:
        """The paths that waste most, with at least one byte."""
        found = [(path, one) for path, one in self.repeated.items() if one.wasted]
        return sorted(found, key=lambda row: (-row[1].wasted, row[0]))[:most]


def usage(layers: Sequence[Open]) -> ImageUse:
    """Read every layer once, base first. Raises what scanning a layer raises."""
    found, budget = ImageUse(), Budget()
    for number, layer in enumerate(layers):
        with within(f"layer[{number}]"):
            applied = _Layer(found)
            applied.apply(layer, budget)
            found.layers.append(applied.use)
    return found


def find_node(root: TreeNode, path: bytes) -> TreeNode | None:
    """What is at a path without a slash before it; None if there is nothing."""
    node = root
    for name in path.split(b"/") if path else ():
        below = (node.children or {}).get(name)
        if below is None:
            return None
        node = below
    return node


def files_below(node: TreeNode, path: bytes = b"") -> Iterator[tuple[bytes, TreeNode]]:
    """All that is not a directory at or below a node at ``path``, with its path."""
    waiting = [(path, node)]
    while waiting:
        path, node = waiting.pop()
        if node.children is None:
            yield path, node
            continue
        start = path + b"/" if path else b""
        waiting += [(start + name, child) for name, child in node.children.items()]


class _Layer:
    """Applies one layer to the files of those below it."""

    def __init__(self, usage: ImageUse) -> None:
        self._root, self._repeated = usage.root, usage.repeated
        self._number = len(usage.layers)
        self._below = usage.layers
        self.use = LayerUse()

    def apply(self, layer: Open, budget: Budget) -> None:
        """What the layer removes goes first: whiteouts concern the layers below alone, wherever they stand."""
        effective = read_entries(layer, budget, _content_size)
        for path in sorted(effective.gone, reverse=True):  # what is removed itself, before the directory it is in
            self._remove(path)
        for directory in sorted(effective.emptied):
            node = find_node(self._root, directory)
            if node is not None and node.children:
                self.use.deleted += self._hide(directory, node)
                node.children = {}
        for path, size in effective.entries.items():
            if path in effective.directories:
                self._directory(path).layer = self._number
            else:
                self._put(path, size)

    def _remove(self, path: bytes) -> None:
        above, _, name = path.rpartition(b"/")
        node = find_node(self._root, above)
        if node is None or not node.children or name not in node.children:
            return
        child = node.children.pop(name)
        self.use.deleted += self._hide(path, child)
        if child.children is None:
            self._repeated[path].copies += 1

    def _put(self, path: bytes, size: int) -> None:
        above, _, name = path.rpartition(b"/")
        place = self._directory(above)
        assert place.children is not None
        old = place.children.get(name)
        if old is not None:
            self._hide(path, old)
        again = old is not None or path in self._repeated
        self.use.files += 1
        self.use.size += size
        self.use.replaced += again
        self.use.added += not again
        if path in self._repeated:
            self._repeated[path].copies += 1
            self._repeated[path].size += size
        place.children[name] = TreeNode(size, self._number)

    def _directory(self, path: bytes) -> TreeNode:
        """The directory at a path, made where it is missing, also in place of a file."""
        node, here = self._root, b""
        for name in path.split(b"/") if path else ():
            here = here + b"/" + name if here else name
            assert node.children is not None
            below = node.children.get(name)
            if below is None or below.children is None:
                if below is not None:
                    self._hide(here, below)
                below = node.children[name] = TreeNode(0, self._number, {})
            node = below
        return node

    def _hide(self, path: bytes, node: TreeNode) -> int:
        """Count all files at and below a node, which layers below have, as hidden; returns how many there are."""
        hidden = 0
        for name, file in files_below(node, path):
            hidden += 1
            self.use.hides += file.size
            self._below[file.layer].wasted += file.size
            known = self._repeated.setdefault(name, Repeated(size=file.size))
            known.wasted += file.size
        return hidden


def _content_size(entry: Entry) -> int:
    return real_size(entry) if entry.type == fields.FILE else 0
