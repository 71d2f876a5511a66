"""Resolves hard links in the layers below their own, as these are flattened (image-spec 1.1.1, layer.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from converter.streams.tar.names import parent
from converter.validate.entries import LayerEntries

AT_ONCE = 100_000
"""Paths and links that are looked for together. The names of all layers are gone through once for so many, so the time
grows with the names and with the links, not with one times the other.
"""

_Link = tuple[int, bytes, bytes]
"""The number of its layer, its name, and what it leads to."""


def judge(layers: Sequence[LayerEntries]) -> None:
    """Tell which links of ``layers``, base first, lead to nothing."""
    for links, asked in _together(layers):
        below = _Flattened(asked)
        for number, group in groupby(links, itemgetter(0)):
            for layer in layers[below.height : number]:
                below.add(layer)
            for _, name, target in group:
                if not below.has(target):
                    layers[number].dangling(name, target)


def _together(layers: Sequence[LayerEntries]) -> Iterator[tuple[list[_Link], set[int]]]:
    """Links, a layer's behind those of the layers below it, with the hashes of all paths that have a say in them."""
    links: list[_Link] = []
    asked: set[int] = set()
    for number, layer in enumerate(layers):
        for name, target in layer.waiting:
            links.append((number, name, target))
            asked.add(hash(target))
            while target:
                target = parent(target)
                asked.add(hash(target))
            if len(links) + len(asked) > AT_ONCE:
                yield links, asked
                links, asked = [], set()
    if links:
        yield links, asked


class _Flattened:
    """The lowest layers, as far as some paths are concerned: which of them was the last to say what of a path."""

    def __init__(self, asked: set[int]) -> None:
        self._asked = asked
        self._files: dict[int, int] = {}
        self._directories: dict[int, int] = {}
        self._removed: dict[int, int] = {}
        self._emptied: dict[int, int] = {}
        self.height = 0

    def add(self, layer: LayerEntries) -> None:
        """The next layer."""
        for known, names in (
            (self._files, layer.files),
            (self._directories, layer.directories),
            (self._removed, layer.removed),
            (self._emptied, layer.emptied),
        ):
            known.update(dict.fromkeys(self._asked.intersection(names), self.height))
        self.height += 1

    def has(self, path: bytes) -> bool:
        """Whether a file is there that nothing of a higher layer has replaced or removed, with what is above it or
        alone.
        """
        key = hash(path)
        found = self._files.get(key, -1)
        if found < 0 or found < max(self._directories.get(key, -1), self._removed.get(key, -1)):
            return False
        while path:
            path = parent(path)
            key = hash(path)
            if found < max(self._files.get(key, -1), self._emptied.get(key, -1), self._removed.get(key, -1)):
                return False
        return True
