"""``transship inspect``: describes an image from its documents, and on request what its layers change."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import Command, share_heap
from converter.cli.flags import common, flags
from converter.cli.image_rows import (
    LABELS,
    image_id_of,
    instructions,
    is_aci,
    name_of,
    rows,
    shortened,
    signature_json,
    signature_rows,
)
from converter.cli.progress import progress
from converter.cli.shared_options import (
    check_outputs,
    platform_option,
    report_options,
    reports,
    store_from_options,
    store_options,
    write_reports,
)
from converter.cli.signature_options import content_trust_option
from converter.cli.text import BOLD, show, show_json, show_row
from converter.errors import ConverterError, Unsupported, Usage
from converter.events import Report, Warned
from converter.model.content import Known
from converter.model.describe import describe
from converter.model.frozen import frozen
from converter.model.image import Attachment, Image, Index, images_of, stored_config, subject_digests
from converter.model.media_types import ACI, INDEXES, MANIFESTS
from converter.model.platform import host_platform
from converter.opened_reference import OpenedReference, reading
from converter.transform import read_whole_index, select_platforms

if TYPE_CHECKING:
    from converter.trust.signature import Signature
    from converter.usage import ImageUse

PATHS = 1000
"""The most paths that are listed as wasteful, the worst first."""

_FIELD = re.compile(r"\{\{-?\s*(?P<json>json\s+)?\.?(?P<path>[^{}\s]*)\s*-?\}\}")
_PATH = re.compile(r"\.?[A-Za-z][\w.-]*")

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
    check_outputs()
    forms = {"--json": flags().json, "--raw": raw, "--config": config, "--format": template is not None}
    asked = [name for name, given in forms.items() if given]
    if len(asked) > 1:
        raise Usage(f"{asked[0]} and {asked[1]} print different things: choose one")
    if (raw or config) and reports():
        raise Usage(f"{asked[0]} prints a document alone: leave out --report")
    with ExitStack() as files, ExitStack() as screen:
        report = screen.enter_context(progress(first=f"reading {reference}"))
        whole = files.enter_context(reading(reference, store_from_options()))
        opened = _chosen(whole, platform, config=config)
        if raw or config:
            data = _config_of(opened) if config else _raw(opened)
            screen.close()
            sys.stdout.buffer.write(data)
            return
        attached: list[Attachment] = []
        for subject in subject_digests(whole.root, opened.item):
            attached += opened.source.attachments(subject)
        signatures = signatures_of(opened, attached, content_trust)
        found = read_contents(opened, report) if contents or reports() else None
        screen.close()
        document = describe(opened.item, attached)
        if signatures:
            document["signatures"] = list(map(signature_json, signatures))
        if found:
            document["contents"] = found.to_json()
        write_reports(document, "pages.image", opened, attached, signatures, found)
        if template is not None:
            show(fill_template(template, _values(opened, document)))
        elif flags().json:
            show_json(document)
        else:
            show(reference, colour=BOLD)
            for label, value in (*shortened(rows(opened, attached, found)), *signature_rows(signatures)):
                show_row(f"  {label:<{LABELS - 2}}", value)


def _chosen(opened: OpenedReference, platform: str | None, *, config: bool) -> OpenedReference:
    """What a reference names, or one image of it; an index has no configuration, so this machine's image is taken."""
    if platform is None and not (config and isinstance(opened.item, Index)):
        return opened
    item = select_platforms(opened.item, (platform or str(host_platform()),), opened.read)
    assert item.original is not None
    return replace(opened, item=item, root=item.original.manifest.descriptor)


def _raw(opened: OpenedReference) -> bytes:
    whole = opened.source.fetch(opened.root)
    if not is_aci(opened.item):
        return whole.read()
    from converter.formats.aci.archive import read_manifest

    return read_manifest(whole)


def _config_of(opened: OpenedReference) -> bytes:
    config = stored_config(opened.item)
    if config is None:
        raise Unsupported("no configuration of its own: --raw prints the document that it has")
    return config.read()


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


def signatures_of(
    opened: OpenedReference, attached: Sequence[Attachment], content_trust: Mapping[str, bytes]
) -> tuple[Signature, ...]:
    """The signatures embedded in the image and attached to it."""
    if not attached and not content_trust and opened.root.media_type in {*MANIFESTS, *INDEXES, ACI}:
        return ()  # only a schema 1 manifest embeds signatures
    from converter.trust.content_trust import stored_targets
    from converter.trust.stored_signatures import find_signatures

    # An ACI is not a document.
    manifest = b"" if opened.root.media_type == ACI else opened.source.fetch(opened.root).read()
    return (
        *find_signatures(attached, opened.source.fetch, manifest, opened.root),
        *stored_targets(content_trust, str(opened.root.digest)),
    )


