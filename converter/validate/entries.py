"""What the entries of a layer say and do to the layers below (image-spec 1.1.1, layer.md)."""

from __future__ import annotations

from collections.abc import Sequence

from converter.errors import Invalid
from converter.streams.tar import fields
from converter.streams.tar.entry import Entry
from converter.streams.tar.names import clean, parent, shown, spoken
from converter.streams.whiteout import PREFIX, Ignored, Removes, whiteout
from converter.validate.tars import Tell


class LayerEntries:
    """The entries of one layer so far. Paths are clean; ``files`` says of each whether it is no directory."""

    def __init__(self, tell: Tell, order: bool) -> None:
        """``order`` asks for whiteouts that stand behind what is beside them."""
        self._tell = tell
        self._order = order
        self._parents: set[bytes] = set()
        self._links: list[tuple[bytes, bytes]] = []
        self.files: dict[bytes, bool] = {}
        self.removed: set[bytes] = set()
        self.emptied: set[bytes] = set()
        self.waiting: list[tuple[bytes, bytes]] = []
        """Hard links to what this layer has not got: name and target."""

    def visit(self, entry: Entry) -> None:
        """Take in one entry, in order."""
        name = entry.name
        if b".." in name and b".." in name.split(b"/"):
            self._tell("tar/name-outside", entry.written, f"got {shown(entry.written)}, want a name without '..'")
            return
        if entry.written[:1] == b"/" and name:
            self._tell("tar/name-absolute", name, f"got {shown(entry.written)}, want a name relative to the root")
        directory = entry.type == fields.DIR
        if not name and not directory:
            self._tell("tar/root", name, f"got {spoken(entry.type)} for the root, want a directory")
            return
        if name in self.files:
            self._tell("tar/duplicate-entry", name, "got the path a second time, want it once")
        if PREFIX in name and self._whiteout(entry):
            self.files[name] = False
            return
        self.files[name] = not directory
        if self._order:
            self._parents.add(parent(name))
        if entry.type == fields.LINK:
            self._link(entry)

    def finish(self) -> None:
        """All entries were visited: what do the links lead to?"""
        for name, target in self._links:
            if target not in self.files:
                self.waiting.append((name, target))
            elif self.files[target] and target != name:
                fact = f"got a link to {shown(target)} in front of that, want it behind"
                self._tell("tar/link-order", name, fact)
            else:
                self._dangling(name, target)

    def _whiteout(self, entry: Entry) -> bool:
        """Whether the entry is no file of the image."""
        try:
            mark = whiteout(entry.name)
        except Invalid as error:
            self._tell("tar/whiteout-name", entry.name, error.fact)
            return True
        if mark is None:
            return False
        if isinstance(mark, Ignored):
            self._tell("tar/whiteout-reserved", entry.name, f"got {shown(entry.name)}, want no name that aufs has")
            return True
        if entry.type != fields.FILE or entry.size:
            fact = f"got {spoken(entry.type)} of {entry.size} bytes, want an empty file"
            self._tell("tar/whiteout-content", entry.name, fact)
        if self._order and parent(entry.name) in self._parents:
            self._tell("tar/whiteout-order", entry.name, "got it behind what is beside it, want it in front")
        if isinstance(mark, Removes):
            self.removed.add(mark.path)
        else:
            self.emptied.add(mark.directory)
        return True

    def _link(self, entry: Entry) -> None:
        target = clean(entry.linkname)
        if b".." in target.split(b"/"):
            fact = f"got a link to {shown(entry.linkname)}, want a target without '..'"
            self._tell("tar/link-outside", entry.name, fact)
        elif target == entry.name or not self.files.get(target, False):
            self._links.append((entry.name, target))

    def _dangling(self, name: bytes, target: bytes) -> None:
        self._tell("tar/link-target", name, f"got a link to {shown(target)}, want a file that is there")

    def below(self, layers: Sequence[LayerEntries]) -> None:
        """Look for what links lead to in the layers below, base first, as they are flattened."""
        for name, target in self.waiting:
            if not _there(target, layers):
                self._dangling(name, target)


def _there(path: bytes, layers: Sequence[LayerEntries]) -> bool:
    above = [path]
    while above[-1]:
        above.append(parent(above[-1]))
    for layer in reversed(layers):
        if path in layer.files:
            return layer.files[path]
        if any(layer.files.get(place, False) or place in layer.emptied for place in above[1:]):
            return False
        if any(place in layer.removed for place in above):
            return False
    return False
