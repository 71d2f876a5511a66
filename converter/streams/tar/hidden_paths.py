"""What upper layers hide in the layers below them (image-spec 1.1.1, layer.md, "Applying Changesets")."""

from __future__ import annotations

from collections.abc import Iterable

from converter.streams.tar.fields import parent_name

NO_LAYER = 1 << 62


class HiddenPaths:
    """Paths that hide something, each with the lowest layer that does so. Layers are visited from the top down.

    A layer never hides its own entries: what it adds counts only after ``descend``.
    """

    __slots__ = ("_blocked", "directories", "emptied", "entries", "gone")

    def __init__(self) -> None:
        self.gone: dict[bytes, int] = {}
        """A non-directory or a whiteout: hides the path and everything below it."""
        self.emptied: dict[bytes, int] = {}
        """An opaque whiteout: hides everything below the path, but not the path itself."""
        self.directories: dict[bytes, int] = {b"": NO_LAYER}
        """A directory, perhaps without an entry of its own: hides non-directories."""
        self.entries: dict[bytes, int] = {}
        """A directory with an entry: hides other entries for it."""
        self._blocked: dict[bytes, int] = {b"": NO_LAYER}

    def lowest(self, path: bytes, above: bytes, directory: bool) -> int:
        """The lowest layer that hides an entry at ``path``, whose parent is ``above``; or NOBODY."""
        lowest = self._blocked.get(above)
        if lowest is None:
            lowest = self._block(above)
        for hiding in (self.gone, self.entries if directory else self.directories):
            layer = hiding.get(path)
            if layer is not None and layer < lowest:
                lowest = layer
        return lowest

    def _block(self, directory: bytes) -> int:
        """The lowest layer that hides everything in ``directory``, or NOBODY; cached for the layer's next entries."""
        chain = []
        while directory not in self._blocked:
            chain.append(directory)
            directory = parent_name(directory)
        lowest = self._blocked[directory]
        for path in reversed(chain):
            lowest = min(lowest, self.gone.get(path, NO_LAYER), self.emptied.get(path, NO_LAYER))
            self._blocked[path] = lowest
        return lowest

    def descend(
        self,
        layer: int,
        *,
        gone: Iterable[bytes],
        emptied: Iterable[bytes],
        directories: Iterable[bytes],
        entries: Iterable[bytes],
    ) -> None:
        """Add what ``layer`` hides, before the one below it is visited."""
        for known, added in (
            (self.gone, gone),
            (self.emptied, emptied),
            (self.directories, directories),
            (self.entries, entries),
        ):
            for path in added:
                known[path] = layer
        self._blocked = {b"": self.emptied.get(b"", NO_LAYER)}
