"""The neutral model as JSON: what ``inspect --json`` prints and ``schemas/image.json`` promises.

Members have the model's own names. Empty strings, lists and maps are left out, as are unknown values. ``entrypoint``,
``cmd`` and the like are never ``null``: they are present only if the image states them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor
from converter.model.image import Artifact, Attachment, History, Image, Index, IndexEntry, Item, Original, RunConfig
from converter.model.platform import Platform

Document = dict[str, Any]


def describe(item: Item, attachments: Iterable[Attachment] = ()) -> Document:
    """An item of any kind, which ``kind`` states; ``attachments`` are what refers to it."""
    return _item(item) | _without_empty(attachments=[attachment(one) for one in attachments])


def _item(item: Item) -> Document:
    match item:
        case Image():  # layers and history base first
            return {"kind": "image", "platform": describe_platform(item.platform)} | _without_empty(
                created=item.created,
                author=item.author,
                config=config(item.config),
                layers=[layer(one) for one in item.layers],
                history=[_history(one) for one in item.history],
                annotations=dict(item.annotations),
                foreign=_foreign(item),
                original=original(item.original),
            )
        case Index():
            return {"kind": "index", "entries": [_entry(one) for one in item.entries]} | _without_empty(
                annotations=dict(item.annotations), original=original(item.original)
            )
        case Artifact():
            return {"kind": "artifact"} | _without_empty(
                artifact_type=item.artifact_type,
                subject=str(item.subject) if item.subject else "",
                blobs=[descriptor(blob.descriptor) for blob in item.blobs],
                original=original(item.original),
            )
        case _:
            assert_never(item)


def _foreign(item: Image) -> Document:
    notes = item.notes
    own = _without_empty(
        reference=notes.name,
        platform=notes.platform,
        dependencies=list(notes.depends_on),
        losses=[{"field": loss.field, "reason": loss.reason, "kept": loss.kept} for loss in notes.losses],
    )
    found = {name: _plain_json(facts.to_json()) for name, facts in item.foreign.items()}
    return found | ({item.original.format: found.get(item.original.format, {}) | own} if own and item.original else {})


def _entry(item: IndexEntry) -> Document:
    """One entry of an index."""
    return {"descriptor": descriptor(item.descriptor)} | _without_empty(item=_item(item.item) if item.item else None)


def layer(item: Layer) -> Document:
    """One layer: its descriptor, or what bytes still to be made are made of."""
    content = item.content
    made = (
        descriptor(content.descriptor)
        if isinstance(content, Known)
        else {"derived_from": [layer(one) for one in content.inputs], "compression": str(content.compression)}
    )
    return made | _without_empty(diff_id=str(item.diff_id) if item.diff_id else "", annotations=dict(item.annotations))


def descriptor(item: Descriptor) -> Document:
    """What identifies a blob; ``size`` in bytes, left out if unknown."""
    size = {"size": item.size} if item.size >= 0 else {}
    return (
        _without_empty(media_type=item.media_type)
        | {"digest": str(item.digest)}
        | size
        | _without_empty(
            urls=list(item.urls),
            annotations=dict(item.annotations),
            platform=describe_platform(item.platform) if item.platform else None,
            artifact_type=item.artifact_type,
            data=base64.b64encode(item.data).decode() if item.data else None,
            other=_plain_json(item.other),
        )
    )


def describe_platform(item: Platform) -> Document:
    """The platform that the programs run on."""
    return {"os": item.os, "architecture": item.architecture} | _without_empty(
        variant=item.variant, os_version=item.os_version, os_features=list(item.os_features)
    )


def config(item: RunConfig) -> Document:
    """How a container is started. ``entrypoint`` and the like are left out if not stated, but not if empty."""
    return _without_empty(
        user=item.user,
        exposed_ports=list(item.exposed_ports),
        env=list(item.env),
        volumes=list(item.volumes),
        working_dir=item.working_dir,
        labels=dict(item.labels),
        stop_signal=item.stop_signal,
    ) | {
        name: _plain_json(value)
        for name in ("entrypoint", "cmd", "healthcheck", "shell", "on_build")
        if (value := getattr(item, name)) is not None
    }


def _history(item: History) -> Document:
    """One step of a build."""
    return _without_empty(
        created=item.created,
        created_by=item.created_by,
        author=item.author,
        comment=item.comment,
        empty_layer=item.empty_layer,
    )


def original(item: Original | None) -> Document | None:
    """The documents an image was read from, by name."""
    if item is None:
        return None
    return {"format": item.format, "manifest": descriptor(item.manifest.descriptor)} | _without_empty(
        config=descriptor(item.config.descriptor) if item.config else None
    )


def attachment(item: Attachment) -> Document:
    """Something that refers to an image."""
    return {"subject": str(item.subject), "descriptor": descriptor(item.descriptor)} | _without_empty(tag=item.tag)


def _without_empty(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value}


def _plain_json(value: Any) -> Any:
    """The value in JSON types."""
    if isinstance(value, Mapping):
        return {str(key): _plain_json(member) for key, member in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_json(member) for member in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
