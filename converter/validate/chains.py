"""Archives from before Docker 1.10: one directory per layer, each with its parent's ID (moby, image/spec/v1.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converter.stores.catalogue import in_full
from converter.stores.docker_archive import manifest_json, repositories
from converter.validate import lower
from converter.validate.blobs import Blobs, SeenLayer
from converter.validate.files import Files

_DIRECTORY = re.compile(r"([0-9a-f]{64})/json")


class ChainCheck:
    """The images of such an archive."""

    def __init__(self, files: Files, blobs: Blobs) -> None:
        self._files = files
        self._blobs = blobs
        self._findings = blobs.findings
        self._layers: dict[str, SeenLayer] = {}
        self._parents: dict[str, str | None] = {}

    def run(self, name: str) -> bool:
        """Check all images, or the one of a name; returns whether there was any."""
        named = self._files.repositories() if self._files.there(repositories.NAME) else {}
        tops = [top for tag, top in named.items() if not name or in_full(tag) == in_full(name)]
        if not named:
            names = self._files.medium.names()
            tops = [match[1] for file in names if (match := _DIRECTORY.fullmatch(file))]
        if not tops and not name:
            where = self._files.medium.where
            fact = f"got neither {manifest_json.NAME} nor {repositories.NAME} in {where}, want an archive of images"
            self._findings.add("image/unreadable", "", fact)
        for top in dict.fromkeys(tops):
            self._image(top)
        return bool(tops)

    def _image(self, top: str) -> None:
        self._blobs.image()
        layers = [self._layer(one) for one in reversed(list(self._chain(top)))]
        whole = [layer.entries for layer in layers if layer is not None and layer.complete]
        if len(whole) == len(layers):
            lower.judge(whole)

    def _unfit(self, layer: str, seen: set[str]) -> str:
        """Why a layer cannot be the next of a chain; empty if it can."""
        if not repositories.ID.fullmatch(layer):
            return f"got the layer ID {layer[:100]!r}, want 64 lower-case hex digits"
        if layer in seen:
            return f"got the layer {layer} as its own ancestor, want a chain that ends"
        if len(seen) >= self._blobs.limits.layers:
            return f"got a chain of more than {self._blobs.limits.layers} layers, want at most that (limit: layers)"
        return ""

    def _chain(self, top: str) -> Iterator[str]:
        """The IDs of the layers that have a description, newest first."""
        seen: set[str] = set()
        layer, source = top, repositories.NAME
        while layer:
            if fact := self._unfit(layer, seen):
                self._findings.add("docker/archive-chain", source, fact)
                return
            seen.add(layer)
            source = f"{layer}/json"
            if layer not in self._parents:
                self._parents[layer] = self._parent(layer, source)
            parent = self._parents[layer]
            if parent is None:
                return
            yield layer
            layer = parent

    def _parent(self, layer: str, source: str) -> str | None:
        """The ID of a layer's parent, empty for none; None if the layer's description cannot be read."""
        data = self._files.read(source, source)
        if data is None:
            return None
        value = self._files.value(data)
        members = value if isinstance(value, dict) else {}
        parent = members.get("parent")
        wrong = not isinstance(value, dict) or members.get("id") not in (None, layer)
        if wrong or not isinstance(parent, str | None):
            fact = f"got a description that is not that of {layer}, want its id, and a parent's or none"
            self._findings.add("docker/archive-chain", source, fact)
        return parent if isinstance(parent, str) else ""

    def _layer(self, layer: str) -> SeenLayer | None:
        name = f"{layer}/layer.tar"
        if name not in self._layers:
            if self._files.size(name, name) is None:
                self._files.missing(name, name)
                return None
            self._layers[name] = self._blobs.layer(lambda: self._files.medium.open(name), name, None)
        return self._layers[name]
