"""``transship inspect``: describes an image from its documents alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from converter.cli.command import Command, share_heap
from converter.cli.environment import store_from_options, store_options
from converter.cli.flags import common, flags
from converter.cli.image_options import platform_option
from converter.cli.image_rows import (
    LABELS,
    image_id_of,
    is_aci,
    name_of,
    rows,
    shortened,
    signature_json,
    signature_rows,
)
from converter.cli.progress import progress
from converter.cli.report_files import check_reports, report_options, reports, write_reports
from converter.cli.signers import content_trust_option
from converter.cli.text import BOLD, show, show_json, show_row
from converter.cli.values import fill_template
from converter.errors import Unsupported, Usage
from converter.events import Report, Warned
from converter.formats import document_in
from converter.model.describe import describe
from converter.model.image import Attachment, Image, Index, subject_digests
from converter.model.media_types import ACI, INDEXES, MANIFESTS
from converter.opened_reference import OpenedReference, reading
from converter.transform import select_platforms

if TYPE_CHECKING:
    from converter.cli.layer_changes import LayerChanges
    from converter.trust.signature import Signature

EXAMPLES = """\b
Examples:
  transship inspect docker://registry.example/app:1
  transship inspect app.tar --json
  transship inspect oci:app --format '{{.Digest}}'
  transship inspect docker://registry.example/app:1 --platform linux/arm64 --config
"""


@click.command("inspect", cls=Command, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@platform_option("The image of an index for this platform.")
@click.option("--raw", is_flag=True, help="Print the manifest or index byte for byte; of an ACI, its manifest.")
@click.option("--config", is_flag=True, help="Print the configuration byte for byte; of an index, that of --platform.")
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
    with ExitStack() as files, ExitStack() as screen:
        report = screen.enter_context(progress(quiet=flags().quiet, first=f"reading {reference}"))
        whole = files.enter_context(reading(reference, store_from_options()))
        opened = _chosen(whole, platform, config=config)
        if raw or config:
            data = _config_of(opened) if config else _raw(opened)
            screen.close()
            sys.stdout.buffer.write(data)
            return
        about = subject_digests(whole.root, opened.item)
        attached = [one for subject in about for one in opened.source.attachments(subject)]
        signatures = signatures_of(opened, attached, content_trust)
        found = read_contents(opened, report) if contents or reports() else None
        screen.close()
        document = describe(opened.item, attached)
        document |= {"signatures": list(map(signature_json, signatures))} if signatures else {}
        document |= {"contents": found.to_json()} if found else {}
        write_reports(document, "image", opened, attached, signatures, found)
        if template is not None:
            show(fill_template(template, _values(opened, document)))
            return
        if flags().json:
            show_json(document)
            return
        show(reference, colour=BOLD)
        for label, value in (*shortened(rows(opened, attached, found)), *signature_rows(signatures)):
            show_row(f"  {label:<{LABELS - 2}}", value)


def _chosen(opened: OpenedReference, platform: str | None, *, config: bool) -> OpenedReference:
    """What a reference names, or one image of it; an index has no configuration, so this machine's image is taken."""
    if platform is None and not (config and isinstance(opened.item, Index)):
        return opened
    from converter.model.platform import host_platform

    item = select_platforms(opened.item, (platform or str(host_platform()),), opened.read)
    assert item.original is not None
    return replace(opened, item=item, root=item.original.manifest.descriptor)


def _raw(opened: OpenedReference) -> bytes:
    if is_aci(opened.item):
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
        "name": name_of(opened),
        "digest": str(opened.root.digest),
        "media_type": manifest.media_type if manifest else "",
        "size": manifest.size if manifest else 0,
        "format": item.original.format if item.original else "",
        "image_id": image_id_of(opened),
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


def read_contents(opened: OpenedReference, report: Report) -> LayerChanges | None:
    """What the layers do, with a warning if they cannot be read."""
    from converter.cli.layer_changes import contents

    share_heap()
    found = contents(opened, report)
    if found is not None and found.error:
        report(Warned(f"files could not be read: {found.error}"))
    return found


def signatures_of(
    opened: OpenedReference, attached: Sequence[Attachment], content_trust: Mapping[str, bytes]
) -> tuple[Signature, ...]:
    """The signatures embedded in the image and attached to it."""
    if not attached and not content_trust and opened.root.media_type in {*MANIFESTS, *INDEXES, ACI}:
        return ()  # only a schema 1 manifest embeds signatures
    from converter.trust.content_trust import stored_targets
    from converter.trust.stored_signatures import find_signatures

    return (
        *find_signatures(attached, opened.source.fetch, manifest_of(opened), opened.root),
        *stored_targets(content_trust, str(opened.root.digest)),
    )


def manifest_of(opened: OpenedReference) -> bytes:
    """The bytes of the root document; empty for an ACI, which is not a document."""
    return b"" if opened.root.media_type == ACI else opened.source.fetch(opened.root).read()
