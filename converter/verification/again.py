"""Plans the conversion again from what was signed: what the target has to be, except for its layers.

A plan is the Merkle tree of the output, with holes. Execution fills them from the leaves up; verification fills them
with what the target has, once that is proven, and compares the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from converter import formats
from converter.errors import Untrusted
from converter.formats import reader_of
from converter.model.compression import NONE
from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor
from converter.model.document import dump
from converter.model.image import Image, Index, Item, each_image, images
from converter.plan import Copy, Evaluated, Leaf, Made, Node, Write, evaluate, leaves
from converter.ports import Finder
from converter.transform import as_in, encode, transform
from converter.transform.platforms import Read, flattened, select
from converter.verification.original import OriginalSource


def chosen(original: OriginalSource, root: Descriptor) -> Item:
    """The part of the signed image that was converted; raises Untrusted if an index lists it for another platform."""
    platforms, read = original.record.settings.platforms, formats.reading(original.fetch)
    whole = read(root)
    if isinstance(whole, Index) and not platforms:
        raise Untrusted("got a record that does not say which image of an index it is about, want it to")
    item = select(whole, platforms, read)
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

    ``finder`` finds the dependencies of an image.
    """
    record, target = original.record, original.converted.item
    form = reader_of(original.converted.root.media_type)
    settings = replace(record.settings, compress=NONE)  # the proof compares uncompressed bytes
    item = each_image(original.with_layers)(item)
    item = transform(item, form, settings, name=record.name, find=finder, pack=as_in(target))
    mixed = any(image.original is not None and image.original.format != form.name for image in images(target))
    return encode(item, form, frozenset(_layer_types(target)), settings, mixed=mixed)


def _layer_types(item: Item) -> Iterator[str]:
    """The media types of the target's layers."""
    for image in images(item):
        for layer in image.layers:
            if isinstance(layer.content, Known):
                yield layer.content.descriptor.media_type


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
