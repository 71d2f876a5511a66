"""Files replaced by later ones in the same layer: flattening learns this too late, and starts again knowing it."""

from __future__ import annotations

from converter.errors import Invalid
from converter.streams.tar.names import shown

Replaced = frozenset[tuple[int, int]]
"""Entries that others of their own layer replace: the layer (base is 0) and the ordinal of the entry in it."""


class Superseded(Invalid):
    """An entry that is in the output already is replaced by a later one of its own layer: start again, knowing it.

    The specification forbids such layers. ``replaced`` holds all of them in all layers; give it to ``squash``.
    """

    def __init__(self, name: bytes, replaced: Replaced) -> None:
        super().__init__(f"layer: got {shown(name)} again where it, or what it replaces, came before; want one entry")
        self.replaced = replaced
        self.content: object = None
        """What was being made, innermost; whoever makes it says so."""
