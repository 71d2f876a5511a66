"""Flattens layers into one tar in a single pass (image-spec 1.1.1, layer.md, "Applying Changesets").

The top layer is read first, so that what is hidden is known before it is read: only the names of entries are kept.

Hard links are the exception: one that stays must keep its content. A link names a path; it links the file that its own
layer has there by then, or else the one in lower layers. So a link waits until that file is read. If the file stays,
the link follows it. If something above hides it, the first link to it becomes the file, and the others follow that one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from converter.errors import Invalid, within
from converter.model.content import LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.streams.blocks import Block, Blocks, ClosedOnExit, join_blocks
from converter.streams.spool import Spool
from converter.streams.tar.changesets import NO_LAYER, EffectiveEntries, HiddenPaths, require_skippable
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import (
    DIR,
    END,
    FILES,
    LINK,
    Budget,
    clean_name,
    parent_name,
    quoted_name,
    require_contained,
)
from converter.streams.tar.headers import add_prefix, merge_globals, relink_entry, rename_entry
from converter.streams.tar.scan import scan_entries
from converter.streams.uncompressed import Superseded


def squash(
    layers: Sequence[Open],
    *,
    keep: Collection[bytes] | None = None,
    root: bytes = b"",
    after: Blocks = (),
    replaced: Replaced | None = None,
    dangling: bool = False,
) -> Iterator[Block]:
    """The tar of the file tree that ``layers``, base first, make; each is opened once, the top one first.

    If ``keep`` is given, only these paths stay, with the directories above them. With ``root``, the tree is that of an
    ACI: PREFIX goes before every name, and these header blocks are an entry for the root, written if no layer has one.
    ``after`` are whole entries. Headers are otherwise verbatim, except for global PAX records, which become the
    entries' own, and hard links, whose target always precedes them and may be another name of the same file.
    With ``dangling`` a hard link to nothing is kept: its target is in an image below.

    A directory may come after its contents: a tar reader creates it, and sets its attributes when its entry comes.

    Raises Invalid for names that lead out of the root and for hard links to nothing, LimitExceeded, StorageFailed if
    hidden files, which a link may still refer to, find no room on disk, and Superseded (an Invalid), after which the
    same call with the same ``replaced`` succeeds.
    """
    run = _Squash(
        layers,
        keep=_kept_paths(keep),
        root=root,
        replaced=set() if replaced is None else replaced,
        dangling=dangling,
    )
    return join_blocks(run.output(after))


def find_superseded(layers: Sequence[Open]) -> Replaced:
    """What Superseded would report of ``layers``. Reads all of them to the end."""
    found: Replaced = set()
    for layer, opened in enumerate(layers):
        with within(f"layer[{layer}]"), closing(scan_entries(opened())) as source:
            found |= _find_superseded_in(layer, EffectiveEntries(Budget()), enumerate(source))
    return found


def _find_superseded_in(layer: int, effective: EffectiveEntries[int], source: Iterator[tuple[int, Entry]]) -> Replaced:
    found: Replaced = set()
    for ordinal, entry in source:
        path = entry.name
        if entry.type in FILES and not effective.remove(path):
            found |= {(layer, other) for other in effective.add(path, parent_name(path), ordinal, entry.type == DIR)}
    return found


_Kept = tuple[frozenset[bytes], frozenset[bytes]]
"""The paths that stay whatever they are, and those that stay if they are directories."""


def _kept_paths(keep: Collection[bytes] | None) -> _Kept | None:
    if keep is None:
        return None
    paths = frozenset(require_contained(clean_name(path)) for path in keep)
    directories = {b"", *paths}
    for path in paths:
        while path and (path := parent_name(path)) not in directories:
            directories.add(path)
    return paths, frozenset(directories)


class _Squash:
    """One run; while a layer is read, the contents of the layers above it are known."""

    def __init__(
        self,
        layers: Sequence[Open],
        *,
        keep: _Kept | None,
        root: bytes,
        replaced: Replaced,
        dangling: bool,
    ) -> None:
        self._layers = layers
        self._keep = keep
        self._root = root
        self._replaced = replaced
        self._budget = Budget()
        self._hidden = HiddenPaths()
        self._links = Links(self._written, self._budget, dangling=dangling)
        self._rooted = not root
        """Whether no entry for the root has to be added."""

    def output(self, after: Blocks) -> Iterator[Block]:
        with self._links:
            for layer in reversed(range(len(self._layers))):
                with within(f"layer[{layer}]"):
                    yield from self._layer(layer)
            yield from self._links.finish()
            if not self._rooted:
                yield self._root
            yield from after
            yield END

    def _layer(self, layer: int) -> Iterator[Block]:
        hidden, links = self._hidden, self._links
        effective: EffectiveEntries[int] = EffectiveEntries(self._budget)
        with closing(scan_entries(self._layers[layer](), self._budget)) as source:
            numbered = enumerate(source)
            for ordinal, entry in numbered:
                path, kind = entry.name, entry.type
                directory = kind == DIR
                if kind not in FILES:
                    require_skippable(entry)
                    continue
                if b".." in path:
                    require_contained(path)
                if effective.remove(path):
                    continue
                above = path.rpartition(b"/")[0]
                replaced = effective.add(path, above, ordinal, directory)
                if replaced and not self._replaced.issuperset((layer, other) for other in replaced):
                    raise self._superseded(layer, path, replaced, effective, numbered)
                lowest = hidden.lowest(path, above, directory)
                counts = (layer, ordinal) not in self._replaced
                stays = counts and lowest == NO_LAYER and (self._keep is None or path in self._keep[directory])
                if directory:
                    if stays:
                        self._rooted = self._rooted or not path
                        yield self._written(_own_blocks(entry))
                        yield from entry.body
                    continue
                claimed = links.claim(path, layer, lowest) if counts and path in links.needed else []
                if kind == LINK:
                    target = require_contained(clean_name(entry.linkname))
                    link = Link(path, _own_blocks(entry), target)
                    here = effective.is_file(target) and target != path
                    yield from links.link(link, layer, stays=stays, here=here, claimed=claimed)
                elif not stays:
                    yield from links.hidden(path, layer, _own_blocks(entry), entry.body, claimed)
                else:
                    yield self._written(_own_blocks(entry))
                    yield from entry.body
                    if links.local or links.needed or claimed:
                        yield from links.shown(path, layer, claimed)
        if layer:  # nothing is below the base
            hidden.descend(layer, effective)
        links.descend()

    def _written(self, own: bytes) -> bytes:
        return add_prefix(own) if self._root else own

    def _superseded(
        self,
        layer: int,
        path: bytes,
        replaced: list[int],
        effective: EffectiveEntries[int],
        rest: Iterator[tuple[int, Entry]],
    ) -> Superseded:
        """Read the names in the rest of all layers, so that starting again once is enough."""
        self._replaced.update((layer, other) for other in replaced)
        self._replaced |= _find_superseded_in(layer, effective, rest)
        self._replaced |= find_superseded(self._layers[:layer])
        return Superseded(f"layer: {quoted_name(path)} is replaced by a later entry of the same layer")


def _own_blocks(entry: Entry) -> bytes:
    """An entry's header blocks, independent of global PAX headers; a global comment (git's) is dropped."""
    extra = entry.extra
    if extra is None:
        return entry.head
    if not extra.inherited:
        return entry.own
    records = {key: value for key, value in extra.pax.items() if key != b"comment"}
    return merge_globals(entry.own, records) if records else entry.own


@frozen(kw_only=False)
class Flatten:
    """Squashes layers."""

    identity: ClassVar[str] = "flatten"

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        return squash(inputs, replaced=replaced)


class Link(NamedTuple):
    """A hard link: its name, its header blocks, and the target as written there (clean)."""

    name: bytes
    raw: bytes
    target: bytes


@dataclass(slots=True, eq=False)
class LinkedFile:
    """One file (an inode) that links may still refer to, and the links that wait for it."""

    name: bytes | None = None
    """Its name in the output, once written."""
    spooled: tuple[int, int, int] | None = None
    """Where it is in the spool, if it is hidden: the offset of its header blocks, their length, that of its body."""
    waiting: list[Link] = field(default_factory=list)
    """Links that are to stay."""


class Links(ClosedOnExit):
    """The links of all layers.

    ``write`` turns header blocks into output (it adds a prefix), ``budget`` counts the waiting links, and ``dangling``
    allows links to nothing.
    """

    def __init__(self, write: Callable[[bytes], bytes], budget: Budget, *, dangling: bool) -> None:
        self._write = write
        self._budget = budget
        self._dangling = dangling
        self._spool = Spool()
        self._kept = False
        self._late: dict[tuple[bytes, int], LinkedFile] = {}
        self.needed: dict[bytes, dict[int, LinkedFile]] = {}
        """Files that links wait for, by path and by the layer of the links."""
        self.local: dict[bytes, LinkedFile | bytes] = {}
        """Files of the current layer that are not in the output under their own path: hidden ones, and links.

        Files that are there under another name are represented by that name: a layer may have half a million.
        """

    def close(self) -> None:
        """Delete the spool."""
        self._spool.close()

    def claim(self, path: bytes, layer: int, lowest: int) -> list[Link]:
        """The links that wait for the file at ``path`` of ``layer``; ``lowest`` is the lowest layer that hides it."""
        waiting = self.needed[path]
        claimed: list[Link] = []
        for observer in [observer for observer in waiting if layer < observer <= lowest]:
            claimed += waiting.pop(observer).waiting
        if not waiting:
            del self.needed[path]
        return claimed

    def shown(self, path: bytes, layer: int, claimed: Sequence[Link]) -> Iterator[Block]:
        """The file at ``path`` of ``layer`` has just been written: write the links that wait for it."""
        self.local.pop(path, None)
        if claimed:
            yield from self._add(LinkedFile(name=path), claimed)
        self._note_late(path, layer)

    def hidden(self, path: bytes, layer: int, raw: bytes, body: Blocks, claimed: Sequence[Link]) -> Iterator[Block]:
        """The file at ``path`` of ``layer`` is hidden: it is spooled, and the first link that waits becomes it."""
        start = self._spool.size
        self._spool.append(raw)
        file = self.local[path] = LinkedFile(spooled=(start, len(raw), sum(map(self._spool.append, body))))
        yield from self._add(file, claimed)
        self._note_late(path, layer)

    def link(self, link: Link, layer: int, *, stays: bool, here: bool, claimed: Sequence[Link]) -> Iterator[Block]:
        """Handle a hard link; ``here`` says whether its layer has already written, or linked, a file at its target."""
        found = self.local.get(link.target, link.target if here else None)
        if found is None:
            found = self.needed.setdefault(link.target, {}).setdefault(layer, LinkedFile())
        file = _as_linked_file(found)
        yield from self._add(file, claimed)
        self.local[link.name] = file if file.name is None else file.name
        if stays:
            yield from self._add(file, [link])
        self._note_late(link.name, layer)

    def descend(self) -> None:
        """Forget what only links of the layer just read could refer to."""
        self.local = {}
        if not self._kept:
            self._spool.close()
            self._spool = Spool()

    def finish(self) -> Iterator[Block]:
        """After all layers: write links to later files of their own layer, and links to nothing if allowed.

        Raises Invalid if they are not.
        """
        for target, waiting in self.needed.items():
            for layer, file in waiting.items():
                late = self._late.get((target, layer))
                for link in file.waiting:
                    if late is not None:
                        yield from self._add(late, [link])
                    elif self._dangling:
                        yield self._write(link.raw)
                    else:
                        raise Invalid(
                            f"hard link {quoted_name(link.name)}: "
                            f"no file {quoted_name(target)} in layer[{layer}] or below"
                        )

    def _note_late(self, path: bytes, layer: int) -> None:
        """Keep the file at ``path`` for earlier links of ``layer``, in case no lower layer has one."""
        if layer in self.needed.get(path, ()):
            file = _as_linked_file(self.local.get(path, path))
            if file.name is not None or file.spooled is not None:
                self._late[path, layer] = file
                self._kept = self._kept or file.spooled is not None

    def _add(self, file: LinkedFile, links: Sequence[Link]) -> Iterator[Block]:
        """Link a file under more names: the first becomes it if it is hidden, and all wait if it was not read yet."""
        for link in links:
            if file.name is not None:
                yield self._write(link.raw if link.target == file.name else relink_entry(link.raw, file.name))
            elif file.spooled is not None:
                start, head, size = file.spooled
                file.name = link.name
                yield self._write(rename_entry(self._spool.read(start, head), link.name))
                yield from self._spool.blocks(start + head, size)
            else:
                self._budget.add(len(link.raw))
                file.waiting.append(link)


def _as_linked_file(found: LinkedFile | bytes) -> LinkedFile:
    return LinkedFile(name=found) if isinstance(found, bytes) else found
