"""Edits: functions from item to item, applied before planning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from converter.errors import NotFound, within
from converter.formats.manifest import layer_type
from converter.model import media_types as types
from converter.model.compression import GZIP, Compression
from converter.model.content import Derived, Known, Layer
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import REFERENCE, Entry, History, Image, Index, Item, of_aci
from converter.model.limits import in_force
from converter.model.platform import ALL, Platform, choose
from converter.streams.blocks import closing, peek
from converter.streams.detect import HEAD, detect

Edit = Callable[[Item], Item]
Read = Callable[[Descriptor], Item]
"""Reads the item that a descriptor of an index names."""


def each_image(edit: Callable[[Image], Image]) -> Edit:
    """The edit, applied to an image or to every image of an index."""

    def apply(item: Item) -> Item:
        if isinstance(item, Image):
            return edit(item)
        if isinstance(item, Index):
            return replace(item, entries=tuple(_edited(entry, apply) for entry in item.entries))
        return item

    return apply


def _edited(entry: Entry, apply: Edit) -> Entry:
    return entry if entry.item is None else replace(entry, item=apply(entry.item))


def named(name: str) -> Edit:
    """The edit that gives images the name that they have outside their source: an ACI's is made from it."""
    return each_image(lambda image: replace(image, foreign={**image.foreign, "name": {"reference": name}}))


def read_whole(item: Item, read: Read, depth: int = 0) -> Item:
    """An index with all its entries read; raises LimitExceeded where indexes are nested too deep."""
    if not isinstance(item, Index):
        return item
    in_force().require("index_depth", depth, "indexes within each other")
    read = _counted(read) if depth == 0 else read
    entries = []
    for number, entry in enumerate(item.entries):
        with within(f"manifests[{number}]"):
            child = entry.item if entry.item is not None else read(entry.descriptor)
            entries.append(replace(entry, item=read_whole(child, read, depth + 1)))
    return replace(item, entries=tuple(entries))


def of_platforms(item: Item, platforms: Sequence[str], read: Read) -> Item:
    """The part of an item that is for ``platforms``, which are OS/ARCH[/VARIANT], or just ``all``.

    Of an index, one platform gives the image that suits it, several give an index; what is no index stays as it is, but
    for an ACI that names no platform, which gets the first. Raises NotFound.
    """
    if tuple(platforms) == ALL:
        return read_whole(item, read)
    wanted = [Platform.parse(text) for text in platforms]
    if isinstance(item, Index):
        return one_platform(item, wanted[0], read) if len(wanted) == 1 else some_platforms(item, wanted, read)
    if wanted and isinstance(item, Image) and of_aci(item).get("platform"):
        return replace(item, platform=wanted[0])
    return item


def one_platform(item: Item, wanted: Platform, read: Read) -> Item:
    """The image of an index that suits a platform best; other items as they are. Raises NotFound."""
    if not isinstance(item, Index):
        return item
    read = _counted(read)
    entries = flattened(item, read)
    offers = [_platform(entry, read) for entry in entries]
    return _read(entries[_suiting(wanted, offers)], read)


def some_platforms(item: Index, wanted: Sequence[Platform], read: Read) -> Item:
    """An index of just these platforms and the attestations that refer to them; raises NotFound."""
    read = _counted(read)
    entries = flattened(item, read)
    offers = [_platform(entry, read) for entry in entries]
    chosen = {_suiting(platform, offers) for platform in wanted}
    named = {str(entries[number].descriptor.digest) for number in chosen}
    kept = [
        entry
        for number, entry in enumerate(entries)
        if number in chosen or entry.descriptor.annotations.get(REFERENCE) in named
    ]
    return read_whole(replace(item, entries=tuple(kept)), read)


def _suiting(wanted: Platform, offers: Sequence[Platform | None]) -> int:
    found = choose(wanted, offers)
    if found is None:
        there = ", ".join(sorted({str(offer) for offer in offers if offer is not None and offer.known})) or "none"
        raise NotFound(f"got the platforms {there}, want {wanted} (choose one with --platform, or all)")
    return found


def _counted(read: Read) -> Read:
    """The same function up to the limit: nested indexes of a few rows each can name more images than there are."""
    count = 0

    def counting(descriptor: Descriptor) -> Item:
        nonlocal count
        count += 1
        in_force().require("images", count, "images and indexes")
        return read(descriptor)

    return counting


