"""Checks archives of ``docker save``, of any generation (moby, image/tarexport; image/spec/v1.2.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converter.errors import Invalid, NotFound
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.schema import check
from converter.schema.fold import fold
from converter.stores import oci_index
from converter.stores.catalogue import POSITION, in_full
from converter.stores.docker_archive import manifest_json, repositories
from converter.stores.docker_archive.manifest_json import claimed_digest
from converter.stores.media import Medium
from converter.validate.blobs import Blobs, Claim, SeenLayer
from converter.validate.chains import ChainCheck
from converter.validate.files import Files
from converter.validate.findings import member
from converter.validate.layouts import LayoutCheck
from converter.validate.walk import diff_ids_of

_MANIFEST, _NAMES = manifest_json.NAME, repositories.NAME
_CONFIG = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?")


class SavedCheck:
    """An archive on a medium."""

    def __init__(self, medium: Medium, blobs: Blobs) -> None:
        self._medium = medium
        self._blobs = blobs
        self._findings = blobs.findings
        self._files = Files(medium, blobs.findings, blobs.limits)
        self._layers: dict[str, SeenLayer] = {}
        self._layout = LayoutCheck(medium, blobs, saved=True)

    def run(self, name: str = "") -> None:
        """Check everything, or the image of a name. Raises NotFound for the name."""
        has_rows = self._files.there(_MANIFEST)
        has_layout = self._files.there(oci_index.INDEX) and (not has_rows or self._files.there(oci_index.LAYOUT))
        found, missing = False, None
        # A position is that of a row, if there are any.
        if has_layout and not (has_rows and POSITION.fullmatch(name)):
            try:
                self._layout.run(name)
                found = True
            except NotFound as error:
                missing = error
        if has_rows:
            found |= self._rows(name)
        elif self._files.there(_NAMES) or not has_layout:
            found |= ChainCheck(self._files, self._blobs).run(name)
        if name and not found and not self._findings.invalid:
            raise missing or NotFound(f"got no image {name[:200]!r} in {self._medium.where}, want one")

    def _rows(self, name: str) -> bool:
        """Check the images of ``manifest.json``; returns whether any has the name."""
        data = self._files.read(_MANIFEST, _MANIFEST)
        if data is None:
            return False
        self._findings.add_all(
            _MANIFEST, check(data, "docker-archive-manifest", self._findings.profile, self._blobs.limits)
        )
        value = fold(self._files.value(data), "docker-archive-manifest", nulls=False).value
        rows = [row if isinstance(row, dict) else {} for row in value] if isinstance(value, list) else []
        self._tags(rows)
        found = False
        for number, row in enumerate(rows):
            if not name or _named(row, number, name):
                self._row(row, number)
                found = True
        return found

    def _row(self, row: Mapping[str, Any], number: int) -> None:
        config, claim = row.get("Config"), member(_MANIFEST, f"/{number}/Config")
        layers = _texts(row, "Layers")
        data = self._files.read(config, claim) if isinstance(config, str) and config else None
        seen = data is not None and self._in_layout(Digest.of(data), layers)
        document: Mapping[str, Any] = {}
        if data is not None and isinstance(config, str):
            self._config_name(config, data, claim)
            value = self._files.value(data)
            document = value if isinstance(value, dict) else {}
            if not seen:
                self._layout.walk.config(data, str(number), "docker")
        self._sources(row, layers, document, number)
        if not seen:
            self._blobs.image()
            urls = _elsewhere(row, diff_ids_of(document))
            known = [self._layer(name, number, place, place in urls) for place, name in enumerate(layers)]
            if document:
                self._layout.walk.image(document, known, str(number))

    def _in_layout(self, config: Digest, layers: list[str]) -> bool:
        """Whether the same image was already checked as a manifest of the layout."""
        for seen in self._layout.walk.seen.values():
            described = seen.document.get("config")
            rows = seen.document.get("layers")
            if isinstance(described, dict) and described.get("digest") == str(config) and isinstance(rows, list):
                names = [row.get("digest") if isinstance(row, dict) else None for row in rows]
                if names == [_claimed(layer) for layer in layers]:
                    return True
        return False

    def _config_name(self, name: str, data: bytes, claim: str) -> None:
        """Check a name that is a digest; a false one breaks a rule of blobs below ``blobs``, of archives elsewhere."""
        actual = Digest.of(data)
        promised = _claimed(name)
        if promised is not None and promised.startswith("sha256:"):
            if promised != str(actual):
                self._findings.add("image/blob-digest", claim, f"got the digest {actual}, want {promised}")
        elif (match := _CONFIG.fullmatch(name)) and match[1] != actual.encoded:
            self._findings.add("docker/archive-config-name", claim, f"got the digest {actual}, want that of its name")

    def _layer(self, name: str, row: int, number: int, elsewhere: bool) -> SeenLayer | None:
        """Read a layer, once; None if it is missing, which is a finding unless it is ``elsewhere``."""
        claim = member(_MANIFEST, f"/{row}/Layers/{number}")
        if self._files.size(name, claim) is None:
            if not elsewhere and not self._findings.told(claim):
                self._files.missing(name, claim)
            return None
        if name not in self._layers:
            promised = _claimed(name)
            told = None
            if promised is not None:
                told = Claim(Descriptor(media_type="", digest=Digest.parse(promised), size=-1), claim)
            self._layers[name] = self._blobs.layer(lambda: self._medium.open(name), f"{row}/layers/{number}", told)
        return self._layers[name]

    def _sources(self, row: Mapping[str, Any], layers: list[str], config: Mapping[str, Any], number: int) -> None:
        """Check ``LayerSources`` of layers below blobs/; others may be stored plain and described as compressed."""
        claim = member(_MANIFEST, f"/{number}/LayerSources")
        sources = row.get("LayerSources")
        for name, diff_id in zip(layers, diff_ids_of(config)):
            source = sources.get(str(diff_id)) if isinstance(sources, dict) else None
            promised = _claimed(name)
            if promised is None or not isinstance(source, dict):
                continue
            size = self._files.size(name, claim)
            if source.get("digest") != promised:
                fact = f"got the digest {str(source.get('digest'))[:150]}, want {promised}, as the layer is called"
                self._findings.add("docker/archive-layer-source", claim, fact)
            elif size is not None and source.get("size") != size:
                fact = f"got the size {source.get('size')!r}, want {size}, which the layer has"
                self._findings.add("docker/archive-layer-source", claim, fact)

    def _tags(self, rows: list[dict[str, Any]]) -> None:
        """Check that each name has one image and, if there is a file ``repositories``, that it has the same names."""
        seen: dict[str, int] = {}
        for number, row in enumerate(rows):
            for place, tag in enumerate(_texts(row, "RepoTags")):
                if seen.setdefault(tag, number) != number:
                    fact = f"got the name {tag[:200]!r}, want another than that of image {seen[tag]}"
                    path = member(_MANIFEST, f"/{number}/RepoTags/{place}")
                    self._findings.add("docker/archive-tag-repeated", path, fact)
        if not self._files.there(_NAMES):
            return
        listed = {in_full(name) for name in self._files.repositories()}
        tagged = {in_full(tag): number for tag, number in seen.items() if rows[number].get("Layers")}
        for name in sorted(listed - {in_full(tag) for tag in seen}):
            fact = f"got {name!r}, want a name that {_MANIFEST} has"
            self._findings.add("docker/archive-repositories", _NAMES, fact)
        for name in sorted(tagged.keys() - listed):
            path = member(_MANIFEST, f"/{tagged[name]}/RepoTags")
            self._findings.add("docker/archive-repositories", path, f"got {name!r}, want it in {_NAMES} too")


def _claimed(name: str) -> str | None:
    """The digest that a file's name states, as text; None if it states none."""
    try:
        found = claimed_digest(name)
    except Invalid:
        return None
    return None if found is None else str(found)


def _elsewhere(row: Mapping[str, Any], diff_ids: list[Any]) -> set[int]:
    """The positions of the layers that have URLs."""
    sources = row.get("LayerSources")
    found = [sources.get(str(one)) for one in diff_ids] if isinstance(sources, dict) else []
    return {place for place, source in enumerate(found) if isinstance(source, dict) and source.get("urls")}


def _named(row: Mapping[str, Any], number: int, name: str) -> bool:
    if position := POSITION.fullmatch(name):
        return int(position[1]) == number
    wanted = in_full(name)
    return any(name == tag or (wanted and in_full(tag) == wanted) for tag in _texts(row, "RepoTags"))


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    found = row.get(key)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
