"""``transship inspect``: describes an image from its documents alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

import click

from converter.cli.command import Command
from converter.cli.environment import store, store_options
from converter.cli.flags import common, flags
from converter.cli.instructions import instruction, instructions
from converter.cli.report_files import check_reports, report_options, reports, write_reports
from converter.cli.signers import content_trust_option
from converter.cli.text import BOLD, brief, count, room, show, show_json, show_row, size, warn
from converter.cli.values import filled
from converter.errors import Unsupported, Usage
from converter.formats import document_in, own_name
from converter.model.content import Content, Known
from converter.model.describe import describe
from converter.model.image import REFERENCE, Artifact, Attachment, Image, Index, Item, RunConfig, subject_digests
from converter.model.media_types import ACI, INDEXES, MANIFESTS
from converter.model.reference import REF_NAME, Location, name_at_source
from converter.reading import OpenedReference, reading
from converter.transform.platforms import select

if TYPE_CHECKING:
    from converter.cli.contents import Contents
    from converter.trust.signature import Signature

Rows = Iterator[tuple[str, str]]
"""Labels and values; a row without a label continues the one above."""

_LABELS = 14
"""The columns before a value."""

MOST = 200
"""The most characters shown of an annotation or a label."""


EXAMPLES = """\b
Examples:
  transship inspect docker://registry.example/app:1
  transship inspect app.tar --json
  transship inspect oci:app --format '{{.Digest}}'
  transship inspect docker://registry.example/app:1 --platform linux/arm64 --config
"""


@click.command("inspect", cls=Command, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="The image of an index for this platform, not the index.")
@click.option("--raw", is_flag=True, help="Print the manifest or index byte for byte; of an ACI, its manifest.")
@click.option("--config", is_flag=True, help="Print the configuration byte for byte; of an index, --platform's.")
@click.option(
    "--format",
    "template",
    metavar="TEMPLATE",
    help="Print values: '{{.Digest}}', or a path into --json such as config.env.",
)
@click.option("--contents", is_flag=True, help="Read the layers too: what each adds, replaces, deletes and wastes.")
@report_options
@content_trust_option
@store_options
@common
def command(
    reference: str,
    *,
    platform: str | None,
    raw: bool,
    config: bool,
    template: str | None,
    contents: bool,
    content_trust: dict[str, bytes],
) -> None:
    """Describe the image REF. Only its documents are read, not its layers; an ACI is read completely.

    With --json: the neutral model, the same for images of every format (transship schema image). --format knows its
    members, and name, digest, media_type, size, format, image_id, os, architecture, variant, env and labels.

    --contents, and a report, read the layers as well; of an index, those of the image that this machine would run.
    """
    check_reports()
    forms = {"--json": flags().json, "--raw": raw, "--config": config, "--format": template is not None}
    if len(asked := [name for name, given in forms.items() if given]) > 1:
        raise Usage(f"{asked[0]} and {asked[1]} print different things: choose one")
    if (raw or config) and reports():
        raise Usage(f"{asked[0]} prints a document alone: leave out --report")
    with reading(reference, store()) as whole:
        opened = _chosen(whole, platform, config=config)
        if raw or config:
            sys.stdout.buffer.write(_config_of(opened) if config else _raw(opened))
            return
        about = subject_digests(whole.root, opened.item)
        attached = [one for subject in about for one in opened.source.attachments(subject)]
        signatures = signatures_of(opened, attached, content_trust)
        found = read_contents(opened) if contents or reports() else None
        document = describe(opened.item, attached)
        document |= {"signatures": [one.to_json() for one in signatures]} if signatures else {}
        document |= {"contents": found.to_json()} if found else {}
        write_reports(document, "image", opened, attached, signatures, found)
        if template is not None:
            show(filled(template, _values(opened, document)))
            return
        if flags().json:
            show_json(document)
            return
        show(reference, colour=BOLD)
        for label, value in (*rows(opened, attached, found), *signature_rows(signatures)):
            show_row(f"  {label:<{_LABELS - 2}}", value)


def _chosen(opened: OpenedReference, platform: str | None, *, config: bool) -> OpenedReference:
    """What a reference names, or one image of it; an index has no configuration, so this machine's image is taken."""
    if platform is None and not (config and isinstance(opened.item, Index)):
        return opened
    from converter.model.platform import host_platform

    item = select(opened.item, (platform or str(host_platform()),), opened.read)
    assert item.original is not None
    return replace(opened, item=item, root=item.original.manifest.descriptor)


def _raw(opened: OpenedReference) -> bytes:
    if _is_aci(opened.item):
        return document_in(opened.source.fetch(opened.root))
    return manifest_of(opened)


