"""The entries of any tar, and its end (POSIX.1-2001 pax; GNU tar manual); those of a layer, and their effect below.

Hard links into lower layers are resolved as these are flattened (image-spec 1.1.1, layer.md).
"""

from __future__ import annotations

import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from converter.errors import Invalid
from converter.model.descriptor import Digest
from converter.streams.blocks import Blocks
from converter.streams.tar import fields, pax
from converter.streams.tar.changesets import WHITEOUT, Ignored, Removes, whiteout
from converter.streams.tar.entry import Cursor, Entry
from converter.streams.tar.fields import Budget, clean_name, parent_name, quoted_name, type_in_words
from converter.streams.tar.headers import Headers
from converter.streams.tar.scan import Scanner
from converter.streams.tar.sparse import expand_sparse
from converter.validate.findings import Findings, path_of_entry

_DEVICES = frozenset({fields.CHAR, fields.BLOCK})
_plain = re.compile(rb"(?:[0-7]{7}[\0 ]){3}(?:[0-7]{11}[\0 ]){2}").match
"""Whether the numbers of a header, from the mode on, have the usual form, and so need no closer look."""
_TEXTS = frozenset({b"path", b"linkpath", b"uname", b"gname"})
_NUMBERS = ("mode", "uid", "gid", "mtime_ns", "device")
"""Properties of an entry that are parsed when they are asked for, which raises Invalid."""


def scan_tar(
    blocks: Blocks, findings: Findings, place: str, visit: Callable[[Entry], None], budget: Budget | None = None
) -> bool:
    """Read an uncompressed archive as far as possible, and call ``visit`` with each file in it.

    ``budget`` counts over the layers of an image. Returns whether every entry was visited. The blocks are not closed,
    nor read further if the archive is damaged. Any error that they raise must be a StreamFailed: others are damage.
    """
    scanner = Scanner(Cursor(blocks), budget)
    with findings.at(place, "tar/readable"):
        for entry in scanner:
            if _plain(entry.head, 100) is None or entry.extra is not None or entry.type in _DEVICES:
                _header(entry, findings, path_of_entry(place, entry.name))
            if entry.type in fields.FILES:
                visit(entry)
            else:
                fact = f"unsupported type {quoted_name(entry.type)}"
                findings.add("tar/type", path_of_entry(place, entry.name), fact)
        _ending(scanner, findings, place)
        return True
    return False


def _header(entry: Entry, findings: Findings, path: str) -> None:
    for number in _NUMBERS:
        try:  # not ``findings.at``: a layer may have millions of entries
            getattr(entry, number)
        except Invalid as error:
            findings.report(error, path, "tar/field")
    if entry.extra is not None:
        _records(entry, findings, path)


def _records(entry: Entry, findings: Findings, path: str) -> None:
    for record in Headers(entry.own).records:
        if record.flag not in b"xX":
            continue
        seen: set[bytes] = set()
        for key, value in pax.record_pairs(record.data):
            if key in seen and key not in pax.SPARSE_PAIR:
                findings.add("tar/pax-repeated", path, f"PAX record {quoted_name(key)} occurs twice")
            seen.add(key)
            if key in _TEXTS and value.decode(errors="ignore").encode() != value and b"hdrcharset" not in entry.pax:
                fact = f"PAX record {quoted_name(key)}: {quoted_name(value)} is not UTF-8"
                findings.add("tar/pax-encoding", path, fact)
    if entry.type == fields.FILE and entry.sparse:
        with findings.at(path, "tar/sparse"):
            # The map is checked before the first block is yielded.
            next(iter(expand_sparse(entry, sys.maxsize)), None)


def _ending(scanner: Scanner, findings: Findings, place: str) -> None:
    """Check for two blocks of zeros, then only zeros; missing padding of the last entry is the same finding."""
    zeros, garbage = 0, 0
    for block in scanner.trailing():
        rest = block if garbage else bytes(block).lstrip(b"\0")
        zeros += len(block) - len(rest)
        garbage += len(rest)
    if zeros < 2 * fields.SIZE:
        findings.add("tar/end-missing", place, f"{zeros} zeros at the end: expected at least {2 * fields.SIZE}")
    if garbage:
        findings.add("tar/trailing-data", place, f"{garbage} bytes of data after the end")


