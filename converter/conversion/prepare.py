"""Turns a source's image into what the target gets: selects platforms and applies edits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from converter import formats
from converter.conversion import acis
from converter.conversion.options import Options
from converter.edits import Edit, each_image, edited, named, one_platform, read_whole, some_platforms, squashed
from converter.errors import NotFound
from converter.model.descriptor import Descriptor
from converter.model.image import REFERENCE, Image, Index, Item, of_aci
from converter.model.platform import Platform, choose
from converter.ports import Source

if TYPE_CHECKING:
    from converter.formats.aci import Finder


def prepare(source: Source, root: Descriptor, options: Options, finder: Finder, called: str) -> Item:
    """The item at ``root``, read as far as the options require, and edited as they request.

    ``finder`` finds an ACI's dependencies; ``called`` is the image's name, or empty.
    """
    read = formats.reading(source.fetch)
    item = _chosen(read(root), options.platforms, read)
    return edited(item, _edits(options, finder, called))


def alone(options: Options) -> str:
    """The one platform selected from an index; empty if there may be several."""
    wanted = options.platforms or (str(host()),)
    return wanted[0] if len(wanted) == 1 and wanted != ("all",) else ""


def _edits(options: Options, finder: Finder, called: str) -> Iterator[Edit]:
    if called:
        yield named(called)
    if options.squash:
        yield lambda item: acis.resolved(item, finder)
        yield each_image(squashed)


def _chosen(item: Item, platforms: tuple[str, ...], read: Callable[[Descriptor], Item]) -> Item:
    if platforms == ("all",):
        return read_whole(item, read)
    wanted = [Platform.parse(text) for text in platforms]
    if isinstance(item, Index):
        if len(wanted) > 1:
            return some_platforms(item, wanted, read)
        return _alone(one_platform(item, wanted[0] if wanted else host(), read), item)
    if wanted and isinstance(item, Image):
        return _with_platform(item, wanted)
    return item


def _alone(item: Item, index: Index) -> Item:
    """The image, with a loss for attestations in the index that refer to it and that a single image cannot hold."""
    if not isinstance(item, Image) or item.original is None:
        return item
    digest = str(item.original.manifest.descriptor.digest)
    count = sum(entry.descriptor.annotations.get(REFERENCE) == digest for entry in index.entries)
    if not count:
        return item
    reason = f"{count} of the index speak of the image, which is taken alone (--platform all takes them along)"
    loss = {"field": "attestations", "reason": reason, "kept": ""}
    return replace(item, foreign={**item.foreign, "index": {"losses": (loss,)}})


def _with_platform(image: Image, wanted: list[Platform]) -> Image:
    """The image, if it suits a wanted platform; an ACI with none, or none known elsewhere, gets the first."""
    if of_aci(image).get("platform"):
        return replace(image, platform=wanted[0])
    if all(choose(platform, (image.platform,)) is None for platform in wanted):
        raise NotFound(f"got an image for {image.platform}, want {', '.join(map(str, wanted))}")
    return image


def host() -> Platform:
    """The platform that this program runs on."""
    return Platform(os=sys.platform, architecture=os.uname().machine).normalised()