def _config_of(opened: OpenedReference) -> bytes:
    item = opened.item
    if not isinstance(item, Image) or item.original is None or item.original.config is None:
        raise Unsupported("no configuration of its own: --raw prints the document that it has")
    return item.original.config.read()


def _values(opened: OpenedReference, document: dict[str, Any]) -> dict[str, Any]:
    """What ``--format`` may ask for."""
    item = opened.item
    manifest = None if item.original is None else item.original.manifest.descriptor
    own: dict[str, Any] = {
        "name": _name(opened),
        "digest": str(opened.root.digest),
        "media_type": manifest.media_type if manifest else "",
        "size": manifest.size if manifest else 0,
        "format": item.original.format if item.original else "",
        "image_id": _image_id(opened),
    }
    if isinstance(item, Image):
        own |= {
            "os": item.platform.os,
            "architecture": item.platform.architecture,
            "variant": item.platform.variant,
            "created": item.created,
            "author": item.author,
            "env": list(item.config.env),
            "labels": dict(item.config.labels),
        }
    return own | document


def read_contents(opened: OpenedReference) -> Contents | None:
    """What the layers do, with a warning if they cannot be read."""
    from converter.cli.contents import contents
    from converter.cli.heap import share_heap
    from converter.cli.progress import progress

    share_heap()
    with progress(quiet=flags().quiet) as report:
        found = contents(opened, report)
    if found is not None and found.error:
        warn(f"files could not be read: {found.error}")
    return found


def signatures_of(
    opened: OpenedReference, attached: Sequence[Attachment], content_trust: Mapping[str, bytes]
) -> tuple[Signature, ...]:
    """The signatures embedded in the image and attached to it."""
    if not attached and not content_trust and opened.root.media_type in {*MANIFESTS, *INDEXES, ACI}:
        return ()  # only a schema 1 manifest embeds signatures
    from converter.trust.content_trust import stored_targets
    from converter.trust.evidence import find_signatures

    return (
        *find_signatures(attached, opened.source.fetch, manifest_of(opened), opened.root),
        *stored_targets(content_trust, str(opened.root.digest)),
    )


def manifest_of(opened: OpenedReference) -> bytes:
    """The bytes of the root document; empty for an ACI, which is not a document."""
    return b"" if opened.root.media_type == ACI else opened.source.fetch(opened.root).read()


def signature_rows(signatures: Sequence[Signature]) -> Rows:
    """The kinds and places of signatures, and the content that they state; nothing of it is verified."""
    if not signatures:
        return
    from converter.profile.file import stated_digest

    contents = ((stated_digest(one), one.covers) for one in signatures)
    yield from _column("content", (f"{digest} is stated of {covers}" for digest, covers in contents if digest))
    yield from _column("signatures", (f"{one.kind} of {one.covers}  {one.location}" for one in signatures))


def rows(opened: OpenedReference, attached: Iterable[Attachment], contents: Contents | None = None) -> Rows:
    """All rows about an image, most important first; ``contents`` is what its layers do, if they were read."""
    item = opened.item
    yield from _identity(opened)
    match item:
        case Image():
            yield from _image(item, contents)
        case Index():
            yield from _index(item)
        case Artifact():
            yield from _artifact(item)
    yield from _column("annotations", _pairs(_annotations(item)))
    yield from _column("attached", map(_attachment, attached))


def _identity(opened: OpenedReference) -> Rows:
    item = opened.item
    if name := _name(opened):
        yield "name", name
    if item.original is not None:
        yield "format", item.original.format
        yield "media type", item.original.manifest.descriptor.media_type
    yield "digest", str(opened.root.digest)
    if image_id := _image_id(opened):
        yield "image ID", image_id


def _name(opened: OpenedReference) -> str:
    if _is_aci(opened.item):
        return ":".join(filter(None, own_name(opened.item)))
    location = Location.parse(opened.reference)
    return (
        name_at_source(location, location.name, opened.root)
        or location.name
        or opened.root.annotations.get(REF_NAME, "")
    )


def _image_id(opened: OpenedReference) -> str:
    """The ID by which a runtime knows the image; that of an ACI is the digest of its whole uncompressed tar."""
    item = opened.item
    if _is_aci(item):
        from converter.formats.aci.archive import image_id

        return image_id(opened.source.fetch(opened.root))
    config = item.original.config if isinstance(item, Image) and item.original is not None else None
    return "" if config is None else str(config.descriptor.digest)


def _is_aci(item: Item) -> TypeGuard[Image]:
    return isinstance(item, Image) and item.original is not None and item.original.format == "aci"


def _annotations(item: Item) -> Mapping[str, str]:
    """The annotations of an image, without the one in which other formats keep the whole manifest of an ACI."""
    if isinstance(item, Artifact):
        return {}
    if not _is_aci(item):
        return item.annotations
    from converter.formats.aci.keys import MANIFEST

    return {key: value for key, value in item.annotations.items() if key != MANIFEST}


