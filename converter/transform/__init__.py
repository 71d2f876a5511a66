"""From an image to the plan of its target: the only way, for conversions and for proofs of them (docs/decisions/0070).

The steps are, in this order: select platforms, name, resolve dependencies, change, squash, compress layers, encode.
Only the compression differs: a conversion takes layers ``as_stored``, and the format chooses how to compress each while
it encodes them; a proof compresses them ``as_in`` the target, which shows it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from converter import formats
from converter.errors import NotFound, Untrusted, within
from converter.formats.manifest import codec_of, layer_type
from converter.model import media_types as types
from converter.model.content import GZIP, KEEP, Compression, Derived, Known, Layer
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import REFERENCE, History, Image, Index, IndexEntry, Item, Loss, edit_images, is_from
from converter.model.limits import current_limits
from converter.model.platform import ALL_PLATFORMS, Platform, choose_platform
from converter.model.settings import Settings
from converter.plan import Node
from converter.ports import Fetch, Finder, Writer
from converter.streams.blocks import beginning

Edit = Callable[[Item], Item]

Read = Callable[[Descriptor], Item]
"""Reads the item that a descriptor of an index names."""

_LEAST_VALUES = 4
"""An entry of an index, and its three required members."""


def transform(item: Item, target: Writer, settings: Settings, *, name: str, find: Finder, pack: Edit) -> Item:
    """What ``encode_item`` turns into the plan of a selected item.

    ``name`` is the one that it has outside its source, if any; ``find`` finds what its layers depend on; ``pack``
    is from ``as_stored``, or ``as_in`` a target, and is left out if the target is one whole. Raises NotFound, Invalid.
    """

    def changed(image: Image) -> Image:
        if name:
            image = replace(image, notes=replace(image.notes, name=name))
        # In its own format, an image may keep its dependencies, unless they become one layer with it.
        if settings.squash or not is_from(image, target.name):
            image = formats.resolve_dependencies(image, find)
        if settings.changes:
            from converter.transform.changes import apply_changes

            image = apply_changes(image, settings.changes)
        return squash_layers(image) if settings.squash else image

    item = edit_images(changed, item)
    return item if target.single_file_name else pack(item)


def encode_item(item: Item, target: Writer, accepts: frozenset[str], settings: Settings, *, mixed: bool) -> Node:
    """Plan a transformed item for a target that takes the media types ``accepts``.

    ``mixed``: each image listed by an index keeps its own format.
    """
    return formats.encode_mixed(item, accepts, settings) if mixed else target.encode(item, accepts, settings)


def as_stored(target: Writer, settings: Settings, *, mixed: bool, local: bool, unpacked: bool) -> Edit:
    """The edit that states how layers are compressed: not at all by choice, if their store ``unpacked`` them.

    Falsely labelled layers are relabelled if they are ``local``, and the format or the compression changes; an image
    that keeps both keeps its labels.
    """
    unpacked = unpacked and settings.compress is None

    def state(image: Image) -> Image:
        before = image.original
        kept = settings.compress in (None, KEEP) and not unpacked
        copied = kept and before is not None and (mixed or before.format == target.name)
        if local and not copied:
            image = relabel_layers(image)
        return replace(image, notes=replace(image.notes, unpacked=unpacked))

    return partial(edit_images, state)


def as_in(item: Item, target: Item) -> Item:
    """The item with every layer that is not the same blob in ``target`` compressed as it is there.

    Raises Untrusted if the two do not have the same number of images and layers.
    """
    if isinstance(item, Image) and isinstance(target, Image):
        if len(item.layers) != len(target.layers):
            raise Untrusted(f"image has {len(target.layers)} layers: expected {len(item.layers)}")
        layers = (_compress_as(one, other) for one, other in zip(item.layers, target.layers, strict=True))
        return replace(item, layers=tuple(layers))
    if isinstance(item, Index) and isinstance(target, Index):
        if len(item.entries) != len(target.entries):
            raise Untrusted(f"index has {len(target.entries)} entries: expected {len(item.entries)}")
        entries = []
        for one, other in zip(item.entries, target.entries, strict=True):
            if one.item is not None and other.item is not None:
                one = replace(one, item=as_in(one.item, other.item))
            entries.append(one)
        return replace(item, entries=tuple(entries))
    if type(item) is not type(target):
        raise Untrusted("one is an image, the other an index: expected both to be the same")
    return item


def _compress_as(layer: Layer, target: Layer) -> Layer:
    content, there = layer.content, target.content
    assert isinstance(there, Known)
    packed = Compression(codec_of(there))
    if isinstance(content, Derived):
        return replace(layer, content=replace(content, compression=packed))
    if content.absent:
        return layer
    if content.descriptor.digest != there.descriptor.digest:
        return replace(layer, content=Derived(inputs=(layer,), compression=packed))
    return layer if codec_of(content) == packed.codec else relabel_layer(layer)


def relabel_layers(image: Image) -> Image:
    """Every layer under a media type that states the compression of its bytes."""
    layers = []
    for number, layer in enumerate(image.layers):
        with within(f"layer[{number}]"):
            layers.append(relabel_layer(layer))
    return replace(image, layers=tuple(layers))


def relabel_layer(layer: Layer) -> Layer:
    """The layer under a media type that states how its bytes are compressed, which only the bytes themselves decide.

    If no media type can state it (bzip2, xz), the layer is recompressed. Bytes that are no layer at all are left for
    the reader to refuse.
    """
    content = layer.content
    if isinstance(content, Derived) or content.absent:
        return layer
    from converter.streams.decompress import HEAD, detect_codec

    codec = detect_codec(beginning(content.raw(), HEAD))
    if codec is None or codec in ("openpgp", codec_of(content)):
        return layer
    label = layer_type(content.descriptor.media_type, codec)
    if label is None:
        reason = f"no media type says that a layer is {codec}"
        return replace(layer, content=Derived(inputs=(layer,), compression=GZIP, reason=reason))
    return replace(layer, content=replace(content, descriptor=content.descriptor.retyped(label)))


def squash_layers(image: Image) -> Image:
    """The image with one layer holding the file tree of all; its history becomes one step that lists the others."""
    if len(image.layers) < 2:
        return image
    from converter.streams.squash import Flatten

    content = Derived(inputs=image.layers, rewrite=Flatten(), compression=GZIP)
    empty = tuple(step for step in image.history if step.empty_layer)
    programs = "; ".join(step.created_by for step in image.history if step.created_by and not step.empty_layer)
    step = History(created=image.created, created_by=programs, comment=f"squashed from {len(image.layers)} layers")
    history = (step, *empty) if image.history else ()
    return replace(image, layers=(Layer(content=content),), history=history)


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


def whole_item(fetch: Fetch, root: Descriptor) -> Item:
    """Read the image, or the index with all its images."""
    read = formats.item_reader(fetch)
    return read_whole_index(read(root), read)


def read_whole_index(item: Item, read: Read, depth: int = 0) -> Item:
    """An index with all its entries read; raises LimitExceeded where indexes are nested too deep."""
    if not isinstance(item, Index):
        return item
    current_limits().require("index_depth", depth, "indexes within each other")
    read = _limited(read) if depth == 0 else read
    entries = []
    for number, entry in enumerate(item.entries):
        with within(f"manifests[{number}]"):
            below = read_whole_index(_read_entry(entry, read), read, depth + 1)
            entries.append(replace(entry, item=below))
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
    kept = []
    for number, entry in enumerate(entries):
        about = entry.descriptor.annotations.get(REFERENCE)
        if number in chosen or about in named:
            kept.append(entry)
    return read_whole_index(replace(item, entries=tuple(kept)), read)


def _best_offer(platform: Platform, offers: Sequence[Platform | None]) -> int:
    found = choose_platform(platform, offers)
    if found is None:
        known = {str(offer) for offer in filter(None, offers) if offer.known}
        there = ", ".join(sorted(known)) or "none"
        raise NotFound(f"no image for {platform} in the index (available: {there}); choose with --platform, or all")
    return found


def _limited(read: Read) -> Read:
    """The same function up to the limit: nested indexes of a few rows each can name more images than there are."""
    numbers = itertools.count(1)

    def counting(descriptor: Descriptor) -> Item:
        current_limits().require("images", next(numbers), "images and indexes")
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
                    values = len(flat) * _LEAST_VALUES
                    current_limits().require("json_values", values, "values in indexes within each other")

    add(item, 0)
    return flat


def _platform_of_entry(entry: IndexEntry, read: Read) -> Platform | None:
    """The platform of an entry, from its configuration where the index does not state it."""
    if entry.descriptor.platform is not None or entry.descriptor.artifact_type:
        return entry.descriptor.platform
    item = _read_entry(entry, read)
    return item.platform if isinstance(item, Image) else None


def _read_entry(entry: IndexEntry, read: Read) -> Item:
    return entry.item if entry.item is not None else read(entry.descriptor)