@frozen
class LayerChanges:
    """An image, and what its layers do; ``usage`` is None if they could not be read, and ``error`` then says why."""

    image: Image
    usage: ImageUse | None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """The member ``contents`` of ``inspect --json --contents``."""
        found: dict[str, Any] = {"platform": str(self.image.platform), "layers": self.layers()}
        if self.usage is None:
            return found | {"error": self.error}
        repeated = [{"path": path, **asdict(one)} for path, one in self.repeated()]
        totals = {"size": self.usage.size, "wasted": self.usage.wasted, "inefficient": self.usage.inefficient}
        return found | totals | {"repeated": repeated}

    def layers(self) -> list[dict[str, Any]]:
        """Each layer, base first: its instruction, what it is, and what it does as far as known."""
        rows = []
        for number, (layer, made_by) in enumerate(zip(self.image.layers, instructions(self.image), strict=True)):
            row: dict[str, Any] = {"instruction": made_by}
            if isinstance(layer.content, Known):
                blob = layer.content.descriptor
                row |= {"digest": str(blob.digest), "media_type": blob.media_type}
                if blob.size >= 0:
                    row["size"] = blob.size
            if self.usage is not None:
                row["use"] = asdict(self.usage.layers[number])
            rows.append(row)
        return rows

    def repeated(self) -> list[tuple[str, Any]]:
        """The paths that waste most."""
        found = self.usage.most_wasted(PATHS) if self.usage else []
        return [("/" + os.fsdecode(path), one) for path, one in found]


def read_contents(opened: OpenedReference, report: Report) -> LayerChanges | None:
    """What the layers of an image do, or of the one of an index that this machine would run; None if there is no image.

    Warns if they cannot be read.
    """
    from converter.compare_references import watched
    from converter.streams.uncompressed import read_layers
    from converter.usage import usage

    image = _image_in(opened)
    if image is None:
        return None
    share_heap()
    try:
        image = opened.whole(image)
        used = read_layers(image.layers, usage, opened=watched(report, image))
    except ConverterError as error:
        report(Warned(f"files could not be read: {error}"))
        return LayerChanges(image=image, usage=None, error=str(error))
    return LayerChanges(image=image, usage=used)


def _image_in(opened: OpenedReference) -> Image | None:
    """The image; of an index the one that this machine would run, or else the first."""
    with suppress(ConverterError):
        item = _chosen(opened, None, config=True).item
        if isinstance(item, Image):
            return item
    with suppress(ConverterError):
        return next(images_of(read_whole_index(opened.item, opened.read)), None)
    return None


def fill_template(template: str, document: Mapping[str, Any]) -> str:
    """The template with the document's values; a bare path stands for a template of it alone.

    Members are found whatever their case and underscores: ``{{.MediaType}}`` is ``media_type``. A text is printed as it
    is, everything else as JSON, as is every value of ``{{json .PATH}}``. Raises Usage for an unknown member.
    """
    if _PATH.fullmatch(template):
        template = f"{{{{{template}}}}}"
    rest = _FIELD.sub("", template)
    if "{{" in rest or "}}" in rest or rest == template:
        raise Usage(f'invalid template "{template}": expected {{{{.PATH}}}}, as in {{{{.Digest}}}}, or a path alone')
    template = template.replace(r"\n", "\n").replace(r"\t", "\t")

    def value(match: re.Match[str]) -> str:
        found = value_at(match["path"].split(".") if match["path"] else (), document)
        text = isinstance(found, str) and not match["json"]
        return str(found) if text else json.dumps(found, ensure_ascii=False)

    return _FIELD.sub(value, template)


def value_at(path: Sequence[str], document: Any, above: Sequence[str] = ()) -> Any:
    """The value at the words of a path such as ``config.env.0``; the document itself for none. Raises Usage."""
    if not path:
        return document
    members = _members(document)
    there = {_plain(name): value for name, value in members.items()}
    # The key of a label may have dots of its own.
    for length in range(len(path), 0, -1):
        name = _plain(".".join(path[:length]))
        if name in there:
            return value_at(path[length:], there[name], [*above, *path[:length]])
    available = ", ".join(members) or "none"
    raise Usage(f'unknown member "{".".join([*above, path[0]])}" (available: {available})')


def _members(document: Any) -> dict[str, Any]:
    """The members of an object, or the items of a list by their numbers; of anything else, none."""
    if isinstance(document, Mapping):
        return {str(name): value for name, value in document.items()}
    if isinstance(document, Sequence) and not isinstance(document, str):
        return {str(number): value for number, value in enumerate(document)}
    return {}


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
