"""The neutral model as JSON: what ``inspect --json`` prints and ``schemas/image.json`` promises.

Members have the model's own names, in its order. Empty strings, lists and maps are left out, as are unknown values.
``entrypoint``, ``cmd`` and the like are never ``null``: they are present only if the image states them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Artifact, Attachment, Image, Index, Item, RunConfig
from converter.model.platform import Platform

Document = dict[str, Any]

_ALSO_EMPTY: Mapping[type, tuple[str, ...]] = {
    Descriptor: ("size",),
    Index: ("entries",),
    Platform: ("os", "architecture"),
    RunConfig: ("entrypoint", "cmd", "healthcheck", "shell", "on_build"),
}
"""Fields that say something even if they are empty, though not if they are None."""


def describe(item: Item, attachments: Iterable[Attachment] = ()) -> Document:
    """An item of any kind, which ``kind`` states; ``attachments`` are what refers to it."""
    return _item(item) | _without_empty(attachments=_json(tuple(attachments)))


def _item(item: Item) -> Document:
    kind = {"kind": type(item).__name__.lower()}
    if isinstance(item, Image):
        return kind | _members(item, foreign=_foreign(item), notes=None)
    return kind | _members(item)


def _foreign(item: Image) -> Document:
    notes = item.notes
    own = _without_empty(
        reference=notes.name,
        platform=notes.platform,
        dependencies=list(notes.depends_on),
        losses=list(map(asdict, notes.losses)),
    )
    found = {name: facts.to_json() for name, facts in item.foreign.items()}
    if own and item.original:
        found[item.original.format] = {**found.get(item.original.format, {}), **own}
    return found


def _layer(item: Layer) -> Document:
    """One layer: its descriptor, or what bytes still to be made are made of."""
    content = item.content
    made = (
        _json(content)
        if isinstance(content, Known)
        else {"derived_from": _json(content.inputs), "compression": str(content.compression)}
    )
    return made | _without_empty(diff_id=_json(item.diff_id), annotations=_json(item.annotations))


def _members(item: Any, **instead: Any) -> Document:
    """The fields of a value of the model; ``instead``, in place of their own values."""
    values = {one.name: getattr(item, one.name) for one in fields(item)} | instead
    found = {name: _json(value) for name, value in values.items()}
    kept = _ALSO_EMPTY.get(type(item), ())
    return {name: value for name, value in found.items() if value or (name in kept and value is not None)}


def _without_empty(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value}


def _json(value: Any) -> Any:
    """The value in JSON types; a blob is shown by its descriptor."""
    match value:
        case Image() | Index() | Artifact():
            return _item(value)
        case Layer():
            return _layer(value)
        case Known():
            return _json(value.descriptor)
        case Descriptor(size=-1):
            return _members(value, size=None)
        case Digest():
            return str(value)
        case Mapping():
            return {str(key): _json(member) for key, member in value.items()}
        case tuple() | list():
            return [_json(member) for member in value]
        case bytes():
            return base64.b64encode(value).decode()
    return _members(value) if is_dataclass(value) else value
