"""The image manifest inside an ACI, parsed; its text is left unchanged (appc spec 0.8.11, aci.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.errors import Invalid, within
from converter.formats.documents import require_valid
from converter.model.document import dump_json, load_object
from converter.model.frozen import frozen
from converter.model.image import Dependency
from converter.schema.go_json import fold_members, would_fold_members

KIND = "aci-image-manifest"
VERSION = "0.8.11"
ORDER = ("acKind", "acVersion", "name", "labels", "app", "dependencies", "pathWhitelist", "annotations")
"""The members in the order of the specification."""


@frozen
class Manifest:
    """The content of a manifest; ``document`` is all of it, ``text`` its exact bytes, decoded."""

    text: str
    document: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    app: Mapping[str, Any] | None
    annotations: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    path_whitelist: tuple[str, ...]


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest; raises Invalid with what is wrong with it."""
    with within("manifest"):
        require_valid(data, KIND)
        document = load_object(data)
        read = as_read(document)
        if read.get("acKind") != "ImageManifest":
            raise Invalid(f'acKind is "{read.get("acKind")}": expected "ImageManifest"')
    return Manifest(
        text=data.decode(),
        document=document,
        name=read["name"],
        labels=pairs_to_mapping(read, "labels"),
        app=read.get("app"),
        annotations=pairs_to_mapping(read, "annotations"),
        dependencies=tuple(
            Dependency(
                name=row["imageName"],
                image_id=row.get("imageID") or "",
                labels=pairs_to_mapping(row, "labels"),
                size=row.get("size"),
            )
            for row in read.get("dependencies") or ()
        ),
        path_whitelist=tuple(read.get("pathWhitelist") or ()),
    )


_OPTIONAL = {
    "environment": ("value",),
    "isolators": ("name",),
    "mountPoints": ("name", "path"),
    "ports": ("name", "protocol"),
}
"""Members of an app's lists that the specification requires and the reference implementation does not."""


def as_read(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the reference implementation reads it: keys in any case, null and absent strings as empty."""
    if would_fold_members(document, KIND):
        document = fold_members(document, KIND, nulls=True).value
    app = document.get("app")
    return {**document, "app": complete_app(app)} if app else document


def complete_app(app: Mapping[str, Any]) -> dict[str, Any]:
    """The app with empty strings for absent or null ones; nothing else changes, including order."""
    rows = {
        key: [_fill_nulls(row or {}, names) for row in app[key]] for key, names in _OPTIONAL.items() if app.get(key)
    }
    return {**app, **rows}


def _fill_nulls(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {**row, **{name: "" for name in names if row.get(name) is None}}


def render_manifest(document: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest to be written; raises Invalid if it violates the specification."""
    ordered = {key: document[key] for key in ORDER if key in document}
    data = dump_json(ordered | {key: value for key, value in document.items() if key not in ordered})
    with within("written manifest"):
        require_valid(data, KIND)
    return data


def pairs_to_mapping(document: Mapping[str, Any], key: str) -> dict[str, str]:
    """A list of name and value pairs as a mapping."""
    return {row.get("name") or "": row.get("value") or "" for row in document.get(key) or ()}


def mapping_to_pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The reverse of ``pairs_to_mapping``: the list as it is written."""
    return [{"name": name, "value": value} for name, value in values.items()]
