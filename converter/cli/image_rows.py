"""An image as rows of labels and values, for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from converter.cli.results import format_words
from converter.cli.text import columns_left, short_digest
from converter.errors import count
from converter.formats import own_name
from converter.model.content import Content, Known
from converter.model.descriptor import Descriptor
from converter.model.image import (
    REFERENCE,
    Artifact,
    Attachment,
    History,
    Image,
    Index,
    Item,
    RunConfig,
    is_from,
    stored_config,
)
from converter.model.limits import size
from converter.model.reference import REF_NAME, name_at_source
from converter.opened_reference import OpenedReference
from converter.stores import recognised

if TYPE_CHECKING:
    from converter.cli.inspect import LayerChanges
    from converter.trust.signature import Signature

Rows = Iterator[tuple[str, str]]
"""Labels and values; a row without a label continues the one above."""

LABELS = 14
"""The columns before a value."""

ATTESTATION = "attestation"
"""What an entry of an index is that BuildKit adds to tell about another."""

LONGEST_VALUE = 200
"""The most characters shown of an annotation or a label."""


def signature_rows(signatures: Sequence[Signature]) -> Rows:
    """The kinds and places of signatures, and the content that they state; nothing of it is verified."""
    stating = (one for one in map(signature_json, signatures) if "content" in one)
    yield from _column("content", (f"{one['content']} is stated of {one['covers']}" for one in stating))
    yield from _column("signatures", (f"{one.kind} of {one.covers}  {one.location}" for one in signatures))


def signature_json(signature: Signature) -> dict[str, Any]:
    """A signature, and the digest of the content if it states one."""
    from converter.profile.statement import stated_digest

    found = signature.to_json()
    digest = stated_digest(signature)
    if digest:
        found["content"] = str(digest)
    return found


def rows(opened: OpenedReference, attached: Iterable[Attachment], contents: LayerChanges | None = None) -> Rows:
    """All rows about an image, most important first; ``contents`` is what its layers do, if they were read."""
    item = opened.item
    yield from _identity(opened)
    match item:
        case Image():
            yield from _image(item, contents)
        case Index():
            yield from index_rows(item)
        case Artifact():
            yield "artifact", item.artifact_type or "of no type"
            if item.subject:
                yield "speaks of", str(item.subject)
            yield from _column("blobs", (_content(blob) for blob in item.blobs))
    yield from _column("annotations", _pairs(_annotations(item)))
    yield from _column("attached", map(_attachment, attached))


def shortened(pairs: Rows) -> Rows:
    """The rows for a terminal: some labels and annotations are whole documents, which ``--json`` prints in full."""
    column = ""
    for label, value in pairs:
        column = label or column
        if column in ("labels", "annotations"):
            name, equals, text = value.partition("=")
            value = f"{name}{equals}{_cut(text)}"
        yield label, value


def _identity(opened: OpenedReference) -> Rows:
    item = opened.item
    yield from _present(("name", name_of(opened)))
    if item.original is not None:
        media_type = item.original.manifest.descriptor.media_type
        # Whatever manifest it has, `docker load` reads it, or `docker save` wrote it.
        loaded = recognised(opened.location, opened.source).kind.docker_unpacks
        yield "format", format_words("docker" if loaded else item.original.format, media_type)
        yield "media type", media_type
    yield "digest", str(opened.root.digest)
    yield from _present(("image ID", image_id_of(opened)))


def name_of(opened: OpenedReference) -> str:
    """The name of an image, at its source or in its manifest; empty if it has none."""
    if is_aci(opened.item):
        return ":".join(filter(None, own_name(opened.item)))
    location = opened.location
    return (
        name_at_source(location, location.name, opened.root)
        or location.name
        or opened.root.annotations.get(REF_NAME, "")
    )


def image_id_of(opened: OpenedReference) -> str:
    """The ID by which a runtime knows the image; that of an ACI is the digest of its whole uncompressed tar."""
    item = opened.item
    if is_aci(item):
        from converter.formats.aci.archive import image_id

        return image_id(opened.source.fetch(opened.root))
    config = stored_config(item)
    return "" if config is None else str(config.descriptor.digest)


def is_aci(item: Item) -> TypeGuard[Image]:
    """Whether it was read from an ACI."""
    return isinstance(item, Image) and is_from(item, "aci")


def _annotations(item: Item) -> Mapping[str, str]:
    """The annotations of an image, without the one in which other formats keep the whole manifest of an ACI."""
    if isinstance(item, Artifact):
        return {}
    if not is_aci(item):
        return item.annotations
    from converter.formats.aci.kept_annotations import MANIFEST

    return {key: value for key, value in item.annotations.items() if key != MANIFEST}


def _image(image: Image, contents: LayerChanges | None) -> Rows:
    yield "platform", str(image.platform)
    yield from _present(("OS version", image.platform.os_version), ("created", image.created), ("author", image.author))
    yield from _config(image.config)
    if is_aci(image):
        yield from _column("depends on", image.notes.depends_on)
        assert image.original is not None
        yield "size", size(image.original.manifest.descriptor.size)
    else:
        yield from layer_rows(image, contents)
    yield from _column("history", map(step_text, image.history))


def _config(config: RunConfig) -> Rows:
    yield from _present(("user", config.user), ("directory", config.working_dir), ("stop signal", config.stop_signal))
    lists = (
        ("entrypoint", config.entrypoint),
        ("cmd", config.cmd),
        ("shell", config.shell),
        ("healthcheck", config.healthcheck),
    )
    for label, value in lists:
        if value is not None:
            yield label, json.dumps(value, ensure_ascii=False, default=dict)
    yield from _column("environment", config.env)
    yield from _column("ports", config.exposed_ports)
    yield from _column("volumes", config.volumes)
    yield from _column("on build", config.on_build or ())
    yield from _column("labels", _pairs(config.labels))


def layer_rows(image: Image, contents: LayerChanges | None = None) -> Rows:
    """Each layer with the instruction that made it and, if the layers were read, what it does."""
    known = [layer.content.descriptor.size for layer in image.layers if isinstance(layer.content, Known)]
    usage = contents.usage if contents else None
    total = f", {size(sum(known))}" if known and min(known) >= 0 else ""
    wasted = f", {size(usage.wasted)} of files wasted" if usage else ""
    yield "layers", f"{len(image.layers)}{total}{wasted}"
    for number, (layer, made_by) in enumerate(zip(image.layers, instructions(image), strict=True)):
        yield "", _content(layer.content, made_by)
        if usage:
            use = usage.layers[number]
            counts = f"{count(use.added, 'file')} added, {use.replaced} replaced, {use.deleted} deleted"
            yield "", f"  {counts}; {size(use.wasted)} wasted"


def _content(content: Content, made_by: str = "") -> str:
    """A blob in a line: its size, its type, what made it, its digest; on a terminal, what made it has the room left."""
    if not isinstance(content, Known):
        return f"from {' and '.join(_content(layer.content) for layer in content.inputs)}"
    descriptor = content.descriptor
    length = size(descriptor.size) if descriptor.size >= 0 else "unknown"
    start = f"{length:>10}  {_short(descriptor.media_type):<8}  "
    digest = short_digest(descriptor.digest)
    urls = f"  at {', '.join(descriptor.urls)}" if descriptor.urls else ""
    left = columns_left(LABELS + len(start) + 2 + len(digest))
    if left is None:
        middle = f"{_cut(made_by)}  " if made_by else ""
    else:
        shown = made_by if len(made_by) <= left else f"{made_by[: max(left - 1, 0)]}…"
        middle = f"{shown:<{left}}  "
    return f"{start}{middle}{digest}{urls}"


def index_rows(index: Index) -> Rows:
    """Each image of an index, with its platform, and each attestation, with the digest of what it is about."""
    names = [_entry_name(entry.descriptor) for entry in index.entries]
    attestations = names.count(ATTESTATION)
    also = f", {count(attestations, ATTESTATION)}" if attestations else ""
    yield "images", f"{len(names) - attestations}{also}"
    wide = max(map(len, names), default=0)
    for entry, platform in zip(index.entries, names, strict=True):
        descriptor = entry.descriptor
        more = ""
        if descriptor.platform and descriptor.platform.os_version:
            more = f"  OS version {descriptor.platform.os_version}"
        if descriptor.annotations.get(REFERENCE):
            more += f"  of {descriptor.annotations[REFERENCE]}"
        yield "", f"{platform:<{wide}}{more}  {descriptor.digest}"


def _entry_name(descriptor: Descriptor) -> str:
    if REFERENCE in descriptor.annotations:
        return ATTESTATION
    return str(descriptor.platform) if descriptor.platform else descriptor.artifact_type or "no platform"


def _attachment(attachment: Attachment) -> str:
    what = attachment.tag or attachment.descriptor.artifact_type or _short(attachment.descriptor.media_type)
    return f"{what}  {attachment.descriptor.digest}"


def step_text(step: History) -> str:
    """A step of the history, with the time to the second."""
    # Nobody needs the fraction of a second; without it, all times in UTC have the same length.
    when = re.sub(r"\.\d+", "", step.created)
    text = " ".join(_made_by(step).split()) or "no command"
    return f"{when:<20}  {text}{' (no layer)' if step.empty_layer else ''}"


def _pairs(members: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in members.items())


def _cut(value: str) -> str:
    """The start of a value."""
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}… ({count(len(value), 'character')})"


def _present(*pairs: tuple[str, str]) -> Rows:
    """The rows that have a value."""
    return (pair for pair in pairs if pair[1])


def _column(label: str, values: Iterable[Any]) -> Rows:
    for value in values:
        yield label, str(value)
        label = ""


def _short(media_type: str) -> str:
    """A media type without the common prefixes."""
    short = (
        media_type.removeprefix("application/vnd.oci.image.layer.v1.")
        .removeprefix("application/vnd.docker.image.rootfs.diff.")
        .removeprefix("application/vnd.")
    )
    return short or "no media type"


_NOP = re.compile(r"/bin/sh -c #\(nop\)\s*")
_SHELL = re.compile(r"(?:RUN )?(?:\|\d+ .*? )?/bin/sh -c ", re.DOTALL)
_DIGEST = re.compile(r"\b(file|dir|multi):([0-9a-f]{12})[0-9a-f]{52}\b")
_BUILDKIT = re.compile(r"\s*# buildkit$")


def instructions(image: Image) -> list[str]:
    """One per layer, base first; empty where the history says nothing, or something else than the layers do."""
    steps = [step for step in image.history if not step.empty_layer]
    if len(steps) != len(image.layers):
        return [""] * len(image.layers)
    return list(map(_made_by, steps))


def _made_by(step: History) -> str:
    return instruction(step.created_by) or step.comment


def instruction(created_by: str) -> str:
    """A step of the history without what builders put around it."""
    found = _BUILDKIT.sub("", created_by.strip())
    if match := _NOP.match(found):
        found = found[match.end() :]
    elif match := _SHELL.match(found):
        found = f"RUN {found[match.end() :]}"
    return " ".join(_DIGEST.sub(r"\1:\2…", found).split())
