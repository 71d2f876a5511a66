"""The entries of one layer that have an effect: the last of each name, and none below a non-directory (layer.md)."""

from __future__ import annotations

from converter.errors import Invalid, LimitExceeded
from converter.streams.tar.fields import Budget, parent_name, quoted_name
from converter.streams.whiteout import is_whiteout

MOST_SPENT = 50_000_000
"""Names examined in all, at most: each file that replaces a directory of its own layer costs a scan of all names."""


class EffectiveEntries:
    """The entries of one layer, applied in order; names are clean, entries are identified by ordinal."""

    __slots__ = ("_budget", "_spent", "directories", "emptied", "gone", "ordinals")

    def __init__(self, budget: Budget) -> None:
        """``budget`` counts names of directories that no entry describes twice: ``HiddenPaths`` holds them too."""
        self._budget = budget
        self.ordinals: dict[bytes, int] = {}
        """The entry that counts for a path, so far."""
        self.directories: dict[bytes, None] = {b"": None}
        """Paths that are directories so far: they have an entry, or something lies below them."""
        self.gone: set[bytes] = set()
        """Paths that it removes from the layers below, by whiteouts."""
        self.emptied: set[bytes] = set()
        """Directories that it empties in the layers below."""
        self._spent = 0

    def remove(self, path: bytes) -> bool:
        """Apply an entry that is a whiteout, or another that is no file; false if it is one."""
        return b".wh." in path and is_whiteout(path, self.gone.add, self.emptied.add)

    def add(self, path: bytes, above: bytes, ordinal: int, directory: bool) -> list[int]:
        """Apply an entry whose parent is ``above``; returns the ordinals of the entries it replaces, usually none."""
        replaced: list[int] = []
        directories, ordinals = self.directories, self.ordinals
        if above not in directories:
            replaced = self._make(above)
        if directory:
            if path in ordinals:
                replaced.append(ordinals[path])
            directories[path] = None
        elif path in ordinals or path in directories:
            replaced += self._clear(path)
        ordinals[path] = ordinal
        return replaced

    def is_file(self, path: bytes) -> bool:
        """Whether the layer has something other than a directory there."""
        return path in self.ordinals and path not in self.directories

    def hides(self, path: bytes) -> bool:
        """Whether layers below cannot have a file at this path."""
        if path in self.gone:
            return True
        while path:
            path = parent_name(path)
            if path in self.gone or path in self.emptied or self.is_file(path):
                return True
        return False

    def _make(self, path: bytes) -> list[int]:
        """Make ``path`` and its parents directories; a symbolic link in the way is replaced, never followed."""
        replaced = []
        while path not in self.directories:
            if path in self.ordinals:
                replaced.append(self.ordinals.pop(path))
            self.directories[path] = None
            self._budget.add(2 * len(path))
            path = parent_name(path)
        return replaced

    def _clear(self, path: bytes) -> list[int]:
        """Remove ``path`` and everything below it."""
        if not path:
            raise Invalid('entry "/" is not a directory')
        replaced = []
        if path in self.ordinals:
            replaced.append(self.ordinals.pop(path))
        if path in self.directories:
            self._spent += len(self.ordinals) + len(self.directories)
            if self._spent > MOST_SPENT:
                raise LimitExceeded(
                    f"layer: {quoted_name(path)} and many more directories are replaced by files of the same layer"
                )
            replaced += [self.ordinals.pop(name) for name in _paths_below(self.ordinals, path)]
            for name in _paths_below(self.directories, path):
                del self.directories[name]
            del self.directories[path]
        return replaced


def _paths_below(paths: dict[bytes, int] | dict[bytes, None], path: bytes) -> list[bytes]:
    start = path + b"/"
    return [name for name in paths if name.startswith(start)]
