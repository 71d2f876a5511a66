"""The parts of a conversion that only ACIs need; imports the ACI format only if one is involved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from converter.conversion.options import Options
from converter.edits import each_image
from converter.model import media_types as types
from converter.model.compression import Compression
from converter.model.content import sources
from converter.model.digest import Digest
from converter.model.image import Image, Item
from converter.plan import Loss, Node

if TYPE_CHECKING:
    from converter.formats.aci import Finder

NAME = "aci"
"""The format's name, and the key in ``Image.foreign`` under which a former ACI keeps what only ACIs have."""


def resolved(item: Item, finder: Finder) -> Item:
    """The item with a layer for each image that its ACI depends on; raises NotFound, Invalid."""

    def with_dependencies(image: Image) -> Image:
        from converter.formats import aci

        return aci.resolve(image, finder)

    return _each_aci(item, with_dependencies)


def below(item: Item) -> Iterator[Digest]:
    """The digests of the ACIs that the image's layers were made from, each once."""
    if isinstance(item, Image) and NAME in item.foreign:
        found = (known for layer in item.layers for known in sources(layer.content))
        yield from dict.fromkeys(one.descriptor.digest for one in found if one.descriptor.media_type == types.ACI)


def encode(item: Item, accepts: frozenset[str], compression: Compression | None, options: Options) -> Node:
    """Plan an item as a single ACI, or as one ACI per layer."""
    from converter.formats import aci

    if options.rkt_dev_links:
        item = each_image(aci.with_dev_links)(item)
    if options.layered:
        return aci.encode_layered(item, compression, options.epoch or 0)
    return aci.encode(item, accepts, compression, options.epoch or 0)


def confined(item: Item, target: str) -> Item:
    """The item with its ACI app's permissions and resource limits, if ``target`` is a runtime's format."""

    def with_confinement(image: Image) -> Image:
        from converter.formats import aci

        return aci.confined(image, target)

    return _each_aci(item, with_confinement)


def _each_aci(item: Item, edit: Callable[[Image], Image]) -> Item:
    """The item with ``edit`` applied to each image that was an ACI; without any, the format is not imported."""
    return each_image(lambda image: edit(image) if NAME in image.foreign else image)(item)


def losses(item: Item, *, layered: bool) -> Iterator[Loss]:
    """What an ACI cannot hold."""
    from converter.formats import aci

    yield from aci.losses(item, layered=layered)


def conversion_losses(item: Item, target: str) -> Iterator[Loss]:
    """What the neutral form of an ACI, or the format ``target``, cannot hold; raises Unsupported, NotFound."""
    if isinstance(item, Image) and NAME in item.foreign:
        from converter.formats import aci

        yield from aci.conversion_losses(item, target)
