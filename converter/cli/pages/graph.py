"""An image as the graph that a store has of it: root, index, manifests, blobs, and what is attached to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from converter.errors import ConverterError
from converter.model.content import Known, source_blobs
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment, Image, Index, Item
from converter.model.limits import size

if TYPE_CHECKING:
    from converter.reading import OpenedReference

Node = dict[str, Any]


def graph(opened: OpenedReference, attached: Sequence[Attachment]) -> Node:
    """The root and all below it; an image of an index that cannot be read says why."""
    found = _node(_kind(opened.item), opened.root)
    found["below"] = _below(opened, opened.item, attached) + _attached(opened.root, attached)
    return found


def _below(opened: OpenedReference, item: Item, attached: Sequence[Attachment]) -> list[Node]:
    if isinstance(item, Index):
        return [_entry(opened, entry.descriptor, entry.item, attached) for entry in item.entries]
    if isinstance(item, Image):
        config = item.original.config if item.original else None
        first = [_node("configuration", config.descriptor)] if config else []
        return first + [_layer(number, source_blobs(layer.content)) for number, layer in enumerate(item.layers)]
    return [_node("blob", blob.descriptor) for blob in item.blobs]


def _entry(opened: OpenedReference, descriptor: Descriptor, item: Item | None, attached: Sequence[Attachment]) -> Node:
    platform = [str(descriptor.platform)] if descriptor.platform else []
    try:
        item = opened.read(descriptor) if item is None else item
    except ConverterError as error:
        return _node("manifest", descriptor, [*platform, str(error)])
    node = _node(_kind(item), descriptor, platform)
    node["below"] = _below(opened, item, attached) + _attached(descriptor, attached)
    return node


def _attached(subject: Descriptor, attached: Iterable[Attachment]) -> list[Node]:
    return [
        _node("attachment", one.descriptor, [one.tag or one.descriptor.artifact_type])
        for one in attached
        if one.subject == subject.digest
    ]


def _layer(number: int, blobs: Iterable[Known]) -> Node:
    rows = [_node(f"layer {number}", blob.descriptor) for blob in blobs]
    return rows[0] if len(rows) == 1 else {"what": f"layer {number}", "digest": "", "about": [], "below": rows}


def _kind(item: Item) -> str:
    if isinstance(item, Index):
        return "index"
    if isinstance(item, Image):
        return "ACI" if item.original and item.original.format == "aci" else "manifest"
    return "artifact"


def _node(what: str, descriptor: Descriptor, about: Sequence[str] = ()) -> Node:
    known = [size(descriptor.size)] if descriptor.size >= 0 else []
    told = [one for one in (*about, *known, descriptor.media_type) if one]
    return {"what": what, "digest": str(descriptor.digest), "about": told, "below": []}
