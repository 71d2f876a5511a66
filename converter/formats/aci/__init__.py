"""App Container Images (appc spec 0.8.11, aci.md): a manifest and a root file system in one archive."""

from __future__ import annotations

from collections.abc import Iterable

from converter.errors import Unsupported
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.image import Item
from converter.plan import Loss, Node
from converter.ports import Fetch

name = "aci"
media_types = frozenset((types.ACI,))


def decode(root: Known, fetch: Fetch) -> Item:
    """Read an ACI."""
    raise Unsupported("got an ACI, want another image")


def encode(item: Item, accepts: frozenset[str]) -> Node:
    """Plan an ACI."""
    raise Unsupported("got an ACI for a target, want another format")


def losses(item: Item) -> Iterable[Loss]:
    """What an ACI cannot hold."""
    return ()
