"""Files replaced by later ones in the same layer: flattening finds out too late, and starts again knowing it."""

from __future__ import annotations

from converter.errors import Invalid
from converter.streams.tar.names import shown

Replaced = frozenset[tuple[int, int]]
"""Entries replaced by others of their own layer: the layer (base is 0) and the ordinal of the entry in it."""


class Superseded(Invalid):
    """An entry already written is replaced by a later one of its own layer: start again with ``replaced``.

    The specification forbids such layers. ``replaced`` holds all such entries in all layers; pass it to ``squash``.
    """

    def __init__(self, name: bytes, replaced: Replaced) -> None:
        super().__init__(f"layer: got {shown(name)} again where it, or what it replaces, came before; want one entry")
        self.replaced = replaced
        self.content: object = None
        """The innermost content being made; set by whoever makes it."""
