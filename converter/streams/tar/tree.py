"""The file tree that layers make, as plain data to compare (image-spec 1.1.1, layer.md, "Applying Changesets").

It applies the layers from the base up, independently of ``squash``, with which it shares only the scanner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from converter.errors import Invalid, within
from converter.model.content import Open
from converter.streams.tar.changesets import is_whiteout, require_skippable
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import DIR, FILE, FILES, LINK, Budget, clean_name, quoted_name, require_contained
from converter.streams.tar.listing import MOST_NAMES, Records, Row, TreeListing, encode_node
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.sparse import file_content, real_size

UNDESCRIBED = 256
"""Bytes counted for a directory that no entry describes: one entry may need hundreds of them."""

DIRECTORY = 128
"""Bytes counted, besides its names, for a directory that an entry describes."""


@dataclass(slots=True, eq=False)
class _Inode:
    """A file that links also name; ``place`` is that of its record.

    A file that has not come yet has no place; once it has, ``leads_to`` is set.
    """

    place: int = -1
    leads_to: _Inode | None = None
    count: int = 0
    digest: bytes = b""
    first: bytes = b""
    names_at: int = -1
    """Where the listing keeps its names."""

    def end(self) -> _Inode:
        """The file itself. The way there is shortened: a chain of links may have as many as there are entries."""
        inode = self
        while inode.leads_to is not None:
            inode = inode.leads_to
        step = self
        while step.leads_to is not None:
            step.leads_to, step = inode, step.leads_to
        return inode

    def called(self, path: bytes) -> None:
        """Add a name; called in path order."""
        self.count += 1
        self.digest = blake2b(self.digest + path, digest_size=16).digest()
        if self.count <= MOST_NAMES:
            self.first += path + b"\0"


@dataclass(slots=True, eq=False)
class _Link:
    """One name of a file that may have several."""

    inode: _Inode
    layer: int


_Leaf = int | _Link
"""Something that is not a directory. Most files have one name, and are just the place of their record."""


@dataclass(slots=True, eq=False)
class _Dir:
    """A directory; if ``place`` is negative, no entry describes it."""

    layer: int
    place: int = -1
    children: dict[bytes, _Dir | _Leaf] = field(default_factory=dict)


def list_tree(layers: Sequence[Open]) -> TreeListing:
    """The files that ``layers``, base first, make; the caller closes the listing.

    Each layer is opened once, and file contents are hashed as they pass. Raises Invalid and LimitExceeded as scanning
    does, Invalid for a hard link to nothing, and StorageFailed.
    """
    budget = Budget()
    with Records() as records:
        state = _State(budget, records)
        for number, opened in enumerate(layers):
            with within(f"layer[{number}]"), closing(scan_entries(opened(), budget)) as source:
                state.apply(number, source)
        return state.flattened()


class _State:
    """The tree so far."""

    def __init__(self, budget: Budget, records: Records) -> None:
        self._budget = budget
        self._records = records
        self._root = _Dir(0)
        self._holes = budget.limits.holes
        self._layer = 0
        self._begun = 0
        """Where the records of the current layer begin."""
        self._linked = False
        self._lost: dict[bytes, _Leaf] = {}
        """What entries of the current layer have replaced: its links may still name it."""

    def apply(self, layer: int, source: Iterator[Entry]) -> None:
        """Apply entries in order; whiteouts, which hide only lower layers, are applied last, wherever they are."""
        self._layer, self._begun, self._lost = layer, self._records.end, {}
        hidden: set[bytes] = set()
        late: list[tuple[_Inode, bytes]] = []
        for entry in source:
            path = require_contained(entry.name)
            if entry.type not in FILES:
                require_skippable(entry)
            elif b".wh." in path and is_whiteout(path, hidden.add, lambda directory: hidden.add(directory + b"/")):
                continue
            elif entry.type == LINK:
                target = require_contained(clean_name(entry.linkname))
                inode = self._file(target)
                if inode is None:
                    inode = _Inode()
                    late.append((inode, target))
                self._linked = True
                self._put_file(path, _Link(inode, self._layer))
            elif entry.type == DIR:
                self._put_directory(path, self._record(entry))
            else:
                self._put_file(path, self._record(entry))
        for inode, target in late:
            found = self._file(target)
            if found is not None and found.end() is not inode:
                inode.leads_to = found.end()
        self._remove(hidden)

    def flattened(self) -> TreeListing:
        """The tree as a listing; the tree is consumed."""
        if self._linked:
            for path, found in self._walk():
                if isinstance(found, _Link):
                    found.inode.end().called(path)
        made = TreeListing()
        try:
            undescribed: list[bytes] = []
            for path, found in self._walk(apart=True):
                while undescribed and not path.startswith(undescribed[-1] + b"/"):
                    undescribed.pop()
                if isinstance(found, _Dir) and found.place < 0 and path:
                    undescribed.append(path)
                    continue
                for above in undescribed:
                    made.add(Row(above, b""))
                undescribed.clear()
                made.add(self._row(path, found, made))
        except BaseException:
            made.close()
            raise
        return made

    def _row(self, path: bytes, found: _Dir | _Leaf, made: TreeListing) -> Row:
        if not isinstance(found, _Link):
            place = found if isinstance(found, int) else found.place
            return Row(path, self._records[place] if place >= 0 else b"")
        inode = found.inode.end()
        if inode.place < 0:
            raise Invalid(f"hard link {quoted_name(path)}: its target does not exist")
        if inode.count == 1:
            return Row(path, self._records[inode.place])
        if inode.names_at < 0:
            inode.names_at = made.add_names(inode.count, inode.first)
            inode.first = b""
        return Row(path, self._records[inode.place], inode.digest, inode.names_at)

    def _walk(self, *, apart: bool = False) -> Iterator[tuple[bytes, _Dir | _Leaf]]:
        """All nodes in order; ``apart`` removes each from the tree once it has been yielded."""
        yield b"", self._root
        stack = [(b"", self._root, sorted(self._root.children, reverse=True))]
        while stack:
            above, directory, names = stack[-1]
            if not names:
                stack.pop()
                continue
            name = names.pop()
            child = directory.children.pop(name) if apart else directory.children[name]
            path = above + b"/" + name if above else name
            yield path, child
            if isinstance(child, _Dir):
                stack.append((path, child, sorted(child.children, reverse=True)))

    def _record(self, entry: Entry) -> int:
        size, digest = 0, b""
        if entry.type == FILE:
            size = real_size(entry)
            self._holes -= max(0, size - entry.size)
            hasher = sha256()
            for block in file_content(entry, self._holes + size - entry.size):
                hasher.update(block)
            digest = hasher.digest()
        if entry.pax:
            self._budget.add(sum(len(name) + len(value) for name, value in entry.xattrs.items()))
        return self._records.add(encode_node(entry, size, digest))

    def _put_file(self, path: bytes, leaf: _Leaf) -> None:
        directory, name = self._parent(path)
        if not name:
            raise Invalid('entry "/" is not a directory')
        if name in directory.children:
            self._keep_replaced(path, directory.children[name])
        directory.children[name] = leaf

    def _put_directory(self, path: bytes, place: int) -> None:
        parent, name = self._parent(path)
        directory = parent.children.get(name) if name else parent
        if not isinstance(directory, _Dir):
            if directory is not None:
                self._keep_replaced(path, directory)
            directory = parent.children[name] = _Dir(self._layer)
            self._budget.add(DIRECTORY)
        directory.layer, directory.place = self._layer, place

    def _parent(self, path: bytes) -> tuple[_Dir, bytes]:
        """The directory of ``path``, created if absent, and the last part of the path."""
        directory = self._root
        *above, name = path.split(b"/")
        for number, part in enumerate(above):
            child = directory.children.get(part)
            if not isinstance(child, _Dir):
                if child is not None:  # a symbolic link, perhaps: never followed
                    self._keep_replaced(b"/".join(above[: number + 1]), child)
                child = directory.children[part] = _Dir(self._layer)
                self._budget.add(UNDESCRIBED)
            directory = child
        return directory, name

    def _file(self, path: bytes) -> _Inode | None:
        """The file at ``path``, even if the layer has replaced it or will remove it; prepared to get more names."""
        *above, name = path.split(b"/")
        directory = _descend(self._root, above)
        found = directory.children.get(name) if isinstance(directory, _Dir) else None
        if isinstance(found, int) and isinstance(directory, _Dir):
            found = directory.children[name] = _Link(_Inode(found), self._layer_of(found))
        elif not isinstance(found, _Link):
            found = self._lost.get(path)
            if isinstance(found, int):
                found = self._lost[path] = _Link(_Inode(found), self._layer_of(found))
        return found.inode if found is not None else None

    def _layer_of(self, found: _Dir | _Leaf) -> int:
        """The layer that something belongs to; all layers below the current one are treated alike."""
        if isinstance(found, int):
            return self._layer if found >= self._begun else -1
        return found.layer

    def _keep_replaced(self, path: bytes, found: _Dir | _Leaf) -> None:
        """Remember the files of what is being replaced."""
        stack = [(path, found)]
        while stack:
            path, found = stack.pop()
            if isinstance(found, _Dir):
                stack += [(path + b"/" + name, child) for name, child in found.children.items()]
            else:
                self._lost[path] = found

    def _remove(self, hidden: set[bytes]) -> None:
        """Remove what lower layers have at these paths and below; for a path that ends in ``/``, only below."""
        emptied: set[bytes] = set()
        for path in sorted(hidden):
            place = path.rstrip(b"/")
            above = place
            while above and above not in emptied:
                above = above.rpartition(b"/")[0]
            if above in emptied:
                continue
            found = _descend(self._root, place.split(b"/") if place else [])
            if isinstance(found, _Dir):
                emptied.add(place)
                self._prune(found)
                if found.layer < self._layer and path == place:
                    found.place = -1
            elif found is not None and self._layer_of(found) < self._layer and path == place:
                parent, name = self._parent(place)
                del parent.children[name]

    def _prune(self, directory: _Dir) -> None:
        stack = [directory]
        while stack:
            directory = stack.pop()
            for name, child in list(directory.children.items()):
                if isinstance(child, _Dir):
                    stack.append(child)
                    if child.layer < self._layer:
                        child.place = -1
                elif self._layer_of(child) < self._layer:
                    del directory.children[name]


def _descend(found: _Dir | _Leaf | None, parts: list[bytes]) -> _Dir | _Leaf | None:
    for part in parts:
        found = found.children.get(part) if isinstance(found, _Dir) else None
    return found
