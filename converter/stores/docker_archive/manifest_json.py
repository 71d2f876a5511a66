"""``manifest.json``: a config, tags and layers by file name, one image each (moby, image/tarexport; Docker 1.10 on)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from converter.errors import DigestMismatch, Invalid, NotFound, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import (
    as_known,
    dump_json,
    expect_type,
    load_object,
    member_or_empty,
    required_member,
    text_list,
)
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.problems import RAISE_FIRST, Problems
from converter.stores.disk import printable_path
from converter.stores.docker_archive.archive_blobs import ArchiveBlobs

NAME = "manifest.json"
_BLOB = re.compile(r"blobs/(sha256|sha512)/([0-9a-f]+)")
_MEMBERS = ("Config", "RepoTags", "Layers", "LayerSources")
"""The members, which the Engine matches case-insensitively: containerify writes ``config``."""

_FOREIGN_TYPES = {
    types.OCI_NONDISTRIBUTABLE: types.DOCKER_FOREIGN,
    types.OCI_NONDISTRIBUTABLE_GZIP: types.DOCKER_FOREIGN_GZIP,
}


@frozen
class SavedImage:
    """One row: names of files in the archive, base layer first; ``sources`` maps diff_ids to descriptors."""

    config: str
    tags: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    sources: Mapping[str, Descriptor] = field(default_factory=dict)


def read_rows(data: bytes, problems: Problems = RAISE_FIRST) -> tuple[SavedImage, ...]:
    """The rows in order; reports what is wrong. RepoTags, Layers and LayerSources may be null or absent."""
    with problems.at(NAME):
        rows = expect_type(problems.load(data, "docker-archive-manifest", NAME), list)
        return tuple(_parse_row(row, f"{NAME}#/{number}", problems) for number, row in enumerate(rows))
    return ()


def config_of(blobs: ArchiveBlobs, saved: SavedImage) -> Descriptor:
    """The config of an image, by the digest of its content: only below ``blobs/`` is its file name a digest."""
    with within(printable_path(saved.config)):
        claimed = claimed_digest(saved.config)
        algorithm = claimed.algorithm if claimed is not None else "sha256"
        descriptor = blobs.add_document(blobs.medium.read_document(saved.config), types.DOCKER_CONFIG, algorithm)
        if claimed is not None and claimed != descriptor.digest:
            raise DigestMismatch(f"digest mismatch: expected {claimed}, computed {descriptor.digest}")
    return descriptor


def assemble_manifest(blobs: ArchiveBlobs, saved: SavedImage) -> Descriptor:
    """A schema 2 manifest for an image that has none; afterwards ``blobs`` has all that it names.

    A plain layer is identified by its diff_id, which is verified on reading; a compressed one is read and hashed,
    unless its name claims a digest. Raises Invalid if the numbers of layers and diff_ids differ.
    """
    config = config_of(blobs, saved)
    with within(printable_path(saved.config)):
        diff_ids = _diff_ids(blobs.medium.read_document(saved.config))
        if len(saved.layers) != len(diff_ids):
            raise Invalid(f"{len(saved.layers)} layers and {len(diff_ids)} diff_ids: expected as many of both")
    layers = []
    for number, (name, diff_id) in enumerate(zip(saved.layers, diff_ids, strict=True)):
        with within(f"Layers[{number}]"):
            layers.append(_add_layer(blobs, name, diff_id, saved.sources.get(str(diff_id))))
    manifest = {
        "schemaVersion": 2,
        "mediaType": types.DOCKER_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return blobs.add_document(dump_json(manifest), types.DOCKER_MANIFEST)


def claimed_digest(name: str) -> Digest | None:
    """The digest that a file name below ``blobs/`` states, None elsewhere; raises Invalid for a malformed one."""
    match = _BLOB.fullmatch(name.removeprefix("./"))
    return Digest.parse(f"{match[1]}:{match[2]}") if match else None


def _add_layer(blobs: ArchiveBlobs, name: str, diff_id: Digest, source: Descriptor | None) -> Descriptor:
    if blobs.medium.size(name) is None:
        if source is None or not source.urls:
            raise NotFound(f'no layer "{name}" in {blobs.medium.where}')
        media_type = _FOREIGN_TYPES.get(source.media_type, source.media_type)
        return Descriptor(media_type=media_type, digest=source.digest, size=source.size, urls=source.urls)
    return blobs.add_layer(name, claimed_digest(name), diff_id)


def _diff_ids(data: bytes) -> list[Digest]:
    # An image from scratch may have none; the Engine then writes null.
    with within("rootfs"):
        return [Digest.parse(one) for one in text_list(required_member(load_object(data), "rootfs", dict), "diff_ids")]


def _parse_row(value: Any, place: str, problems: Problems) -> SavedImage:
    row: dict[str, Any] = {}
    config, layers, tags = "", tuple[str, ...](), tuple[str, ...]()
    sources: dict[str, Descriptor] = {}
    with problems.at(place):
        row = as_known(expect_type(value, dict), _MEMBERS)
        config = required_member(row, "Config", str)
        if not config:
            raise Invalid("expected the name of a file, found an empty string", "Config")
    with problems.at(place):
        layers = text_list(row, "Layers")
        current_limits().require("layers", len(layers), "layers")
    with problems.at(place):
        tags = text_list(row, "RepoTags")
    with problems.at(place), within("LayerSources"):
        listed = member_or_empty(row, "LayerSources", dict)
        sources = {diff_id: Descriptor.from_json(source) for diff_id, source in listed.items()}
    return SavedImage(config=config, tags=tags, layers=layers, sources=sources)
