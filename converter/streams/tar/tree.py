"""The file tree that layers make, as plain data to compare (image-spec 1.1.1, layer.md, "Applying Changesets").

It applies the layers from the base up, unlike ``squash``, with which it has only the scanner in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from converter.errors import Invalid, Unsupported, within
from converter.model.limits import GIB, Limits, in_force
from converter.streams import Blocks
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import DIR, FILE, FILES, LINK
from converter.streams.tar.held import Held
from converter.streams.tar.names import clean, contained, shown
from converter.streams.tar.scan import entries
from converter.streams.tar.sparse import content, real_size
from converter.streams.whiteout import Empties, Removes, whiteout

T = TypeVar("T")

Open = Callable[[], Blocks]

UNDESCRIBED = 256
"""Bytes that a directory takes which no entry describes: one entry may need hundreds of them."""

MOST_VALUES = 10_000
"""How many are remembered in order to be shared: where each file has another, nothing is saved by it."""

MOST_HOLES = 4 * GIB
"""Bytes of holes of sparse files that are hashed; more are taken for an attack."""


class Node(NamedTuple):
    """One file of a tree. Hard links to one file are equal nodes, whichever the archive has as the link."""

    type: bytes
    """A constant of ``fields``, never LINK."""
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    """Bytes of a regular file, holes included."""
    linkname: bytes = b""
    """The target of a symbolic link, as it is written."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """Names and values, by name."""
    sha256: bytes = b""
    """The digest of a regular file's content."""
    links: tuple[bytes, ...] = ()
    """All names of the file, where it has more than one."""


@dataclass(slots=True, eq=False)
class _Inode:
    """A file with one name or more, and its first name; a link whose file has not come yet has an empty one, which then
    leads to it.
    """

    layer: int
    node: Node | None = None
    leads_to: _Inode | None = None
    linked: bool = False

    @property
    def inode(self) -> _Inode:
        return self

    def end(self) -> _Inode:
        inode = self
        while inode.leads_to is not None:
            inode = inode.leads_to
        return inode


@dataclass(slots=True, eq=False)
class _Link:
    """One more name of a file."""

    inode: _Inode
    layer: int


_Leaf = _Inode | _Link
"""A name of something that is no directory. Most have one: it takes no memory of its own."""


@dataclass(slots=True, eq=False)
class _Dir:
    """A directory; without ``node`` no entry describes it."""

    layer: int
    node: Node | None = None
    children: dict[bytes, _Dir | _Leaf] = field(default_factory=dict)


def tree(
    layers: Sequence[Open], limits: Limits | None = None, like: Mapping[bytes, Node] = MappingProxyType({})
) -> dict[bytes, Node]:
    """The files that ``layers``, base first, make, by clean name; the root is ``b""``.

    ``like`` is a tree that is held already: files that are the same in it are not held twice.

    Each layer is opened once and its contents are hashed as they pass. A directory that no entry describes is left out:
    its attributes are whatever the reader of the archive likes. Raises Invalid and LimitExceeded as scanning does, and
    Invalid for a hard link to nothing.
    """
    limits = limits or in_force()
    held = Held(limits)
    state = _State(held, like)
    for number, opened in enumerate(layers):
        with within(f"layer[{number}]"), closing(entries(opened(), limits, held)) as source:
            state.apply(number, source)
    return state.flattened()