def _image(image: Image, contents: Contents | None) -> Rows:
    yield "platform", str(image.platform)
    if image.platform.os_version:
        yield "OS version", image.platform.os_version
    if image.created:
        yield "created", image.created
    if image.author:
        yield "author", image.author
    yield from _config(image.config)
    if _is_aci(image):
        yield from _column("depends on", image.notes.depends_on)
        assert image.original is not None
        yield "size", size(image.original.manifest.descriptor.size)
    else:
        yield from _layers(image, contents)
    steps = (
        _step(step.created, instruction(step.created_by) or step.comment, empty=step.empty_layer)
        for step in image.history
    )
    yield from _column("history", steps)


def _config(config: RunConfig) -> Rows:
    for label, text in (("user", config.user), ("directory", config.working_dir), ("stop signal", config.stop_signal)):
        if text:
            yield label, text
    lists = (
        ("entrypoint", config.entrypoint),
        ("cmd", config.cmd),
        ("shell", config.shell),
        ("healthcheck", config.healthcheck),
    )
    for label, value in lists:
        if value is not None:
            yield label, json.dumps(dict(value) if isinstance(value, Mapping) else value, ensure_ascii=False)
    yield from _column("environment", config.env)
    yield from _column("ports", config.exposed_ports)
    yield from _column("volumes", config.volumes)
    yield from _column("on build", config.on_build or ())
    yield from _column("labels", _pairs(config.labels))


def _layers(image: Image, contents: Contents | None = None) -> Rows:
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
            told = f"{count(use.added, 'file')} added, {use.replaced} replaced, {use.deleted} deleted"
            yield "", f"  {told}; {size(use.wasted)} wasted"


def _content(content: Content, made_by: str = "") -> str:
    """A blob in a line: its size, its type, what made it, its digest; on a terminal, what made it has the room left."""
    if not isinstance(content, Known):
        return f"from {' and '.join(_content(layer.content) for layer in content.inputs)}"
    descriptor = content.descriptor
    length = size(descriptor.size) if descriptor.size >= 0 else "unknown"
    start, digest = f"{length:>10}  {_short(descriptor.media_type):<8}  ", brief(descriptor.digest)
    urls = f"  at {', '.join(descriptor.urls)}" if descriptor.urls else ""
    left = room(_LABELS + len(start) + 2 + len(digest))
    if left is None:
        middle = f"{_cut(made_by)}  " if made_by else ""
    else:
        middle = f"{made_by if len(made_by) <= left else f'{made_by[: max(left - 1, 0)]}…':<{left}}  "
    return f"{start}{middle}{digest}{urls}"


def _index(index: Index) -> Rows:
    yield "images", str(len(index.entries))
    for entry in index.entries:
        descriptor = entry.descriptor
        platform = str(descriptor.platform) if descriptor.platform else descriptor.artifact_type or "no platform"
        speaks_of = descriptor.annotations.get(REFERENCE)
        more = f"  attests {speaks_of}" if speaks_of else ""
        if descriptor.platform and descriptor.platform.os_version:
            more = f"  OS version {descriptor.platform.os_version}{more}"
        yield "", f"{platform:<13}{more}  {descriptor.digest}"


def _artifact(artifact: Artifact) -> Rows:
    yield "artifact", artifact.artifact_type or "of no type"
    if artifact.subject:
        yield "speaks of", str(artifact.subject)
    yield from _column("blobs", (_content(blob) for blob in artifact.blobs))


def _attachment(attachment: Attachment) -> str:
    what = attachment.tag or attachment.descriptor.artifact_type or _short(attachment.descriptor.media_type)
    return f"{what}  {attachment.descriptor.digest}"


def _step(created: str, text: str, *, empty: bool) -> str:
    # Nobody needs the fraction of a second; without it, all times in UTC have the same length.
    when = re.sub(r"\.\d+", "", created)
    return f"{when:<20}  {' '.join(text.split()) or 'no command'}{' (no layer)' if empty else ''}"


def _pairs(members: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={_cut(value)}" for key, value in members.items())


def _cut(value: str) -> str:
    """The start of a value, as some are whole documents; ``--json`` prints them in full."""
    return value if len(value) <= MOST else f"{value[:MOST]}… ({count(len(value), 'character')})"


def _column(label: str, values: Iterable[Any]) -> Rows:
    for value in values:
        yield label, str(value)
        label = ""


def _short(media_type: str) -> str:
    """A media type without the common prefixes."""
    for common_part in ("application/vnd.oci.image.layer.v1.", "application/vnd.docker.image.rootfs.diff."):
        media_type = media_type.removeprefix(common_part)
    return media_type.removeprefix("application/vnd.") or "no media type"
