"""Archives from before Docker 1.10: one directory per layer, each naming its parent's ID (moby, image/spec/v1.md).

Such an image becomes an unsigned schema 1 manifest, the format that holds what its files say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converter.errors import Invalid, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json, expect_type, load_object, member_or_empty
from converter.model.limits import current_limits
from converter.model.problems import RAISE_FIRST, UNREADABLE, Problems
from converter.stores.disk import printable_path
from converter.stores.docker_archive.archive_blobs import ArchiveBlobs
from converter.stores.media import DirectoryMedium, Medium

NAME = "repositories"
_JSON = re.compile(r"[0-9a-f]{64}/json")
_ID = re.compile(r"[0-9a-f]{64}")
_RULE = "docker/archive-chain"


class Chains:
    """The layers of an archive, each of which names its parent. What is wrong is reported once, and ends a chain."""

    def __init__(self, medium: Medium, problems: Problems = RAISE_FIRST) -> None:
        self._medium = medium
        self._problems = problems
        self._parents: dict[str, str | None] = {}

    def images(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The images by the ID of their newest layer, with their names; unnamed ones come last."""
        named: dict[str, list[str]] = {}
        for name, top in read_names(self._medium, self._problems) or ():
            named.setdefault(top, []).append(name)
        found = list(_layers(self._medium))
        parents = {self._parent(layer) for layer in found}
        for top in found:
            if top not in parents and top not in named:
                named[top] = []
        known: set[str] = set()
        for top in named:
            for layer in self.of(top):
                if layer in known:
                    break
                known.add(layer)
        return tuple((top, tuple(names)) for top, names in named.items())

    def of(self, top: str) -> Iterator[str]:
        """The IDs of the layers of an image, newest first."""
        seen: set[str] = set()
        layer, source, parent = top, NAME, None
        while layer:
            with self._problems.at(source, _RULE):
                self._require_next(layer, seen)
                parent = self._parent(layer)
            if parent is None or layer in seen:
                return
            seen.add(layer)
            yield layer
            layer, source, parent = parent, f"{layer}/json", None

    def _parent(self, layer: str) -> str | None:
        """The ID of the layer below: empty for the base, None if the description of ``layer`` cannot be read."""
        if layer not in self._parents:
            self._parents[layer] = None
            with self._problems.at(f"{layer}/json", _RULE, missing="docker/archive-file"):
                self._parents[layer] = _stated(layer, load_object(_layer_document(self._medium, layer)))
        return self._parents[layer]

    def _require_next(self, layer: str, seen: set[str]) -> None:
        if not _ID.fullmatch(layer):
            raise Invalid(f"invalid layer ID {printable_path(layer[:100])!r} (expected 64 lower-case hex digits)")
        if layer in seen:
            raise Invalid(f"layer {layer} is its own ancestor")
        current_limits().require("layers", len(seen) + 1, "layers")


def read_names(
    medium: Medium, problems: Problems = RAISE_FIRST, rule: str = UNREADABLE
) -> tuple[tuple[str, str], ...] | None:
    """Names with tags, each with the ID of its newest layer; None for no file, or a wrong one, which is reported."""
    with problems.at(NAME, rule):
        if medium.size(NAME) is not None:
            return tuple(_listed_names(load_object(medium.read_document(NAME))))
    return None


def has_repositories(medium: Medium) -> bool:
    """Whether this is such an archive: the Engine wrote ``repositories`` only if an image was saved by name."""
    if medium.size(NAME) is not None:
        return True
    if isinstance(medium, DirectoryMedium):  # which may be any, with millions of files below it
        return any(medium.size(f"{name}/json") is not None for name in medium.top() if _JSON.fullmatch(f"{name}/json"))
    return next(_layers(medium), None) is not None


def _layers(medium: Medium) -> Iterator[str]:
    return (name.partition("/")[0] for name in medium.names() if _JSON.fullmatch(name))


def assemble_manifest(blobs: ArchiveBlobs, top: str, names: tuple[str, ...]) -> Descriptor:
    """The manifest of an image, whose layers are read and hashed. Raises Invalid if they form no chain, NotFound."""
    layers, history, architecture = [], [], ""
    for layer in Chains(blobs.medium).of(top):
        with within(layer):
            blob = blobs.add_layer(f"{layer}/layer.tar")
            data = _layer_document(blobs.medium, layer)
            architecture = architecture or str(load_object(data).get("architecture") or "")
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
    return blobs.add_document(dump_json(manifest), types.DOCKER_SCHEMA1)


def _layer_document(medium: Medium, layer: str) -> bytes:
    return medium.read_document(f"{layer}/json")


def _stated(layer: str, document: dict[str, Any]) -> str:
    """The parent that a layer's description states; empty if none."""
    if document.get("id") not in (None, layer):
        raise Invalid(f"the id {printable_path(str(document['id'])[:100])} is not that of its directory")
    return member_or_empty(document, "parent", str)


def _listed_names(repositories: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for repository, tags in repositories.items():
        for tag, top in expect_type(tags, dict, printable_path(repository)).items():
            yield f"{repository}:{tag}", expect_type(top, str, printable_path(repository), printable_path(tag))