class _State:
    """The tree so far."""

    def __init__(self, held: Held, like: Mapping[bytes, Node]) -> None:
        self._held = held
        self._like = like
        self._values: dict[Any, Any] = {}
        self._root = _Dir(0)
        self._holes = MOST_HOLES
        self._layer = 0
        self._lost: dict[bytes, _Inode] = {}
        """What entries of the layer being applied have replaced, for its links may still name it."""

    def apply(self, layer: int, source: Iterator[Entry]) -> None:
        """Entries in order; whiteouts, which hide lower layers alone, wherever they stand, at the end."""
        self._layer, self._lost = layer, {}
        whited: set[bytes] = set()
        late: list[tuple[_Inode, bytes]] = []
        for entry in source:
            path = contained(entry.name)
            if entry.type not in FILES:
                if entry.type not in {b"V", b"N"}:
                    raise Unsupported(f"entry {shown(path)}: got the type {shown(entry.type)}, want a file")
            elif b".wh." in path and (mark := whiteout(path)):
                if isinstance(mark, Removes):
                    whited.add(mark.path)
                elif isinstance(mark, Empties):
                    whited.add(mark.directory + b"/")
            elif entry.type == LINK:
                target = contained(clean(entry.linkname))
                inode = self._file(target)
                if inode is None:
                    inode = _Inode(self._layer)
                    late.append((inode, target))
                inode.linked = True
                self._put_file(path, _Link(inode, self._layer))
            elif entry.type == DIR:
                self._put_directory(path, self._node(path, entry))
            else:
                self._put_file(path, _Inode(self._layer, self._node(path, entry)))
        for inode, target in late:
            found = self._file(target)
            if found is not None and found.end() is not inode:
                inode.leads_to = found.end()
                inode.leads_to.linked = True
        self._remove(whited)

    def flattened(self) -> dict[bytes, Node]:
        """The tree as a flat mapping. It is taken apart meanwhile, so that it is not in memory twice."""
        found: dict[bytes, Node] = {}
        names: dict[int, tuple[_Inode, list[bytes]]] = {}
        stack = [(b"", self._root)]
        while stack:
            path, directory = stack.pop()
            if directory.node is not None:
                found[path] = directory.node
            while directory.children:
                name, child = directory.children.popitem()
                below = path + b"/" + name if path else name
                if isinstance(child, _Dir):
                    stack.append((below, child))
                    continue
                inode = child.inode.end()
                if inode.node is None:
                    raise Invalid(f"hard link {shown(below)}: got a target that is not there, want a file")
                found[below] = inode.node
                if inode.linked:
                    names.setdefault(id(inode), (inode, []))[1].append(below)
        for inode, linked in names.values():
            if len(linked) > 1 and inode.node is not None:
                node = inode.node._replace(links=tuple(sorted(linked)))
                known = self._like.get(node.links[0])
                node = known if known == node else node
                found.update(dict.fromkeys(linked, node))
        return found

    def _node(self, path: bytes, entry: Entry) -> Node:
        size, digest = 0, b""
        if entry.type == FILE:
            size = real_size(entry)
            self._holes -= max(0, size - entry.size)
            hasher = sha256()
            for block in content(entry, self._holes + size - entry.size):
                hasher.update(block)
            digest = hasher.digest()
        xattrs = tuple(sorted(entry.xattrs.items()))
        self._held.add(sum(len(name) + len(value) for name, value in xattrs))
        node = Node(
            type=entry.type,
            mode=self._once(entry.mode),
            uid=self._once(entry.uid),
            gid=self._once(entry.gid),
            mtime_ns=self._once(entry.mtime_ns),
            size=size,
            linkname=entry.linkname,
            device=self._once(entry.device),
            xattrs=xattrs,
            sha256=self._once(digest),
        )
        known = self._like.get(path)
        return known if known == node else node

    def _once(self, value: T) -> T:
        """An equal value that is held already, else this one: thousands of files have few owners, modes and times."""
        known: T = self._values.get(value, value)
        if len(self._values) < MOST_VALUES:
            self._values[value] = known
        return known

    def _put_file(self, path: bytes, leaf: _Leaf) -> None:
        directory, name = self._parent(path)
        if not name:
            raise Invalid("entry '/': got a file that is no directory, want one")
        if name in directory.children:
            self._lose(path, directory.children[name])
        directory.children[name] = leaf

    def _put_directory(self, path: bytes, node: Node) -> None:
        parent, name = self._parent(path)
        directory = parent.children.get(name) if name else parent
        if not isinstance(directory, _Dir):
            if directory is not None:
                self._lose(path, directory)
            directory = parent.children[name] = _Dir(self._layer)
        directory.layer, directory.node = self._layer, node

    def _parent(self, path: bytes) -> tuple[_Dir, bytes]:
        """The directory of ``path``, made where there is none, and the last part of the path."""
        directory = self._root
        *above, name = path.split(b"/")
        for number, part in enumerate(above):
            child = directory.children.get(part)
            if not isinstance(child, _Dir):
                if child is not None:  # a symbolic link, perhaps: never followed
                    self._lose(b"/".join(above[: number + 1]), child)
                child = directory.children[part] = _Dir(self._layer)
                self._held.add(UNDESCRIBED)
            directory = child
        return directory, name

    def _file(self, path: bytes) -> _Inode | None:
        """The file at ``path``, also one that the layer has replaced or is about to remove."""
        found = _descend(self._root, path.split(b"/"))
        return found.inode if isinstance(found, _Leaf) else self._lost.get(path)

    def _lose(self, path: bytes, found: _Dir | _Leaf) -> None:
        """Remember the files of what is being replaced."""
        stack = [(path, found)]
        while stack:
            path, found = stack.pop()
            if isinstance(found, _Leaf):
                self._lost[path] = found.inode
            else:
                stack += [(path + b"/" + name, child) for name, child in found.children.items()]

    def _remove(self, whited: set[bytes]) -> None:
        """Remove what lower layers have at these paths and below; with a ``/`` at the end, only below."""
        emptied: set[bytes] = set()
        for path in sorted(whited):
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
                    found.node = None
            elif isinstance(found, _Leaf) and found.layer < self._layer and path == place:
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
                        child.node = None
                elif child.layer < self._layer:
                    del directory.children[name]


def _descend(found: _Dir | _Leaf | None, parts: list[bytes]) -> _Dir | _Leaf | None:
    for part in parts:
        found = found.children.get(part) if isinstance(found, _Dir) else None
    return found
