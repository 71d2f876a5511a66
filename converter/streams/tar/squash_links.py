"""Hard links while layers are squashed, from the top down: a link that stays must keep its content.

A link names a path; it links the file that its own layer has there by then, or else the one in lower layers. So a link
waits until that file is read. If the file stays, the link follows it. If something above hides it, the first link to it
becomes the file, and the others follow that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from converter.errors import Invalid
from converter.streams.blocks import Block, Blocks
from converter.streams.spool import Spool
from converter.streams.tar.fields import Budget, quoted_name
from converter.streams.tar.headers import relink_entry, rename_entry


class Link(NamedTuple):
    """A hard link: its name, its header blocks, and the target as written there (clean)."""

    name: bytes
    raw: bytes
    target: bytes


class SpooledFile(NamedTuple):
    """Where a hidden file is in the spool: the offset of its header blocks, their length, and that of its body."""

    start: int
    head: int
    size: int


@dataclass(slots=True, eq=False)
class LinkedFile:
    """One file (an inode) that links may still refer to, and the links that wait for it."""

    name: bytes | None = None
    """Its name in the output, once written."""
    spooled: SpooledFile | None = None
    waiting: list[Link] = field(default_factory=list)
    """Links that are to stay."""


class Links:
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

    def claim(self, path: bytes, layer: int, lowest: int) -> LinkedFile | None:
        """The waiters for the file at ``path`` of ``layer``, merged; ``lowest`` is the lowest layer that hides it."""
        waiting = self.needed[path]
        claimed = None
        for observer in [observer for observer in waiting if layer < observer <= lowest]:
            file = waiting.pop(observer)
            if claimed is None:
                claimed = file
            else:
                claimed.waiting += file.waiting
        if not waiting:
            del self.needed[path]
        return claimed

    def shown(self, path: bytes, layer: int, claimed: LinkedFile | None) -> Iterator[Block]:
        """The file at ``path`` of ``layer`` has just been written: write the links that wait for it."""
        self.local.pop(path, None)
        if claimed is not None:
            yield from self._follow(claimed, path)
        self._note_late(path, layer)

    def hidden(self, path: bytes, layer: int, raw: bytes, body: Blocks, claimed: LinkedFile | None) -> Iterator[Block]:
        """The file at ``path`` of ``layer`` is hidden: the first link that waits becomes the file, or it is spooled."""
        file = claimed or LinkedFile()
        self.local[path] = file
        if file.waiting:
            first = file.waiting.pop(0).name
            yield self._write(rename_entry(raw, first))
            yield from body
            yield from self._follow(file, first)
        else:
            file.spooled = self._keep(raw, body)
        self._note_late(path, layer)

    def link(self, link: Link, layer: int, *, stays: bool, here: bool, claimed: LinkedFile | None) -> Iterator[Block]:
        """Handle a hard link; ``here`` says whether its layer has already written, or linked, a file at its target."""
        found = self.local.get(link.target, link.target if here else None)
        if found is None:
            found = self.needed.setdefault(link.target, {}).setdefault(layer, LinkedFile())
        file = _as_linked_file(found)
        if claimed is not None:
            for other in claimed.waiting:
                yield from self._add(file, other)
        self.local[link.name] = file if file.name is None else file.name
        if stays:
            yield from self._add(file, link)
        self._note_late(link.name, layer)

    def descend(self) -> None:
        """Forget what only links of the layer just read could refer to."""
        self.local = {}
        if not self._kept:
            self._spool.clear()

    def finish(self) -> Iterator[Block]:
        """After all layers: write links to later files of their own layer, and links to nothing if allowed.

        Raises Invalid if they are not.
        """
        for target, waiting in self.needed.items():
            for layer, file in waiting.items():
                late = self._late.get((target, layer))
                for link in file.waiting:
                    if late is not None:
                        yield from self._add(late, link)
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

    def _add(self, file: LinkedFile, link: Link) -> Iterator[Block]:
        if file.name is not None:
            yield self._linked(link, file.name)
        elif file.spooled is not None:
            raw, body = self._kept_file(file.spooled)
            file.name = link.name
            yield self._write(rename_entry(raw, link.name))
            yield from body
        else:
            self._budget.add(len(link.raw))
            file.waiting.append(link)

    def _follow(self, file: LinkedFile, name: bytes) -> Iterator[Block]:
        file.name = name
        for link in file.waiting:
            yield self._linked(link, name)
        file.waiting = []

    def _linked(self, link: Link, name: bytes) -> bytes:
        return self._write(link.raw if link.target == name else relink_entry(link.raw, name))

    def _keep(self, raw: bytes, body: Blocks) -> SpooledFile:
        start = self._spool.size
        self._spool.append(raw)
        return SpooledFile(start, len(raw), sum(map(self._spool.append, body)))

    def _kept_file(self, spooled: SpooledFile) -> tuple[bytes, Iterator[Block]]:
        start = spooled.start + spooled.head
        return self._spool.read(spooled.start, spooled.head), self._spool.blocks(start, spooled.size)


def _as_linked_file(found: LinkedFile | bytes) -> LinkedFile:
    return LinkedFile(name=found) if isinstance(found, bytes) else found
