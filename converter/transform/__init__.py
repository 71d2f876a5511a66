"""From an image to the plan of its target: the only way, for conversions and for proofs of them (docs/decisions/0070).

The steps are, in this order: select platforms, name, resolve dependencies, change, squash, compress layers, encode.
Only the compression differs: a conversion takes layers ``as_stored``, and the format chooses how to compress each while
it encodes them; a proof compresses them ``as_in`` the target, which shows it.
"""

from __future__ import annotations

from dataclasses import replace

from converter import formats
from converter.model.image import Image, Item, each_image
from converter.model.settings import Settings
from converter.plan import Node
from converter.ports import Finder, Writer
from converter.transform.layers import Edit, as_in, as_stored, squash_layers
from converter.transform.platforms import select_platforms

__all__ = ["Edit", "as_in", "as_stored", "encode_item", "select_platforms", "transform"]


def transform(item: Item, target: Writer, settings: Settings, *, name: str, find: Finder, pack: Edit) -> Item:
    """What ``encode_item`` turns into the plan of a selected item.

    ``name`` is the one that it has outside its source, if any; ``find`` finds what its layers depend on; ``pack``
    is ``as_stored`` or ``as_in``, and is left out if the target is one whole. Raises NotFound, Invalid.
    """
    if name:
        item = each_image(lambda image: replace(image, notes=replace(image.notes, name=name)))(item)

    def resolve(image: Image) -> Image:
        own = image.original is not None and image.original.format == target.name
        # In its own format, an image may keep its dependencies, unless they become one layer with it.
        return image if own and not settings.squash else formats.resolve_dependencies(image, find)

    item = each_image(resolve)(item)
    if settings.changes:
        from converter.transform.changes import apply_changes

        item = each_image(lambda image: apply_changes(image, settings.changes))(item)
    if settings.squash:
        item = each_image(squash_layers)(item)
    return item if target.single_file_name else pack(item)


def encode_item(item: Item, target: Writer, accepts: frozenset[str], settings: Settings, *, mixed: bool) -> Node:
    """Plan a transformed item for a target that takes the media types ``accepts``.

    ``mixed``: each image listed by an index keeps its own format.
    """
    return formats.encode_mixed(item, accepts, settings) if mixed else target.encode(item, accepts, settings)
