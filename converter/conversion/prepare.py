"""Turns a source's image into what the target gets: selects platforms and applies edits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from converter import formats
from converter.conversion import acis
from converter.conversion.options import Options
from converter.edits import Edit, Read, each_image, edited, named, of_platforms, squashed
from converter.errors import NotFound
from converter.model.descriptor import Descriptor
from converter.model.image import REFERENCE, Image, Index, Item, of_aci
from converter.model.platform import ALL, Platform, choose
from converter.ports import Source

if TYPE_CHECKING:
    from converter.formats.aci import Finder


def prepare(source: Source, root: Descriptor, options: Options, finder: Finder, called: str) -> Item:
    """The item at ``root``, read as far as the options require, and edited as they request.

    ``finder`` finds an ACI's dependencies; ``called`` is the image's name, or empty.
    """
    read = formats.reading(source.fetch)
    item = _chosen(read(root), options, read)
    return edited(item, _edits(options, finder, called))


def platforms_of(options: Options) -> tuple[str, ...]:
    """The platforms to take of an index: this machine's unless others are asked for."""
    return options.platforms or (str(host()),)


def _edits(options: Options, finder: Finder, called: str) -> Iterator[Edit]:
    if called:
        yield named(called)
    if options.squash:
        yield lambda item: acis.resolved(item, finder)
        yield each_image(squashed)


def _chosen(item: Item, options: Options, read: Read) -> Item:
    if isinstance(item, Index):
        return _alone(of_platforms(item, platforms_of(options), read), item)
    if isinstance(item, Image) and options.platforms not in ((), ALL) and not of_aci(item).get("platform"):
        _check(item.platform, options.platforms)
    return of_platforms(item, options.platforms, read)


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


def _check(there: Platform, platforms: tuple[str, ...]) -> None:
    """Raises NotFound if an image suits none of the platforms."""
    if all(choose(Platform.parse(text), (there,)) is None for text in platforms):
        raise NotFound(f"got an image for {there}, want {', '.join(platforms)}")


def host() -> Platform:
    """The platform that this program runs on."""
    return Platform(os=sys.platform, architecture=os.uname().machine).normalised()
