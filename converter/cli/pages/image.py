"""The report of ``inspect``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from converter.cli.image_rows import rows, signature_rows
from converter.cli.pages.files import encoded
from converter.errors import ConverterError
from converter.model.content import Known, source_blobs
from converter.model.descriptor import Descriptor
from converter.model.image import REFERENCE, Attachment, Image, Index, Item, stored_config
from converter.model.limits import size
from converter.pages import data, render, short
from converter.usage import files_below

if TYPE_CHECKING:
    from converter.cli.inspect import LayerChanges
    from converter.opened_reference import OpenedReference
    from converter.trust.signature import Signature

IDENTITY = frozenset((
    "name", "format", "media type", "digest", "image ID", "content", "platform", "OS version", "created", "author",
    "depends on", "artifact", "speaks of", "size",
))  # fmt: skip
OWN_SECTIONS = frozenset(("layers", "history", "images", "attached", "blobs"))
"""What has a part of the page of its own."""

PREDICATE = "in-toto.io/predicate-type"
"""The annotation by which BuildKit says what kind of statement a blob is."""

WASTED = 100
"""The most paths in the table of waste; the JSON has more."""


def page(
    opened: OpenedReference,
    attached: Sequence[Attachment],
    signatures: Sequence[Signature],
    contents: LayerChanges | None,
) -> str:
    """The whole page."""
    stated = (row for row in signature_rows(signatures) if row[0] == "content")
    facts = grouped((*rows(opened, attached), *stated))
    platforms = _platforms(opened.item)
    used = contents.usage if contents else None
    # An ACI has no layer with a digest of its own.
    layers = [{"digest": "", "size": None} | layer for layer in contents.layers()] if contents else []
    sizes = [layer["size"] or 0 for layer in layers]
    return render(
        "image.html.j2",
        reference=opened.reference,
        identity=[row for row in facts if row[0] in IDENTITY] + ([("platforms", platforms)] if platforms else []),
        platforms=platforms,
        config=[row for row in facts if row[0] not in IDENTITY | OWN_SECTIONS],
        history=[row[1] for row in facts if row[0] == "history"],
        contents=contents,
        layers=layers,
        whole=sum(sizes),
        starts=[sum(sizes[:number]) for number in range(len(sizes))],
        used=used,
        repeated=contents.repeated()[:WASTED] if contents else [],
        tree=data(encoded(used.root)) if used else "",
        number=sum(1 for _ in files_below(used.root)) if used else 0,
        signatures=signatures,
        graph=graph(opened, attached, contents.image if contents else None),
    )


def _platforms(item: Item) -> list[str]:
    """The platforms that an index has images for; attestations are for none."""
    entries = item.entries if isinstance(item, Index) else ()
    known = (entry.descriptor.platform for entry in entries)
    return [str(platform) for platform in known if platform and platform.known]


def grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Rows of which those without a label continue the one above, each with all its values."""
    found: list[tuple[str, list[str]]] = []
    for label, value in pairs:
        if label or not found:
            found.append((label, [value]))
        else:
            found[-1][1].append(value)
    return found


Node = dict[str, Any]


def graph(opened: OpenedReference, attached: Sequence[Attachment], whole: Image | None) -> Node:
    """The root and all below it; an image of an index that cannot be read says why.

    ``whole`` is the image that was read: that of an ACI has the layers of its dependencies, too.
    """
    item = opened.item if whole is None or not isinstance(opened.item, Image) else whole
    found = _node(_kind(opened.item), opened.root)
    found["below"] = _below(opened, item, attached) + _attached(opened.root, attached)
    return found


def _below(opened: OpenedReference, item: Item, attached: Sequence[Attachment]) -> list[Node]:
    if isinstance(item, Index):
        return [_entry(opened, entry.descriptor, entry.item, attached) for entry in item.entries]
    if isinstance(item, Image):
        config = stored_config(item)
        first = [_node("configuration", config.descriptor)] if config else []
        return first + [_layer(number, source_blobs(layer.content)) for number, layer in enumerate(item.layers)]
    return [_node("blob", blob.descriptor, [blob.descriptor.annotations.get(PREDICATE, "")]) for blob in item.blobs]


def _entry(opened: OpenedReference, descriptor: Descriptor, item: Item | None, attached: Sequence[Attachment]) -> Node:
    about = [str(descriptor.platform)] if descriptor.platform and descriptor.platform.known else []
    subject = descriptor.annotations.get(REFERENCE)
    if subject:
        about.append(f"of {short(subject)}")
    try:
        item = opened.read(descriptor) if item is None else item
    except ConverterError as error:
        return _node("manifest", descriptor, [*about, str(error)])
    node = _node("attestation" if subject else _kind(item), descriptor, about)
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
    notes = [one for one in (*about, *known, descriptor.media_type) if one]
    return {"what": what, "digest": str(descriptor.digest), "about": notes, "below": []}