def flattened(item: Index, read: Read) -> list[Entry]:
    """The entries of an index and of those nested in it; each nested index counts once, however often it is named.

    Together they may have no more JSON values than one document may have.
    """
    flat: list[Entry] = []
    seen: set[Digest] = set()

    def add(index: Index, depth: int) -> None:
        in_force().require("index_depth", depth, "indexes within each other")
        for number, entry in enumerate(index.entries):
            with within(f"manifests[{number}]"):
                child = None
                if entry.descriptor.media_type in types.INDEXES:
                    if entry.descriptor.digest in seen:
                        continue
                    seen.add(entry.descriptor.digest)
                    child = _read(entry, read)
                if isinstance(child, Index):
                    add(child, depth + 1)
                else:
                    flat.append(entry)
                    in_force().require("json_values", len(flat) * _LEAST_VALUES, "values in indexes within each other")

    add(item, 0)
    return flat


_LEAST_VALUES = 4
"""An entry of an index, and its three required members."""


def _platform(entry: Entry, read: Read) -> Platform | None:
    """The platform of an entry, from its configuration where the index does not state it."""
    if entry.descriptor.platform is not None or entry.descriptor.artifact_type:
        return entry.descriptor.platform
    item = _read(entry, read)
    return item.platform if isinstance(item, Image) else None


def _read(entry: Entry, read: Read) -> Item:
    return entry.item if entry.item is not None else read(entry.descriptor)


def recompressed(compression: Compression, *, packed: bool = True) -> Callable[[Image], Image]:
    """An edit that gives every layer this compression, or only those without any (``packed`` false); a layer with that
    codec stays, unless a level is asked for.
    """

    def edit(image: Image) -> Image:
        return replace(image, layers=tuple(_recompressed(layer, compression, packed=packed) for layer in image.layers))

    return edit


def _recompressed(layer: Layer, compression: Compression, *, packed: bool) -> Layer:
    if isinstance(layer.content, Derived):
        return replace(layer, content=replace(layer.content, compression=compression))
    codec = codec_of(layer.content)
    stays = compression.level is None and codec == compression.codec if packed else codec != "none"
    if layer.content.absent or stays:
        return layer
    return replace(layer, content=Derived(inputs=(layer,), compression=compression))


def codec_of(known: Known) -> str:
    """The codec that a layer's media type states."""
    media_type = known.descriptor.media_type
    return next((codec for codec in ("gzip", "zstd") if media_type.endswith(codec)), "none")


def relabelled(image: Image) -> Image:
    """Every layer under a media type that states the compression of its bytes."""
    layers = []
    for number, layer in enumerate(image.layers):
        with within(f"layer[{number}]"):
            layers.append(truthful(layer))
    return replace(image, layers=tuple(layers))


def truthful(layer: Layer) -> Layer:
    """The layer under a media type that states how its bytes are compressed, which only the bytes themselves decide.

    If no media type can state it (bzip2, xz), the layer is recompressed. Bytes that are no layer at all are left for
    the reader to refuse.
    """
    content = layer.content
    if isinstance(content, Derived) or content.absent:
        return layer
    with closing(content.raw()) as blocks:
        codec = detect(peek(blocks, HEAD)[0])
    packed = "none" if codec == "tar" else codec
    if packed in (None, "openpgp", codec_of(content)):
        return layer
    label = layer_type(content.descriptor.media_type, str(packed))
    if label is None:
        return replace(layer, content=Derived(inputs=(layer,), compression=GZIP))
    return replace(layer, content=replace(content, descriptor=content.descriptor.retyped(label)))


def squashed(image: Image) -> Image:
    """The image with one layer holding the file tree of all; its history becomes one step that lists the others."""
    if len(image.layers) < 2:
        return image
    from converter.streams.flatten import Flatten

    content = Derived(inputs=image.layers, rewrite=Flatten(), compression=GZIP)
    created_by = "; ".join(step.created_by for step in image.history if step.created_by and not step.empty_layer)
    step = History(created=image.created, created_by=created_by, comment=f"squashed from {len(image.layers)} layers")
    empty = tuple(step for step in image.history if step.empty_layer)
    return replace(image, layers=(Layer(content=content),), history=(step, *empty) if image.history else ())


def edited(item: Item, edits: Iterable[Edit]) -> Item:
    """Apply edits in order."""
    for edit in edits:
        item = edit(item)
    return item
