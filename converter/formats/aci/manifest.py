"""The image manifest inside an ACI, read for understanding; its text stays as it is (appc spec 0.8.11, aci.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.errors import within
from converter.formats.documents import require
from converter.model.document import dump, load_object

KIND = "aci-image-manifest"
VERSION = "0.8.11"
ORDER = ("acKind", "acVersion", "name", "labels", "app", "dependencies", "pathWhitelist", "annotations")
"""The members in the order of the specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """An image whose files lie below: an empty ``image_id`` or no ``size`` (bytes) means that any will do."""

    name: str
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None

    def __str__(self) -> str:
        version = self.labels.get("version")
        more = [f"{key}={value}" for key, value in self.labels.items() if key != "version"]
        return ",".join([f"{self.name}:{version}" if version else self.name, *more])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says; ``document`` is all of it, ``text`` its very bytes."""

    text: str
    document: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    app: Mapping[str, Any] | None
    annotations: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    path_whitelist: tuple[str, ...]


def parse(data: bytes) -> Manifest:
    """Read a manifest; raises Invalid with what is wrong with it."""
    with within("manifest"):
        require(data, KIND)
        document = load_object(data)
    return Manifest(
        text=data.decode(),
        document=document,
        name=document["name"],
        labels=pairs(document, "labels"),
        app=document.get("app"),
        annotations=pairs(document, "annotations"),
        dependencies=tuple(
            Dependency(
                name=row["imageName"],
                image_id=row.get("imageID") or "",
                labels=pairs(row, "labels"),
                size=row.get("size"),
            )
            for row in document.get("dependencies") or ()
        ),
        path_whitelist=tuple(document.get("pathWhitelist") or ()),
    )


def render(document: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest that this program writes; raises Invalid where it breaks the specification."""
    ordered = {key: document[key] for key in ORDER if key in document}
    data = dump(ordered | {key: value for key, value in document.items() if key not in ordered})
    with within("written manifest"):
        require(data, KIND)
    return data


def pairs(document: Mapping[str, Any], key: str) -> dict[str, str]:
    """A list of names and values."""
    return {row["name"]: row["value"] for row in document.get(key) or ()}


def rows(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The same, as it is written."""
    return [{"name": name, "value": value} for name, value in values.items()]
