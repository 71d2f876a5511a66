"""Plans the conversion again from what was signed: what the target has to be, except for its layers.

A plan is the Merkle tree of the output, with holes. Execution fills them from the leaves up; verification fills them
with what the target has, once that is proven, and compares the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from converter import formats
from converter.edits import (
    Read,
    codec_of,
    each_image,
    flattened,
    named,
    of_platforms,
    squashed,
    truthful,
)
from converter.errors import Untrusted
from converter.formats import aci
from converter.formats.aci import Finder
from converter.model import media_types as types
from converter.model.compression import NONE, Compression
from converter.model.content import Derived, Known, Layer
from converter.model.descriptor import Descriptor
from converter.model.document import dump
from converter.model.image import Image, Index, Item, images
from converter.plan import Copy, Evaluated, Leaf, Made, Node, Write, evaluate, leaves
from converter.verification.original import OriginalSource


def chosen(original: OriginalSource, root: Descriptor) -> Item:
    """The part of the signed image that was converted; raises Untrusted if an index lists it for another platform."""
    platforms, read = original.record.settings.platforms, formats.reading(original.fetch)
    whole = read(root)
    if isinstance(whole, Index) and not platforms:
        raise Untrusted("got a record that does not say which image of an index it is about, want it to")
    item = of_platforms(whole, platforms, read)
    if isinstance(whole, Index):
        _check_platforms(whole, item, read)
    return item


def _check_platforms(index: Index, item: Item, read: Read) -> None:
    """Raises Untrusted if an image is for another platform than the index lists it under."""
    rows = (entry.descriptor for entry in flattened(index, read))
    listed = {row.digest: row.platform for row in rows if row.platform is not None}
    for image in images(item):
        assert image.original is not None
        told = listed.get(image.original.manifest.descriptor.digest)
        if told and (told.os, told.architecture) != (image.platform.os, image.platform.architecture):
            raise Untrusted(f"got an image for {image.platform}, want one for {told}, as the index lists it")


def planned(original: OriginalSource, item: Item, finder: Finder) -> Node:
    """The plan that must have produced ``original.converted``. Raises Untrusted if none could have.

    ``finder`` finds the dependencies of an ACI.
    """
    settings, root, target = original.record.settings, original.converted.root, original.converted.item
    item = each_image(original.with_layers)(item)
    if settings.called:
        item = named(settings.called)(item)
    if root.media_type != types.ACI or settings.squash:
        item = each_image(lambda image: aci.resolve(image, finder))(item)
    if settings.squash:
        item = each_image(squashed)(item)
    if root.media_type == types.ACI:
        if settings.dev_links:
            item = each_image(aci.with_dev_links)(item)
        if settings.layered:
            return aci.encode_layered(item, NONE, settings.epoch)
        return aci.encode(item, frozenset(), NONE, settings.epoch)
    name = "docker" if root.media_type in (types.DOCKER_MANIFEST, types.DOCKER_LIST) else "oci"
    packed, took = _packed_as(item, target), frozenset(_layer_types(target))
    mixed = any(image.original is not None and image.original.format != name for image in images(target))
    return formats.encode_mixed(packed, took) if mixed else formats.writer(name).encode(packed, took)


def _layer_types(item: Item) -> Iterator[str]:
    """The media types of the target's layers."""
    for image in images(item):
        for layer in image.layers:
            if isinstance(layer.content, Known):
                yield layer.content.descriptor.media_type


def _packed_as(item: Item, target: Item) -> Item:
    """The item with every layer that is not the same blob in the target compressed as it is there."""
    if isinstance(item, Image) and isinstance(target, Image):
        if len(item.layers) != len(target.layers):
            raise Untrusted(f"got {len(target.layers)} layers, want {len(item.layers)}")
        layers = (_packed(one, other) for one, other in zip(item.layers, target.layers, strict=True))
        return replace(item, layers=tuple(layers))
    if isinstance(item, Index) and isinstance(target, Index):
        if len(item.entries) != len(target.entries):
            raise Untrusted(f"got {len(target.entries)} entries in the index, want {len(item.entries)}")
        entries = []
        for one, other in zip(item.entries, target.entries, strict=True):
            if one.item is not None and other.item is not None:
                one = replace(one, item=_packed_as(one.item, other.item))
            entries.append(one)
        return replace(item, entries=tuple(entries))
    if type(item) is not type(target):
        raise Untrusted("got an index in place of an image, or an image in place of an index, want what was signed")
    return item


def _packed(layer: Layer, target: Layer) -> Layer:
    there = target.content
    assert isinstance(there, Known)
    if isinstance(layer.content, Known):
        if layer.content.absent:
            return layer
        if layer.content.descriptor.digest == there.descriptor.digest:
            return layer if compression(layer.content) == compression(there) else truthful(layer)
        return replace(layer, content=Derived(inputs=(layer,), compression=compression(there)))
    return replace(layer, content=replace(layer.content, compression=compression(there)))


def compression(known: Known) -> Compression:
    """The compression that a layer's media type states."""
    return Compression(codec_of(known))


def pairs(node: Node, target: Item) -> Iterator[tuple[Leaf, Layer]]:
    """The leaves of a plan with the target's layers that they must have become; absent foreign layers are skipped."""
    if isinstance(target, Image):
        nodes = leaves(node)
        here = [layer for layer in target.layers if not layer.absent]
        if len(nodes) != len(here):
            raise Untrusted(f"got {len(here)} layers, want {len(nodes)}")
        yield from zip(nodes, here, strict=True)
    elif isinstance(target, Index) and isinstance(node, Write):
        for child, entry in zip(node.inputs, target.entries, strict=True):
            if entry.item is not None:
                yield from pairs(child, entry.item)


def filled(node: Node, made: Mapping[Leaf, Made]) -> Evaluated:
    """What a node becomes, given what the target has for its layers."""

    def leaf(one: Leaf, _inputs: tuple[Made, ...]) -> Made:
        if one in made:
            return made[one]
        assert isinstance(one, Copy), "every layer of a target is proven before its documents are"
        # A part of an artifact, which is copied as it is.
        return Made(descriptor=one.content.descriptor.retyped(one.media_type).bare(), diff_id=one.diff_id)

    return evaluate(node, leaf)


def text(value: object) -> str:
    """A member of a document, shortened for display."""
    shown = dump(value).decode()
    return shown if len(shown) <= 80 else shown[:77] + "..."
