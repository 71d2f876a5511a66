"""What the entries of a layer do to each other, and to the layers below (image-spec 1.1.1, layer.md).

They remove by whiteouts ("Whiteouts"), and hide by what they put in the same place ("Applying Changesets").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Generic, TypeVar

from converter.errors import Invalid, LimitExceeded, Unsupported
from converter.model.content import Open
from converter.model.frozen import frozen
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import DIR, FILES, Budget, parent_name, quoted_name, require_contained
from converter.streams.tar.scan import scan_entries

T = TypeVar("T")

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."


@frozen(kw_only=False)
class Removes:
    """``.wh.NAME``: removes ``path`` and everything below it, from lower layers only."""

    path: bytes


@frozen(kw_only=False)
class Empties:
    """``.wh..wh..opq``, anywhere in its layer: removes everything below ``directory``, from lower layers only."""

    directory: bytes


@frozen(kw_only=False)
class Ignored:
    """Internal files of aufs (``.wh..wh.plnk/…``, ``.wh..wh.aufs``): neither a file nor a removal."""


Whiteout = Removes | Empties | Ignored


def whiteout(path: bytes) -> Whiteout | None:
    """What the clean ``path`` of a layer's entry means as a whiteout; None for an ordinary file.

    Raises Invalid for the removal of ``.`` or ``..`` and for files below a reserved name. The caller may skip the call
    if ``.wh.`` is not in the path.
    """
    directory, _, base = path.rpartition(b"/")
    for part in directory.split(b"/"):
        if part.startswith(_AUFS):
            return Ignored()
        if part.startswith(WHITEOUT):
            raise Invalid(f"whiteout {quoted_name(path)}: nothing may be below the reserved name {quoted_name(part)}")
    if not base.startswith(WHITEOUT):
        return None
    if base == OPAQUE:
        return Empties(directory)
    if base.startswith(_AUFS):
        return Ignored()
    removed = base[len(WHITEOUT) :]
    if removed in {b"", b".", b".."}:
        raise Invalid(f"whiteout {quoted_name(path)} does not say what it removes")
    return Removes(directory + b"/" + removed if directory else removed)


def is_whiteout(path: bytes, removed: Callable[[bytes], object], emptied: Callable[[bytes], object]) -> bool:
    """Whether ``path`` is no file; passes on the path that it removes, or the directory that it empties."""
    mark = whiteout(path)
    if isinstance(mark, Removes):
        removed(mark.path)
    elif isinstance(mark, Empties):
        emptied(mark.directory)
    return mark is not None


def require_skippable(entry: Entry) -> None:
    """Pass over GNU records that are not files (volume labels, old lists of names); raise Unsupported for others."""
    if entry.type not in {b"V", b"N"}:
        raise Unsupported(f"entry {quoted_name(entry.name)}: unsupported type {quoted_name(entry.type)}")


MOST_SPENT = 50_000_000
"""Names examined in all, at most: each file that replaces a directory of its own layer costs a scan of all names."""


class EffectiveEntries(Generic[T]):
    """The entries of one layer, applied in order; names are clean. Of each entry, a value is kept."""

    def __init__(self, budget: Budget) -> None:
        """``budget`` counts names of directories that no entry describes twice: ``HiddenPaths`` holds them too."""
        self._budget = budget
        self.entries: dict[bytes, T] = {}
        """The value of the entry that counts for a path, so far."""
        self.directories: dict[bytes, None] = {b"": None}
        """Paths that are directories so far: they have an entry, or something lies below them."""
        self.gone: set[bytes] = set()
        """Paths that it removes from the layers below, by whiteouts, or by files that became directories in it."""
        self.emptied: set[bytes] = set()
        """Directories that it empties in the layers below."""
        self._spent = 0

    def remove(self, path: bytes) -> bool:
        """Apply an entry that is a whiteout, or another that is no file; false if it is one."""
        return b".wh." in path and is_whiteout(path, self.gone.add, self.emptied.add)

    def add(self, path: bytes, above: bytes, value: T, directory: bool) -> list[T]:
        """Apply an entry whose parent is ``above``; returns the values of the entries it replaces, usually none."""
        replaced: list[T] = []
        directories, entries = self.directories, self.entries
        if above not in directories:
            replaced = self._make(above)
        if directory:
            if path in entries:
                replaced.append(entries[path])
                if path not in directories:
                    self.gone.add(path)
            directories[path] = None
        elif path in entries or path in directories:
            replaced += self._clear(path)
        entries[path] = value
        return replaced

    def is_file(self, path: bytes) -> bool:
        """Whether the layer has something other than a directory there."""
        return path in self.entries and path not in self.directories

    def hides(self, path: bytes) -> bool:
        """Whether layers below cannot have a file at this path."""
        if path in self.gone:
            return True
        while path:
            path = parent_name(path)
            if path in self.gone or path in self.emptied or self.is_file(path):
                return True
        return False

    def _make(self, path: bytes) -> list[T]:
        """Make ``path`` and its parents directories; a symbolic link in the way is replaced, never followed."""
        replaced = []
        while path not in self.directories:
            if path in self.entries:
                replaced.append(self.entries.pop(path))
                self.gone.add(path)
            self.directories[path] = None
            self._budget.add(2 * len(path))
            path = parent_name(path)
        return replaced

    def _clear(self, path: bytes) -> list[T]:
        """Remove ``path`` and everything below it."""
        if not path:
            raise Invalid('entry "/" is not a directory')
        replaced = []
        if path in self.entries:
            replaced.append(self.entries.pop(path))
        if path in self.directories:
            self._spent += len(self.entries) + len(self.directories)
            if self._spent > MOST_SPENT:
                raise LimitExceeded(
                    f"layer: {quoted_name(path)} and many more directories are replaced by files of the same layer"
                )
            replaced += [self.entries.pop(name) for name in _paths_below(self.entries, path)]
            for name in _paths_below(self.directories, path):
                del self.directories[name]
            del self.directories[path]
        return replaced


def read_entries(layer: Open, budget: Budget, value: Callable[[Entry], T]) -> EffectiveEntries[T]:
    """What counts in one layer, with a value of each entry. Raises what scanning a layer raises."""
    effective: EffectiveEntries[T] = EffectiveEntries(budget)
    with closing(scan_entries(layer(), budget)) as source:
        for entry in source:
            path = require_contained(entry.name)
            if entry.type in FILES and not effective.remove(path):
                effective.add(path, parent_name(path), value(entry), entry.type == DIR)
    return effective


def _paths_below(paths: Iterable[bytes], path: bytes) -> list[bytes]:
    start = path + b"/"
    return [name for name in paths if name.startswith(start)]


NO_LAYER = 1 << 62

_Lowest = dict[bytes, int]
"""By path, the lowest layer that has something there."""


class HiddenPaths:
    """Paths that hide something, each with the lowest layer that does so. Layers are visited from the top down.

    A layer never hides its own entries: what it adds counts only after ``descend``.
    """

    def __init__(self) -> None:
        self.gone: _Lowest = {}
        """A non-directory or a whiteout: hides the path and everything below it."""
        self.emptied: _Lowest = {}
        """An opaque whiteout: hides everything below the path, but not the path itself."""
        self.directories: _Lowest = {b"": NO_LAYER}
        """A directory, perhaps without an entry of its own: hides non-directories."""
        self.entries: _Lowest = {}
        """A directory with an entry: hides other entries for it."""
        self._blocked: _Lowest = {b"": NO_LAYER}

    def lowest(self, path: bytes, above: bytes, directory: bool) -> int:
        """The lowest layer that hides an entry at ``path``, whose parent is ``above``; or NO_LAYER."""
        lowest = self._blocked.get(above)
        if lowest is None:
            lowest = self._block(above)
        for hiding in (self.gone, self.entries if directory else self.directories):
            layer = hiding.get(path)
            if layer is not None and layer < lowest:
                lowest = layer
        return lowest

    def _block(self, directory: bytes) -> int:
        """The lowest layer that hides everything in ``directory``, or NO_LAYER; cached for the layer's next entries."""
        chain = []
        while directory not in self._blocked:
            chain.append(directory)
            directory = parent_name(directory)
        lowest = self._blocked[directory]
        for path in reversed(chain):
            lowest = min(lowest, self.gone.get(path, NO_LAYER), self.emptied.get(path, NO_LAYER))
            self._blocked[path] = lowest
        return lowest

    def descend(self, layer: int, effective: EffectiveEntries[Any]) -> None:
        """Add what ``layer`` hides, before the one below it is visited."""
        directories = effective.directories
        for path in effective.entries:
            hiding = self.entries if path in directories else self.gone
            hiding[path] = layer
        for hiding, added in (
            (self.gone, effective.gone),
            (self.emptied, effective.emptied),
            (self.directories, directories),
        ):
            for path in added:
                hiding[path] = layer
        self._blocked = {b"": self.emptied.get(b"", NO_LAYER)}
