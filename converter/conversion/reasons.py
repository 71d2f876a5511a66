"""Why a digest changes, in a word or two for each reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converter.model.content import Derived
from converter.model.descriptor import Descriptor
from converter.model.image import Item
from converter.model.settings import Settings
from converter.model.transport import TRANSPORTS
from converter.plan import Evaluated, Leaf, Make, Node, forecast


def reasons(root: Descriptor, item: Item, target: str, node: Node, settings: Settings) -> tuple[str, ...]:
    """What makes the digest of ``item``, taken from ``root``, another one in the format ``target``: at most all of
    platform, format, squash, compression, change; empty if it is written anew for none of these.
    """
    return tuple(dict.fromkeys(_reasons(root, item, target, forecast(node), settings)))


def _reasons(root: Descriptor, item: Item, target: str, tree: Evaluated, settings: Settings) -> Iterator[str]:
    original = item.original
    if original is not None and original.manifest.descriptor.digest != root.digest:
        yield "platform"
    if original is not None and original.format != target:
        yield "format"
    leaves: Iterable[Leaf] = [one.leaf for one in tree.layers()]
    made = [one.content for one in leaves if isinstance(one, Make) and isinstance(one.content, Derived)]
    if any(len(one.inputs) > 1 for one in made) or settings.squash:
        yield "squash"
    elif any(one.rewrite is None for one in made):
        yield "compression"
    if settings.changes:
        yield "change"


def keepers(item: Item) -> tuple[str, ...]:
    """The transports that can hold an item in its own format, and as it is."""
    own = "" if item.original is None else item.original.format.removesuffix("-v1")
    return tuple(name for name, kind in TRANSPORTS.items() if own in kind.formats and not kind.plain)
