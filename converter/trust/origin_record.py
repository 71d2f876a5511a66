"""Origin records: what an image was before it was converted, with everything that was signed (docs/signatures.md).

A record is an OCI artifact whose subject is the converted image. Its config says how its parts belong together; its
layers are the parts, byte for byte. Nothing in it is trusted: readers check every claim against bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from converter.errors import ConverterError, Invalid, Untrusted
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import dump_json, lenient_member, load_object, object_list, required_member
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.settings import DEFAULTS, Settings
from converter.ports import Fetch

ARTIFACT = "application/vnd.transship.origin.v1"
"""The artifact type of a record."""
DOCUMENT = "application/vnd.transship.origin.v1+json"
"""The media type of its config."""
EVIDENCE = "application/vnd.transship.origin.evidence.v1"
"""The media type of each part: a registry would require a layer with a manifest's type to be one of its manifests."""

VERSION = 1
"""The version of the conversion that a record refers to; code for every recorded version has to be kept."""

MOST_ROWS = 4096
"""The most rows of any list in a record."""

IMAGE = "image"
"""The title of a part that is itself an image: an ACI."""


@frozen
class LayerOrigin:
    """One layer of the original, or of the target if it has more.

    ``source`` and ``target`` are digests of blobs. ``recipe`` names the part that rebuilds the original's tar, of
    ``size`` bytes and with the digest ``diff_id``, from the target's; None if not needed. ``packing`` says how to
    compress a tar into the source's blob, if that is needed and not stored. For an ACI that is to be rebuilt,
    ``manifest`` is the part with its manifest, and ``size`` is that of its file in bytes.
    """

    relation: str
    source: Digest | None = None
    target: Digest | None = None
    diff_id: Digest | None = None
    recipe: Digest | None = None
    size: int = -1
    packing: str = ""
    manifest: Digest | None = None


@frozen
class OriginRecord:
    """The content of a record.

    ``root`` is the original's, ``name`` the one that it had at its source; ``attachments`` are those of the original
    and of what it depended on, as their stores listed them. ``parts`` are the descriptors of what a record that was
    found holds, by digest.
    """

    root: Descriptor
    settings: Settings = DEFAULTS
    name: str = ""
    attachments: tuple[Attachment, ...] = ()
    layers: tuple[LayerOrigin, ...] = ()
    parts: Mapping[Digest, Descriptor] = field(default_factory=dict)

    def of_one(self, platform: str) -> OriginRecord:
        """The same record for one image of the index that it is about."""
        return replace(self, settings=replace(self.settings, platforms=(platform,)))


def record_config(record: OriginRecord) -> bytes:
    """The config of the artifact."""
    return dump_json(
        {
            "version": VERSION,
            "root": record.root.bare().to_json(),
            "settings": {"platforms": [], "called": record.name} | record.settings.to_json(),
            "attachments": [one.to_json() for one in record.attachments],
            "layers": [_layer_row(one) for one in record.layers],
        }
    )


def find_records(attachments: Iterable[Attachment], fetch: Fetch) -> tuple[Descriptor, ...]:
    """The records among the referrers of an image: each is read, since a list may state another type for it."""
    found: dict[Digest, Descriptor] = {}
    for one in attachments:
        if one.descriptor.media_type in types.MANIFESTS and len(found) < MOST_ROWS:
            try:
                document = load_object(fetch(one.descriptor).read())
            except ConverterError:
                # What cannot be read is not a record; if one was required, its absence is reported anyway.
                continue
            config = lenient_member(document, "config", dict)
            if document.get("artifactType") == ARTIFACT or config.get("mediaType") == DOCUMENT:
                found.setdefault(one.descriptor.digest, one.descriptor)
    return tuple(found.values())


def read_record(descriptor: Descriptor, fetch: Fetch, subject: Descriptor) -> OriginRecord:
    """Read a record of the image ``subject``; raises Untrusted if it is of another image, and Invalid."""
    document = load_object(fetch(descriptor).read())
    stated = Descriptor.from_json(document.get("subject"))
    if stated.bare() != subject.bare():
        raise Untrusted(f"origin record of another image: expected {subject.digest}, found {stated.digest}")
    _require_few(document, "layers")
    parts = {one.digest: one for one in descriptors(document, "layers")}
    config = Descriptor.from_json(document.get("config"))
    return replace(parse_record(fetch(config).read()), parts=parts)


def parse_record(data: bytes) -> OriginRecord:
    """Read the config of a record; raises Invalid."""
    record = load_object(data)
    if required_member(record, "version", int) != VERSION:
        raise Invalid(f"unsupported version {record['version']} of an origin record: expected {VERSION}")
    settings = required_member(record, "settings", dict)
    _require_few(settings, "platforms")
    return OriginRecord(
        root=Descriptor.from_json(record.get("root")),
        settings=Settings.from_json(settings),
        name=required_member(settings, "called", str),
        attachments=tuple(map(Attachment.from_json, _rows(record, "attachments"))),
        layers=tuple(map(_read_layer, _rows(record, "layers"))),
    )


def _layer_row(one: LayerOrigin) -> dict[str, Any]:
    members = {
        "relation": one.relation,
        "source": one.source,
        "target": one.target,
        "diffID": one.diff_id,
        "recipe": one.recipe,
        "manifest": one.manifest,
        "size": one.size if one.size >= 0 else None,
        "packing": one.packing or None,
    }
    stated = {name: value for name, value in members.items() if value is not None}
    return {name: str(value) if isinstance(value, Digest) else value for name, value in stated.items()}


def _read_layer(row: Mapping[str, Any]) -> LayerOrigin:
    return LayerOrigin(
        relation=required_member(row, "relation", str),
        source=_optional_digest(row, "source"),
        target=_optional_digest(row, "target"),
        diff_id=_optional_digest(row, "diffID"),
        recipe=_optional_digest(row, "recipe"),
        size=required_member(row, "size", int) if "size" in row else -1,
        packing=str(row.get("packing") or ""),
        manifest=_optional_digest(row, "manifest"),
    )


def _optional_digest(row: Mapping[str, Any], name: str) -> Digest | None:
    return Digest.parse(required_member(row, name, str)) if name in row else None


def _rows(record: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    _require_few(record, name)
    return object_list(record, name)


def _require_few(document: Mapping[str, Any], name: str) -> None:
    count = len(required_member(document, name, list))
    if count > MOST_ROWS:
        raise Invalid(f"expected at most {MOST_ROWS} rows, found {count}", name)
