"""Resolves hard links into lower layers, as these are flattened (image-spec 1.1.1, layer.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from converter.streams.tar.fields import parent_name
from converter.validate.entries import LayerEntries

PATHS_AT_ONCE = 100_000
"""Paths and links resolved in one pass over the names of all layers, so that the time grows with the sum of names and
links, not with their product.
"""

_Link = tuple[int, bytes, bytes]
"""A link: the number of its layer, its name, and its target."""


def report_dangling(layers: Sequence[LayerEntries]) -> None:
    """Report the links of ``layers``, base first, whose target is missing."""
    for links, asked in _batches(layers):
        below = _Flattened(asked)
        for number, group in groupby(links, itemgetter(0)):
            for layer in layers[below.height : number]:
                below.add(layer)
            for _, name, target in group:
                if not below.has(target):
                    layers[number].dangling(name, target)


def _batches(layers: Sequence[LayerEntries]) -> Iterator[tuple[list[_Link], set[int]]]:
    """Batches of links, lower layers first, each with the hashes of all paths that can affect them."""
    links: list[_Link] = []
    asked: set[int] = set()
    for number, layer in enumerate(layers):
        for name, target in layer.waiting:
            links.append((number, name, target))
            asked.add(hash(target))
            while target:
                target = parent_name(target)
                asked.add(hash(target))
            if len(links) + len(asked) > PATHS_AT_ONCE:
                yield links, asked
                links, asked = [], set()
    if links:
        yield links, asked


class _Flattened:
    """The lowest layers, for the paths asked about: for each path, the last layer with each kind of entry for it."""

    def __init__(self, asked: set[int]) -> None:
        self._asked = asked
        self._files: dict[int, int] = {}
        self._directories: dict[int, int] = {}
        self._removed: dict[int, int] = {}
        self._emptied: dict[int, int] = {}
        self.height = 0

    def add(self, layer: LayerEntries) -> None:
        """Add the next layer."""
        for known, names in (
            (self._files, layer.files),
            (self._directories, layer.directories),
            (self._removed, layer.removed),
            (self._emptied, layer.emptied),
        ):
            known.update(dict.fromkeys(self._asked.intersection(names), self.height))
        self.height += 1

    def has(self, path: bytes) -> bool:
        """Whether the path is a file that no higher layer has replaced or removed, by itself or with a parent."""
        key = hash(path)
        found = self._files.get(key, -1)
        if found < 0 or found < max(self._directories.get(key, -1), self._removed.get(key, -1)):
            return False
        while path:
            path = parent_name(path)
            key = hash(path)
            if found < max(self._files.get(key, -1), self._emptied.get(key, -1), self._removed.get(key, -1)):
                return False
        return True
