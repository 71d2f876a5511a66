"""Selects the images of an index: those for given platforms, with the attestations about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from converter.errors import NotFound, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import REFERENCE, Image, Index, IndexEntry, Item, Loss
from converter.model.limits import current_limits
from converter.model.platform import ALL_PLATFORMS, Platform, choose_platform

Read = Callable[[Descriptor], Item]
"""Reads the item that a descriptor of an index names."""


def select_platforms(item: Item, platforms: Sequence[str], read: Read) -> Item:
    """The part of an item that is for ``platforms``, which are OS/ARCH[/VARIANT], or just ``all``.

    Of an index, one platform gives the image that suits it, several give an index. What is no index has to suit one of
    them, but for an image that states no platform, which gets the first. Raises NotFound.
    """
    if tuple(platforms) == ALL_PLATFORMS:
        return read_whole_index(item, read)
    asked = [Platform.parse(text) for text in platforms]
    if isinstance(item, Index):
        return one_platform(item, asked[0], read) if len(asked) == 1 else some_platforms(item, asked, read)
    if not asked or not isinstance(item, Image):
        return item
    if item.notes.platform:
        known = asked[0] == item.platform
        return item if known else replace(item, platform=asked[0], notes=replace(item.notes, platform="chosen"))
    if all(choose_platform(one, (item.platform,)) is None for one in asked):
        raise NotFound(f"the image is for {item.platform}, not for {' or '.join(platforms)}")
    return item


def lost_attestations(whole: Item, item: Item) -> Iterator[Loss]:
    """A loss for the attestations about ``item`` in its index: a single image cannot hold them."""
    if isinstance(whole, Index) and isinstance(item, Image) and item.original is not None:
        digest = str(item.original.manifest.descriptor.digest)
        count = sum(entry.descriptor.annotations.get(REFERENCE) == digest for entry in whole.entries)
        if count:
            reason = f"{count} of the index speak of the image, which is taken alone (--platform all takes them along)"
            yield Loss(field="attestations", reason=reason)


def read_whole_index(item: Item, read: Read, depth: int = 0) -> Item:
    """An index with all its entries read; raises LimitExceeded where indexes are nested too deep."""
    if not isinstance(item, Index):
        return item
    current_limits().require("index_depth", depth, "indexes within each other")
    read = _limited(read) if depth == 0 else read
    entries = []
    for number, entry in enumerate(item.entries):
        with within(f"manifests[{number}]"):
            child = entry.item if entry.item is not None else read(entry.descriptor)
            entries.append(replace(entry, item=read_whole_index(child, read, depth + 1)))
    return replace(item, entries=tuple(entries))


def one_platform(item: Item, platform: Platform, read: Read) -> Item:
    """The image of an index that suits a platform best; other items as they are. Raises NotFound."""
    if not isinstance(item, Index):
        return item
    read = _limited(read)
    entries = flatten_index(item, read)
    offers = [_platform_of_entry(entry, read) for entry in entries]
    return _read_entry(entries[_best_offer(platform, offers)], read)


def some_platforms(item: Index, platforms: Sequence[Platform], read: Read) -> Item:
    """An index of just these platforms and the attestations that refer to them; raises NotFound."""
    read = _limited(read)
    entries = flatten_index(item, read)
    offers = [_platform_of_entry(entry, read) for entry in entries]
    chosen = {_best_offer(platform, offers) for platform in platforms}
    named = {str(entries[number].descriptor.digest) for number in chosen}
    kept = [
        entry
        for number, entry in enumerate(entries)
        if number in chosen or entry.descriptor.annotations.get(REFERENCE) in named
    ]
    return read_whole_index(replace(item, entries=tuple(kept)), read)


def _best_offer(platform: Platform, offers: Sequence[Platform | None]) -> int:
    found = choose_platform(platform, offers)
    if found is None:
        there = ", ".join(sorted({str(offer) for offer in offers if offer is not None and offer.known})) or "none"
        raise NotFound(f"no image for {platform} in the index (available: {there}); choose with --platform, or all")
    return found


def _limited(read: Read) -> Read:
    """The same function up to the limit: nested indexes of a few rows each can name more images than there are."""
    count = 0

    def counting(descriptor: Descriptor) -> Item:
        nonlocal count
        count += 1
        current_limits().require("images", count, "images and indexes")
        return read(descriptor)

    return counting


def flatten_index(item: Index, read: Read) -> list[IndexEntry]:
    """The entries of an index and of those nested in it; each nested index counts once, however often it is named.

    Together they may have no more JSON values than one document may have.
    """
    flat: list[IndexEntry] = []
    seen: set[Digest] = set()

    def add(index: Index, depth: int) -> None:
        current_limits().require("index_depth", depth, "indexes within each other")
        for number, entry in enumerate(index.entries):
            with within(f"manifests[{number}]"):
                child = None
                if entry.descriptor.media_type in types.INDEXES:
                    if entry.descriptor.digest in seen:
                        continue
                    seen.add(entry.descriptor.digest)
                    child = _read_entry(entry, read)
                if isinstance(child, Index):
                    add(child, depth + 1)
                else:
                    flat.append(entry)
                    current_limits().require(
                        "json_values", len(flat) * _LEAST_VALUES, "values in indexes within each other"
                    )

    add(item, 0)
    return flat


_LEAST_VALUES = 4
"""An entry of an index, and its three required members."""


def _platform_of_entry(entry: IndexEntry, read: Read) -> Platform | None:
    """The platform of an entry, from its configuration where the index does not state it."""
    if entry.descriptor.platform is not None or entry.descriptor.artifact_type:
        return entry.descriptor.platform
    item = _read_entry(entry, read)
    return item.platform if isinstance(item, Image) else None


def _read_entry(entry: IndexEntry, read: Read) -> Item:
    return entry.item if entry.item is not None else read(entry.descriptor)
