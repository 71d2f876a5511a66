"""Guesses the kind of a document if none is given."""

from __future__ import annotations

from typing import Any

from converter.model import media_types as types
from converter.model.document import read
from converter.model.members import lenient

_ENGINE_ONLY = frozenset(("container_config", "docker_version", "container", "parent", "throwaway"))


def guess(data: bytes) -> str | None:
    """The most likely kind of a document, or None; says nothing about whether the document is valid."""
    value = read(data).value
    if isinstance(value, list):
        return "docker-archive-manifest" if value and _has(value[0], "Config") else None
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
    return None if "digest" in value else types.KINDS.get(lenient(value, "mediaType", str))


def _shaped(value: dict[str, Any]) -> str | None:
    """The kind according to which members are present."""
    if "manifests" in value:
        return "oci-index"
    if "layers" in value:
        return "oci-manifest"
    if "rootfs" in value:
        return "docker-config" if _ENGINE_ONLY & value.keys() else "oci-config"
    return "oci-descriptor" if "digest" in value else None


def _has(value: Any, name: str) -> bool:
    return isinstance(value, dict) and name in value
