"""The files of an image as they are in a container of it, found from the top layer down.

A layer is read only while the layers above it leave something open (image-spec 1.1.1, layer.md, "Applying Changesets").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from converter.errors import Invalid, NotFound, within
from converter.model.content import Open
from converter.streams.blocks import Block
from converter.streams.tar import fields
from converter.streams.tar.changesets import NO_LAYER, EffectiveEntries, HiddenPaths, read_entries
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import Budget, clean_name, parent_name, quoted_name, require_contained
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.sparse import file_content, real_size

MOST_DEEP = 1 << 62
"""More than the parts of any path."""

MOST_LINKS = 40
"""Symbolic links followed on the way to one file, as in Linux."""


class File(NamedTuple):
    """A file, its path without a slash before it, and the number of the layer that it comes from."""

    path: bytes
    entry: Entry | None
    """What the layer says of it; None for a directory that no layer describes."""
    layer: int

    @property
    def is_directory(self) -> bool:
        """Whether there can be files in it."""
        return self.entry is None or self.entry.type == fields.DIR


class Files:
    """The files that ``layers``, base first, make. Raises what scanning a layer raises, when one is read."""

    def __init__(self, layers: Sequence[Open]) -> None:
        self._layers = layers
        self._budget = Budget()
        self._read: dict[int, EffectiveEntries[Entry]] = {}
        """Those that have been read, by their numbers."""

    @property
    def layers_read(self) -> int:
        """How many layers have been read so far."""
        return len(self._read)

    def find(self, path: bytes) -> File:
        """The file at a path, as a process in the container finds it: through symbolic links. Raises NotFound."""
        left, here, followed = clean_name(path).split(b"/"), b"", 0
        while left:
            name = left.pop(0)
            if name in {b"", b"."}:
                continue
            here = parent_name(here) if name == b".." else (here + b"/" + name if here else name)
            file = self._at(here, directory=any(left))
            if file is None:
                raise self._no_file(here)
            if file.entry is not None and file.entry.type == fields.SYMLINK:
                followed += 1
                if followed > MOST_LINKS:
                    raise Invalid(f"too many symbolic links on the way to {quoted_name(path)}")
                target = file.entry.linkname
                here = b"" if target.startswith(b"/") else parent_name(here)
                left = [*target.split(b"/"), *left]
            elif left and any(left) and not file.is_directory:
                raise NotFound(f"{quoted_name(b'/' + here)} is not a directory")
        found = self._at(here)
        return File(b"", None, 0) if found is None else found

    def _no_file(self, path: bytes) -> NotFound:
        """The error for a path at which nothing is, with what was probably meant."""
        from difflib import get_close_matches

        fact, folder = f"no file {quoted_name(b'/' + path)}", parent_name(path)
        there = {one.path.rpartition(b"/")[2].decode("utf-8", "replace"): one.path for one in self.below(folder, 1)}
        name = path.rpartition(b"/")[2].decode("utf-8", "replace")
        if close := get_close_matches(name, there, n=1):
            return NotFound(f"{fact}: did you mean {quoted_name(b'/' + there[close[0]])}?")
        return NotFound(fact)

    def below(self, directory: bytes, depth: int | None = None) -> list[File]:
        """The files in a directory, whose path has no slash before it, sorted by their bytes, a directory before its
        contents. ``depth`` 1 is what is in the directory itself, None everything.
        """
        found: dict[bytes, File] = {}
        hidden = HiddenPaths()
        start = directory + b"/" if directory else b""
        level = start.count(b"/") + depth if depth is not None else MOST_DEEP
        for number, layer in self._each():
            for path, entry in (layer.directories | layer.entries).items():
                if not path.startswith(start) or path.count(b"/") >= level or path == directory:
                    continue
                if entry is None and path in found:
                    continue
                if hidden.lowest(path, parent_name(path), path in layer.directories) == NO_LAYER:
                    found[path] = File(path, entry, number)
            if not number or layer.hides(directory + b"/.") or directory in layer.emptied:
                break
            hidden.descend(number, layer)
        # As if split at slashes: nothing sorts before NUL, and no name has it.
        return sorted(found.values(), key=lambda one: one.path.replace(b"/", b"\0"))

    def read(self, file: File) -> Iterator[Block]:
        """The content of a regular file. Raises Invalid for another type, NotFound for a hard link to nothing."""
        path, found = self._linked(file)
        if found is None:
            raise NotFound(f"hard link {quoted_name(b'/' + file.path)}: no file {quoted_name(b'/' + path)}")
        if found.entry is None or found.entry.type != fields.FILE:
            shown = quoted_name(b"/" + file.path)
            if file.is_directory:
                raise Invalid(f"{shown} is a directory (`transship ls` lists it)")
            raise Invalid(f"{shown} is not a regular file")
        yield from self._content(found.path, found.layer)

    def size(self, file: File) -> int:
        """The bytes of a regular file, or of what a hard link leads to; 0 for what has none."""
        _, found = self._linked(file)
        entry = None if found is None else found.entry
        return real_size(entry) if entry is not None and entry.type == fields.FILE and not entry.sparse else 0

    def _linked(self, file: File) -> tuple[bytes, File | None]:
        """Where a hard link leads, and what is there, if anything; of anything else, the file itself."""
        path, found = file.path, file
        for _ in range(MOST_LINKS):
            if found.entry is None or found.entry.type != fields.LINK:
                break
            path = require_contained(clean_name(found.entry.linkname))
            target = self._at(path, found.layer)
            if target is None:
                return path, None
            found = target
        return path, found

    def _at(self, path: bytes, highest: int | None = None, *, directory: bool = False) -> File | None:
        """What is at a path, without following links; with ``highest``, as that layer and those below it have it.

        With ``directory``, it suffices to know that a directory is there.
        """
        implied: File | None = None
        for number, layer in self._each():
            if highest is not None and number > highest:
                continue
            entry = layer.entries.get(path)
            if entry is not None:
                return implied if implied is not None and entry.type != fields.DIR else File(path, entry, number)
            if path in layer.directories and implied is None:
                implied = File(path, None, number)
            if implied is not None and directory:
                break
            if layer.hides(path):
                break
        return implied

    def _content(self, path: bytes, number: int) -> Iterator[Block]:
        """The content of an entry, from its layer, which is read again."""
        own = self._read[number].entries[path].own
        budget = Budget()
        with within(f"layer[{number}]"), closing(scan_entries(self._layers[number](), budget)) as source:
            for entry in source:
                if require_contained(entry.name) == path and entry.own == own:
                    yield from file_content(entry, budget.limits.holes)
                    return

    def _each(self) -> Iterator[tuple[int, EffectiveEntries[Entry]]]:
        """The layers with their numbers, from the top down, each read when it is needed for the first time."""
        for number in reversed(range(len(self._layers))):
            if number not in self._read:
                with within(f"layer[{number}]"):
                    self._read[number] = read_entries(self._layers[number], self._budget, lambda entry: entry)
            yield number, self._read[number]
