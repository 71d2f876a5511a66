"""The kinds of document, which one a document is, and the JSON Schema of each (2020-12; the files in ``schemas/``)."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from converter.errors import Usage
from converter.model import media_types as types
from converter.model.document import go_key, json_pointer, lenient_member, read_json
from converter.model.frozen import frozen
from converter.schema.shared_checks import follow_pointer, values_in

FAMILIES = {
    "oci-manifest": "oci",
    "oci-index": "oci",
    "oci-config": "oci",
    "oci-descriptor": "oci",
    "oci-layout": "oci",
    "docker-schema1": "docker",
    "docker-schema2": "docker",
    "docker-manifest-list": "docker",
    "docker-config": "docker",
    "docker-archive-manifest": "docker",
    "aci-image-manifest": "aci",
    "aci-pod-manifest": "aci",
    "image": "image",
}
KINDS = tuple(FAMILIES)

# In a wheel the schemas are in the package; in a checkout they are at the top level.
_FOLDERS = (Path(__file__).parents[1] / "schemas", Path(__file__).parents[2] / "schemas")


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind as written, with references to other files; raises Usage for an unknown kind."""
    return copy.deepcopy(schema_file(f"{check_kind(kind)}.json"))


def bundled_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind with everything it refers to embedded (core specification, section 9.3); raises Usage."""
    return copy.deepcopy(shared_bundle(check_kind(kind)))


def shared_bundle(kind: str) -> dict[str, Any]:
    """The same for readers: it shares its parts with ``schema_file``, so it must not be modified."""
    root = schema_file(f"{kind}.json")
    embedded = {
        name: {key: value for key, value in schema_file(name).items() if key != "$schema"}
        for name in sorted(schema_files_of(kind))
        if name != f"{kind}.json"
    }
    return {**root, "$defs": root.get("$defs", {}) | embedded} if embedded else root


def check_kind(kind: str) -> str:
    """The kind itself; raises Usage if there is no such kind."""
    if kind not in FAMILIES:
        raise Usage(f'unknown kind "{kind}" (one of: {", ".join(KINDS)})')
    return kind


@cache
def schema_file(name: str) -> dict[str, Any]:
    """One schema file; shared, so it must not be modified."""
    folder = next(folder for folder in _FOLDERS if (folder / name).is_file())
    loaded: dict[str, Any] = json.loads((folder / name).read_bytes())
    return loaded


@frozen(kw_only=False)
class Subschema:
    """A schema at a pointer of a file, which its references are relative to."""

    file: str
    pointer: str
    schema: Any

    @property
    def location(self) -> str:
        """The file and the pointer in it."""
        return f"{self.file}#{self.pointer}"

    def under(self, *parts: str | int) -> Subschema:
        """What stands below it."""
        schema = self.schema
        for part in parts:
            schema = schema[part]
        return Subschema(self.file, self.pointer + json_pointer(*parts), schema)

    def referred(self) -> Subschema:
        """The schema that its ``$ref`` names."""
        file, _, pointer = self.schema["$ref"].partition("#")
        file = file or self.file
        return Subschema(file, pointer, follow_pointer(schema_file(file), pointer))


def whole_schema(kind: str) -> Subschema:
    """The schema of a kind."""
    return Subschema(f"{kind}.json", "", schema_file(f"{kind}.json"))


@cache
def schema_files_of(kind: str) -> frozenset[str]:
    """The schema files that a kind refers to, directly or indirectly, and its own."""
    found, waiting = {f"{kind}.json"}, [f"{kind}.json"]
    while waiting:
        references = (one.get("$ref") for one in values_in(schema_file(waiting.pop())) if isinstance(one, dict))
        names = {text.partition("#")[0] for text in references if isinstance(text, str) and text[0] != "#"} - found
        found |= names
        waiting += names
    return frozenset(found)


_STATED = {"ImageManifest": "aci-image-manifest", "PodManifest": "aci-pod-manifest"}
"""By what an App Container document says of itself in ``acKind``."""


def actual_kind(document: Any, kind: str) -> str:
    """The kind that an App Container document states, if it is not the requested one.

    The reference decides by a manifest's acKind; no kind can be requested of it.
    """
    if FAMILIES[kind] != "aci" or not isinstance(document, dict):
        return kind
    stated = document.get(kind_member(document))
    return _STATED.get(stated, kind) if isinstance(stated, str) else kind


def kind_member(document: dict[str, Any]) -> str:
    """The key under which an App Container document states its kind; Go reads keys case-insensitively."""
    return next((key for key in document if go_key(key) == "ackind" and "acKind" not in document), "acKind")


_SHAPES = {"manifests": "oci-index", "layers": "oci-manifest", "rootfs": "oci-config", "digest": "oci-descriptor"}
_ENGINE_ONLY = frozenset(("container_config", "docker_version", "container", "parent", "throwaway"))


def guess_kind(data: bytes) -> str | None:
    """The most likely kind of a document, or None; says nothing about whether the document is valid."""
    value = read_json(data).value
    if isinstance(value, list):
        saved = bool(value) and isinstance(value[0], dict) and "Config" in value[0]
        return "docker-archive-manifest" if saved else None
    if not isinstance(value, dict):
        return None
    return _labelled(value) or _shaped(value)


def _labelled(value: dict[str, Any]) -> str | None:
    """The kind according to a member that identifies it."""
    if "acKind" in value:
        return "aci-pod-manifest" if value["acKind"] == "PodManifest" else "aci-image-manifest"
    if "imageLayoutVersion" in value:
        return "oci-layout"
    if value.get("schemaVersion") == 1 or "fsLayers" in value:
        return "docker-schema1"
    if value.get("kind") in ("image", "index", "artifact"):
        return "image"
    return None if "digest" in value else types.KINDS.get(lenient_member(value, "mediaType", str))


def _shaped(value: dict[str, Any]) -> str | None:
    """The kind according to which members are present."""
    kind = next((kind for member, kind in _SHAPES.items() if member in value), None)
    return "docker-config" if kind == "oci-config" and _ENGINE_ONLY & value.keys() else kind
