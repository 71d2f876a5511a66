"""Archives from before Docker 1.10: one directory per layer, each naming its parent's ID (moby, image/spec/v1.md).

Such an image becomes an unsigned schema 1 manifest, the format that holds what its files say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converter.errors import Invalid, LimitExceeded, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import dump, expect, load_object
from converter.model.limits import Limits, in_force
from converter.model.members import or_empty
from converter.stores.disk import shown
from converter.stores.docker_archive.blobs import Blobs
from converter.stores.media import Medium

NAME = "repositories"
_JSON = re.compile(r"[0-9a-f]{64}/json")
ID = re.compile(r"[0-9a-f]{64}")
"""The ID of a layer."""


def images(medium: Medium, limits: Limits | None = None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The images by the ID of their newest layer, with their names; unnamed ones come last.

    Raises Invalid if an image's layers do not form a chain, NotFound if one is missing.
    """
    named: dict[str, list[str]] = {}
    if medium.size(NAME) is not None:
        with within(NAME):
            for name, top in _names(load_object(medium.read_document(NAME), limits)):
                named.setdefault(top, []).append(name)
    found = list(_layers(medium))
    parents = {_parent(load_object(_document(medium, top))) for top in found}
    for top in found:
        if top not in parents and top not in named:
            named[top] = []
    known: set[str] = set()
    for top in named:
        for layer in _chain(medium, top, limits or in_force()):
            if layer in known:
                break
            known.add(layer)
    return tuple((top, tuple(names)) for top, names in named.items())


def is_there(medium: Medium) -> bool:
    """Whether this is such an archive: the Engine wrote ``repositories`` only if an image was saved by name."""
    return medium.size(NAME) is not None or next(_layers(medium), None) is not None


def _layers(medium: Medium) -> Iterator[str]:
    return (name.partition("/")[0] for name in medium.names() if _JSON.fullmatch(name))


def assemble(blobs: Blobs, top: str, names: tuple[str, ...]) -> Descriptor:
    """The manifest of an image, whose layers are read and hashed. Raises Invalid if they form no chain, NotFound."""
    layers, history, architecture = [], [], ""
    for layer in _chain(blobs.medium, top, blobs.limits):
        with within(layer):
            blob = blobs.add_layer(f"{layer}/layer.tar")
            data = _document(blobs.medium, layer)
            architecture = architecture or str(load_object(data, blobs.limits).get("architecture") or "")
        layers.append({"blobSum": str(blob.digest)})
        history.append({"v1Compatibility": data.decode()})
    repository, _, tag = names[0].rpartition(":") if names else ("", "", "")
    manifest = {
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": architecture or "amd64",
        "fsLayers": layers,
        "history": history,
    }
    return blobs.add_document(dump(manifest), types.DOCKER_SCHEMA1)


def _chain(medium: Medium, top: str, limits: Limits) -> Iterator[str]:
    """The IDs of an image's layers, newest first; raises Invalid for a parent loop."""
    seen: set[str] = set()
    layer = top
    while layer:
        if not ID.fullmatch(layer):
            raise Invalid(f"got the layer ID {shown(layer[:100])!r}, want 64 lower-case hex digits")
        if layer in seen:
            raise Invalid(f"got the layer {layer} as its own ancestor, want a chain that ends")
        if len(seen) >= limits.layers:
            raise LimitExceeded(f"got more than {limits.layers} layers, want at most that (limit: layers)")
        seen.add(layer)
        yield layer
        with within(layer):
            document = load_object(_document(medium, layer), limits)
            if document.get("id") not in (None, layer):
                raise Invalid(f"got the id {shown(str(document['id'])[:100])}, want that of its directory")
            layer = _parent(document)


def _document(medium: Medium, layer: str) -> bytes:
    return medium.read_document(f"{layer}/json")


def _parent(document: dict[str, Any]) -> str:
    return or_empty(document, "parent", str)


def _names(repositories: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for repository, tags in repositories.items():
        for tag, top in expect(tags, dict, shown(repository)).items():
            yield f"{repository}:{tag}", expect(top, str, shown(repository), shown(tag))