LINKS_PACKED_AT_ONCE = 256
"""The number of links compressed at once: a call costs more than compressing one link."""

_PAIR = re.compile(rb"([^\0]*)\0([^\0]*)\0")


@dataclass(slots=True)
class PendingLinks:
    """Names and targets of links, compressed, so that half a million in each of many layers fit into memory.

    ``budget`` counts the compressed bytes, over all layers.
    """

    budget: Budget
    _packed: list[bytes] = field(default_factory=list)
    _plain: list[bytes] = field(default_factory=list)

    def add(self, name: bytes, target: bytes) -> None:
        """Raises LimitExceeded."""
        self._plain.append(b"%b\0%b\0" % (name, target))
        if len(self._plain) == LINKS_PACKED_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Compress what is not yet. Raises LimitExceeded."""
        if self._plain:
            packed = zlib.compress(b"".join(self._plain), 1)
            self._plain.clear()
            self._packed.append(packed)
            self.budget.add(len(packed))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for packed in self._packed:
            for match in _PAIR.finditer(zlib.decompress(packed)):
                yield match[1], match[2]


@dataclass(slots=True)
class SeenLayer:
    """What is kept of a layer that was read: how it is packed, and what the layers above ask for."""

    findings: Findings
    place: str
    waiting: PendingLinks
    """Hard links whose target is not in this layer."""
    hashes: tuple[array[int], ...] = ()
    """Those of the names of files, of directories, of what is removed, and of what is emptied: the names need no longer
    be kept. Python keys the hash anew for every process. Empty unless every entry was visited, and the limits had room.
    """
    codec: str | None = None
    """How it is compressed; None if it is no archive."""
    diff_id: Digest | None = None
    """None if it could not be read to its end."""

    def tell(self, rule: str, name: bytes, fact: str) -> None:
        """Report what is wrong with an entry."""
        self.findings.add(rule, path_of_entry(self.place, name), fact)

    def dangling(self, name: bytes, target: bytes) -> None:
        """Report a link whose target is missing."""
        self.tell("tar/link-target", name, f"the target {quoted_name(target)} does not exist")


class LayerEntries:
    """The entries of a layer while it is read; paths are clean. Once finished, the layer has what is kept of them."""

    def __init__(self, layer: SeenLayer) -> None:
        self._layer = layer
        self._tell = layer.tell
        self._order = layer.findings.applies("tar/whiteout-order")
        self._parents: set[bytes] = set()
        self._links = PendingLinks(layer.waiting.budget)
        self._paths: dict[bytes, bool] = {}
        """For each path, whether it is not a directory."""
        self._removed: set[bytes] = set()
        self._emptied: set[bytes] = set()

    def visit(self, entry: Entry) -> None:
        """Check one entry; called in order."""
        name = entry.name
        if b".." in name and b".." in name.split(b"/"):
            self._tell(
                "tar/name-outside",
                entry.written,
                f'{quoted_name(entry.written)} contains "..", which may lead out of the root',
            )
            return
        if entry.written[:1] == b"/" and name:
            self._tell(
                "tar/name-absolute", name, f"{quoted_name(entry.written)} is absolute: names are relative to the root"
            )
        directory = entry.type == fields.DIR
        if not name and not directory:
            self._tell("tar/root", name, f"the root is {type_in_words(entry.type)}: expected a directory")
            return
        if name in self._paths:
            self._tell("tar/duplicate-entry", name, "second entry with this path")
        if WHITEOUT in name and self._whiteout(entry):
            self._paths[name] = False
            return
        self._paths[name] = not directory
        if self._order:
            self._parents.add(parent_name(name))
        if entry.type == fields.LINK:
            self._link(entry)

    def finish(self) -> None:
        """Check the links once all entries were visited."""
        layer = self._layer
        with layer.findings.at(layer.place, "image/limit"):
            self._links.finish()
            for name, target in self._links:
                if target not in self._paths:
                    layer.waiting.add(name, target)
                elif self._paths[target] and target != name:
                    fact = f"the link comes before {quoted_name(target)}, to which it leads"
                    self._tell("tar/link-order", name, fact)
                else:
                    layer.dangling(name, target)
            layer.waiting.finish()
            layer.hashes = self._hashes()

    def _hashes(self) -> tuple[array[int], ...]:
        """Those of all names. Raises LimitExceeded."""
        self._layer.waiting.budget.add(8 * (len(self._paths) + len(self._removed) + len(self._emptied)))
        files = (name for name, file in self._paths.items() if file)
        directories = (name for name, file in self._paths.items() if not file)
        kinds = (files, directories, self._removed, self._emptied)
        return tuple(array("q", map(hash, names)) for names in kinds)

    def _whiteout(self, entry: Entry) -> bool:
        """Whether the entry is a whiteout or reserved name, not a file of the image."""
        try:
            mark = whiteout(entry.name)
        except Invalid as error:
            self._tell("tar/whiteout-name", entry.name, error.fact)
            return True
        if mark is None:
            return False
        if isinstance(mark, Ignored):
            self._tell("tar/whiteout-reserved", entry.name, f"{quoted_name(entry.name)} is reserved for aufs")
            return True
        if entry.type != fields.FILE or entry.size:
            fact = f"the whiteout is {type_in_words(entry.type)} of {entry.size} bytes: expected an empty file"
            self._tell("tar/whiteout-content", entry.name, fact)
        if self._order and parent_name(entry.name) in self._parents:
            self._tell("tar/whiteout-order", entry.name, "the whiteout comes after other entries of its directory")
        if isinstance(mark, Removes):
            self._removed.add(mark.path)
        else:
            self._emptied.add(mark.directory)
        return True

    def _link(self, entry: Entry) -> None:
        target = clean_name(entry.linkname)
        if b".." in target.split(b"/"):
            fact = f'the target {quoted_name(entry.linkname)} contains "..", which may lead out of the root'
            self._tell("tar/link-outside", entry.name, fact)
        elif target == entry.name or not self._paths.get(target, False):
            self._links.add(entry.name, target)


PATHS_AT_ONCE = 100_000
"""Paths and links resolved in one pass over the names of all layers, so that the time grows with the sum of names and
links, not with their product.
"""

_Link = tuple[int, bytes, bytes]
"""A link: the number of its layer, its name, and its target."""


def report_dangling(image: Sequence[SeenLayer | None]) -> None:
    """Report the links of an image's layers, base first, whose target is missing; nothing if a layer was not read."""
    layers = [layer for layer in image if layer is not None and layer.hashes]
    if len(layers) < len(image):
        return
    for links, asked in _batches(layers):
        below = _Flattened(asked)
        for number, group in groupby(links, itemgetter(0)):
            for layer in layers[below.height : number]:
                below.add(layer)
            for _, name, target in group:
                if not below.has(target):
                    layers[number].dangling(name, target)


def _batches(layers: Sequence[SeenLayer]) -> Iterator[tuple[list[_Link], set[int]]]:
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
        self._highest: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        """For each kind of entry, in the order of ``SeenLayer.hashes``, the highest layer that has one, by path."""
        self.height = 0

    def add(self, layer: SeenLayer) -> None:
        """Add the next layer."""
        for highest, hashes in zip(self._highest, layer.hashes, strict=True):
            highest.update(dict.fromkeys(self._asked.intersection(hashes), self.height))
        self.height += 1

    def has(self, path: bytes) -> bool:
        """Whether the path is a file that no higher layer has replaced or removed, by itself or with a parent."""
        files, directories, removed, emptied = self._highest
        key = hash(path)
        found = files.get(key, -1)
        if found < 0 or found < max(directories.get(key, -1), removed.get(key, -1)):
            return False
        while path:
            path = parent_name(path)
            key = hash(path)
            if found < max(files.get(key, -1), emptied.get(key, -1), removed.get(key, -1)):
                return False
        return True
