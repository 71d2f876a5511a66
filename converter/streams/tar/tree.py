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
from converter.streams.blocks import on_error
from converter.streams.tar.changesets import is_whiteout, require_skippable
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import (
    DIR,
    FILE,
    FILES,
    LINK,
    Budget,
    clean_name,
    quoted_name,
    require_contained,
)
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


_Leaf = int | _Inode
"""Something that is not a directory. Most files have one name, and are just the place of their record."""


@dataclass(slots=True, eq=False)
class _Dir:
    """A directory; if ``place`` is negative, no entry describes it."""

    place: int = -1
    children: dict[bytes, _Node] = field(default_factory=dict)


_Node = _Dir | _Leaf


def list_tree(layers: Sequence[Open]) -> TreeListing:
    """The files that ``layers``, base first, make; the caller closes the listing.

    Each layer is opened once, and file contents are hashed as they pass. Raises Invalid and LimitExceeded as scanning
    does, Invalid for a hard link to nothing, and StorageFailed.
    """
    budget = Budget()
    with Records() as records:
        tree = _Tree(budget, records)
        for number, opened in enumerate(layers):
            with within(f"layer[{number}]"), closing(scan_entries(opened(), budget)) as source:
                tree.apply(source)
        return tree.flattened()


class _Tree:
    """The tree so far, and that of the layer which is being applied to it."""

    def __init__(self, budget: Budget, records: Records) -> None:
        self._budget = budget
        self._records = records
        self._holes = budget.limits.holes
        self._linked = False
        self._lower = _Dir()

    def apply(self, source: Iterator[Entry]) -> None:
        """Apply the entries of a layer in order; lower layers lose what it hides last, as its links may name that."""
        self._own = _Dir()
        """What the current layer has."""
        self._lost: dict[bytes, _Node] = {}
        """Files of the current layer that later entries of it have replaced: its links may still name them."""
        self._hidden: set[bytes] = set()
        """Paths that the current layer hides in lower ones; of one that ends in ``/``, only what is below."""
        hide = self._hidden.add
        late: list[tuple[_Inode, bytes]] = []
        for entry in source:
            path = require_contained(entry.name)
            if entry.type not in FILES:
                require_skippable(entry)
            elif b".wh." in path and is_whiteout(path, hide, lambda directory: hide(directory + b"/")):
                continue
            elif entry.type == LINK:
                target = require_contained(clean_name(entry.linkname))
                inode = self._file(target)
                if inode is None:
                    inode = _Inode()
                    late.append((inode, target))
                self._linked = True
                self._put_file(path, inode)
            elif entry.type == DIR:
                place = self._record(entry)
                self._directory(path.split(b"/") if path else [], DIRECTORY).place = place
            else:
                self._put_file(path, self._record(entry))
        for inode, target in late:
            found = self._file(target)
            if found is not None and found.end() is not inode:
                inode.leads_to = found.end()
        for path in self._hidden:
            self._remove(path)
        self._merge()

    def flattened(self) -> TreeListing:
        """The tree as a listing; the tree is consumed."""
        if self._linked:
            for path, found in self._walk():
                if isinstance(found, _Inode):
                    found.end().called(path)
        made = TreeListing()
        with on_error(made.close):
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
        return made

    def _row(self, path: bytes, found: _Node, made: TreeListing) -> Row:
        if not isinstance(found, _Inode):
            place = found if isinstance(found, int) else found.place
            return Row(path, self._records[place] if place >= 0 else b"")
        inode = found.end()
        if inode.place < 0:
            raise Invalid(f"hard link {quoted_name(path)}: its target does not exist")
        if inode.count == 1:
            return Row(path, self._records[inode.place])
        if inode.names_at < 0:
            inode.names_at = made.add_names(inode.count, inode.first)
            inode.first = b""
        return Row(path, self._records[inode.place], inode.digest, inode.names_at)

    def _walk(self, *, apart: bool = False) -> Iterator[tuple[bytes, _Node]]:
        """All nodes in order; ``apart`` removes each from the tree once it has been yielded."""
        yield b"", self._lower
        stack = [(b"", self._lower, sorted(self._lower.children, reverse=True))]
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
        if not path:
            raise Invalid('entry "/" is not a directory')
        *above, name = path.split(b"/")
        self._put(self._directory(above), name, path, leaf)

    def _directory(self, parts: list[bytes], size: int = UNDESCRIBED) -> _Dir:
        """The directory whose path has these parts, made if absent; ``size`` is counted if lower layers lack it."""
        directory = self._own
        for number, part in enumerate(parts, 1):
            child = directory.children.get(part)
            if not isinstance(child, _Dir):  # a symbolic link, perhaps: never followed
                child = _Dir()
                place = b"/".join(parts[:number])
                self._put(directory, part, place, child)
                if not isinstance(_descend(self._lower, place), _Dir):
                    self._budget.add(size if number == len(parts) else UNDESCRIBED)
            directory = child
        return directory

    def _put(self, parent: _Dir, name: bytes, path: bytes, found: _Node) -> None:
        if name in parent.children:
            self._keep_replaced(path, parent.children[name])
        parent.children[name] = found

    def _keep_replaced(self, path: bytes, found: _Node) -> None:
        """Remember the files of what is being replaced; they have hidden what lower layers have there."""
        stack = [(path, found)]
        while stack:
            path, found = stack.pop()
            if isinstance(found, _Dir):
                stack += [(path + b"/" + name, child) for name, child in found.children.items()]
            else:
                self._lost[path] = found
                self._hidden.add(path)

    def _file(self, path: bytes) -> _Inode | None:
        """The file at ``path``, even if the layer has replaced it or will remove it; prepared to get more names."""
        return _file_in(self._own, path) or _shared(self._lost, path) or _file_in(self._lower, path)

    def _remove(self, path: bytes) -> None:
        """Remove what lower layers have at ``path`` and below; if it ends in ``/``, only below."""
        above, _, name = path.rpartition(b"/")
        directory = _descend(self._lower, above)
        if isinstance(directory, _Dir):
            if name:
                directory.children.pop(name, None)
            else:
                directory.children.clear()

    def _merge(self) -> None:
        """Put the tree of the layer over that of lower ones."""
        stack = [(self._lower, self._own)]
        while stack:
            lower, upper = stack.pop()
            if upper.place >= 0:
                lower.place = upper.place
            for name, child in upper.children.items():
                below = lower.children.get(name)
                if isinstance(child, _Dir) and isinstance(below, _Dir):
                    stack.append((below, child))
                else:
                    lower.children[name] = child


def _descend(tree: _Dir, path: bytes) -> _Node | None:
    """What is at ``path`` in a tree."""
    found: _Node | None = tree
    for part in path.split(b"/") if path else ():
        found = found.children.get(part) if isinstance(found, _Dir) else None
    return found


def _file_in(tree: _Dir, path: bytes) -> _Inode | None:
    """The file at ``path`` in a tree, prepared to get more names."""
    above, _, name = path.rpartition(b"/")
    directory = _descend(tree, above)
    return _shared(directory.children, name) if isinstance(directory, _Dir) else None


def _shared(files: dict[bytes, _Node], name: bytes) -> _Inode | None:
    found = files.get(name)
    if isinstance(found, int):
        found = files[name] = _Inode(found)
    return found if isinstance(found, _Inode) else None
