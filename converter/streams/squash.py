"""Flattens layers into one tar in a single pass (image-spec 1.1.1, layer.md, "Applying Changesets").

The top layer is read first, so that what is hidden is known before it is read: only the names of entries are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import ClassVar

from converter.errors import within
from converter.model.content import Blocks, LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.streams.blocks import Block, join_blocks
from converter.streams.tar.changesets import (
    NO_LAYER,
    EffectiveEntries,
    HiddenPaths,
    is_whiteout,
    require_skippable,
    whiteout,
)
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import (
    DIR,
    FILES,
    LINK,
    Budget,
    clean_name,
    parent_name,
    require_contained,
)
from converter.streams.tar.headers import add_prefix, merge_globals
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.squash_links import Link, LinkedFile, Links
from converter.streams.tar.write import END
from converter.streams.uncompressed import Superseded


def squash(
    layers: Sequence[Open],
    *,
    prefix: bytes = b"",
    keep: Collection[bytes] | None = None,
    root: bytes = b"",
    after: Blocks = (),
    replaced: Replaced = frozenset(),
    dangling: bool = False,
) -> Iterator[Block]:
    """The tar of the file tree that ``layers``, base first, make; each is opened once, the top one first.

    ``prefix`` (it ends in ``/``) goes before every name. If ``keep`` is given, only these paths stay, with the
    directories above them. ``root`` is the header blocks of an entry for the root, written if no layer has one.
    ``after`` are whole entries. Headers are otherwise verbatim, except for global PAX records, which become the
    entries' own, and hard links, whose target always precedes them and may be another name of the same file.
    With ``dangling`` a hard link to nothing is kept: its target is in an image below.

    A directory may come after its contents: a tar reader creates it, and sets its attributes when its entry comes.

    Raises Invalid for names that lead out of the root and for hard links to nothing, LimitExceeded, StorageFailed if
    hidden files, which a link may still refer to, find no room on disk, and Superseded (an Invalid), after which the
    same call with its ``replaced`` succeeds.
    """
    run = _Squash(layers, prefix=prefix, keep=_kept_paths(keep), replaced=replaced, dangling=dangling)
    return join_blocks(run.output(root, after))


def find_superseded(layers: Sequence[Open]) -> Replaced:
    """What Superseded would report of ``layers``. Reads all of them to the end."""
    found = set()
    for layer, opened in enumerate(layers):
        with within(f"layer[{layer}]"), closing(scan_entries(opened())) as source:
            found |= _find_superseded_in(layer, EffectiveEntries(Budget()), enumerate(source))
    return frozenset(found)


def _find_superseded_in(
    layer: int, effective: EffectiveEntries, source: Iterator[tuple[int, Entry]]
) -> set[tuple[int, int]]:
    found = set()
    for ordinal, entry in source:
        path = entry.name
        if entry.type in FILES and not (b".wh." in path and whiteout(path)):
            found |= {(layer, other) for other in effective.add(path, parent_name(path), ordinal, entry.type == DIR)}
    return found


def _kept_paths(keep: Collection[bytes] | None) -> tuple[frozenset[bytes], frozenset[bytes]] | None:
    """The paths that stay whatever they are, and those that stay if they are directories."""
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
        prefix: bytes,
        keep: tuple[frozenset[bytes], frozenset[bytes]] | None,
        replaced: Replaced,
        dangling: bool,
    ) -> None:
        self._layers = layers
        self._prefix = prefix
        self._keep = keep
        self._replaced = replaced
        self._budget = Budget()
        self._hidden = HiddenPaths()
        self._links = Links(self._written, self._budget, dangling=dangling)
        self._rooted = False

    def output(self, root: bytes, after: Blocks) -> Iterator[Block]:
        try:
            for layer in reversed(range(len(self._layers))):
                with within(f"layer[{layer}]"):
                    yield from self._layer(layer)
            yield from self._links.finish()
            if root and not self._rooted:
                yield root
            yield from after
            yield END
        finally:
            self._links.close()

    def _layer(self, layer: int) -> Iterator[Block]:
        hidden, links, effective = self._hidden, self._links, EffectiveEntries(self._budget)
        gone: list[bytes] = []
        emptied: list[bytes] = []
        listed: list[bytes] = []
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
                if b".wh." in path and is_whiteout(path, gone.append, emptied.append):
                    continue
                above = path.rpartition(b"/")[0]
                replaced = effective.add(path, above, ordinal, directory)
                if replaced and not self._replaced.issuperset((layer, other) for other in replaced):
                    raise self._superseded(layer, path, replaced, effective, numbered)
                lowest = hidden.lowest(path, above, directory)
                counts = (layer, ordinal) not in self._replaced
                stays = counts and lowest == NO_LAYER and (self._keep is None or path in self._keep[directory])
                if directory:
                    listed.append(path)
                    if stays:
                        self._rooted = self._rooted or not path
                        yield self._written(_own_blocks(entry))
                        yield from entry.body
                    continue
                gone.append(path)
                claimed = links.claim(path, layer, lowest) if counts and path in links.needed else None
                if kind == LINK:
                    yield from self._link(entry, layer, stays, effective, claimed)
                elif not stays:
                    yield from links.hidden(path, layer, _own_blocks(entry), entry.body, claimed)
                else:
                    yield self._written(_own_blocks(entry))
                    yield from entry.body
                    if links.local or links.needed or claimed:
                        yield from links.shown(path, layer, claimed)
        effective.ordinals.clear()
        hidden.descend(layer, gone=gone, emptied=emptied, directories=effective.directories, entries=listed)
        links.descend()

    def _link(
        self, entry: Entry, layer: int, stays: bool, effective: EffectiveEntries, claimed: LinkedFile | None
    ) -> Iterator[Block]:
        target = require_contained(clean_name(entry.linkname))
        here = effective.is_file(target) and target != entry.name
        return self._links.link(
            Link(entry.name, _own_blocks(entry), target), layer, stays=stays, here=here, claimed=claimed
        )

    def _written(self, own: bytes) -> bytes:
        return add_prefix(own, self._prefix) if self._prefix else own

    def _superseded(
        self,
        layer: int,
        path: bytes,
        replaced: list[int],
        effective: EffectiveEntries,
        rest: Iterator[tuple[int, Entry]],
    ) -> Superseded:
        """Read the names in the rest of all layers, so that starting again once is enough."""
        found = {*self._replaced, *((layer, other) for other in replaced)}
        found |= _find_superseded_in(layer, effective, rest)
        return Superseded(path, frozenset(found) | find_superseded(self._layers[:layer]))


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
