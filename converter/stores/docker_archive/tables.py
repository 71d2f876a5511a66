"""The tables that list the images of an archive: ``manifest.json``, and before Docker 1.10 ``repositories``.

In ``manifest.json``, a config, tags and layers by file name are one image each (moby, image/tarexport). Before, there
was one directory per layer, each naming its parent's ID (moby, image/spec/v1.md); such an image becomes an unsigned
schema 1 manifest, the format that holds what its files say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

from converter.errors import DigestMismatch, Invalid, NotFound, within
from converter.model import media_types as types
from converter.model.content import Blocks, Known, blocks_of
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
from converter.model.problems import RAISE_FIRST, UNREADABLE, Problems
from converter.stores.disk import printable_path
from converter.stores.media import Medium
from converter.streams.blocks import beginning, digest_and_size
from converter.streams.decompress import HEAD, decompress, detect_codec

T = TypeVar("T")

MANIFEST, REPOSITORIES = "manifest.json", "repositories"
_ID = r"[0-9a-f]{64}"
_RULE = "docker/archive-chain"
_BLOB = r"blobs/(sha256|sha512)/([0-9a-f]+)"
_MEMBERS = ("Config", "RepoTags", "Layers", "LayerSources")
"""The members, which the Engine matches case-insensitively: containerify writes ``config``."""

_FOREIGN_TYPES = {
    types.OCI_NONDISTRIBUTABLE: types.DOCKER_FOREIGN,
    types.OCI_NONDISTRIBUTABLE_GZIP: types.DOCKER_FOREIGN_GZIP,
}

_LABELS = types.by_meaning(types.DOCKER_LAYERS)
"""The media types of layers. The Engine loads codecs that have none: such layers are offered uncompressed."""


@frozen
class SavedImage:
    """One row: names of files in the archive, base layer first; ``sources`` maps diff_ids to descriptors."""

    config: str
    tags: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    sources: Mapping[str, Descriptor] = field(default_factory=dict)


def read_rows(data: bytes, problems: Problems) -> tuple[SavedImage, ...]:
    """The rows in order; reports what is wrong. RepoTags, Layers and LayerSources may be null or absent."""
    with problems.at(MANIFEST):
        rows = expect_type(problems.load(data, "docker-archive-manifest", MANIFEST), list)
        return tuple(_parse_row(row, f"{MANIFEST}#/{number}", problems) for number, row in enumerate(rows))
    return ()


@frozen(kw_only=False)
class ArchiveBlobs:
    """The blobs found so far; they are verified only when read."""

    medium: Medium
    _found: dict[Digest, Known] = field(default_factory=dict)

    def known(self, descriptor: Descriptor) -> Known | None:
        """The blob with that digest, if it was added; a layer gets the media type that its bytes have."""
        found = self._found.get(descriptor.digest)
        if found is None:
            return None
        media_type = found.descriptor.media_type or descriptor.media_type
        return Known(descriptor.retyped(media_type).sized(found.descriptor.size), found.raw)

    def add_document(self, data: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
        """Add bytes in memory, under their digest by that algorithm. Images may call them by different media types."""
        descriptor = Descriptor.of(data, media_type, algorithm)
        self._found[descriptor.digest] = Known(descriptor.retyped(""), blocks_of(data))
        return descriptor

    def add_layer(self, name: str, digest: Digest | None = None, diff_id: Digest | None = None) -> Descriptor:
        """Add a layer: a compressed one under ``digest``, a plain one under ``diff_id``, as its bytes show.

        If that digest is not given, the layer is read to compute it. Raises NotFound.
        """
        size = self.medium.size(name) or 0
        codec = detect_codec(beginning(self.medium.open(name), HEAD)) or "none"
        # What is encrypted is known as it is, and fails when it is read.
        label = _LABELS.get((types.LAYER, codec if codec in types.CODECS else "none"))

        def read() -> Blocks:
            blocks = self.medium.open(name)
            return blocks if label else decompress(blocks, codec)

        claimed = diff_id if label in (None, types.DOCKER_LAYER) else digest
        if label is None or claimed is None:  # a manifest must state the size
            meter = digest_and_size(read())
            claimed, size = claimed or meter.digest(), meter.size
        layer = Descriptor(media_type=label or types.DOCKER_LAYER, digest=claimed, size=size)
        self._found[claimed] = Known(layer, read)
        return layer


def config_of(blobs: ArchiveBlobs, saved: SavedImage) -> Descriptor:
    """The config of an image, by the digest of its content: only below ``blobs/`` is its file name a digest."""
    with within(printable_path(saved.config)):
        claimed = claimed_digest(saved.config)
        algorithm = claimed.algorithm if claimed else "sha256"
        descriptor = blobs.add_document(blobs.medium.read_document(saved.config), types.DOCKER_CONFIG, algorithm)
        if claimed not in (None, descriptor.digest):
            raise DigestMismatch(f"digest mismatch: expected {claimed}, computed {descriptor.digest}")
    return descriptor


def assemble_manifest(blobs: ArchiveBlobs, saved: SavedImage, config: Descriptor) -> Descriptor:
    """A schema 2 manifest for an image that has none; afterwards ``blobs`` has all that it names.

    A plain layer is identified by its diff_id, which is verified on reading; a compressed one is read and hashed,
    unless its name claims a digest. Raises Invalid if the numbers of layers and diff_ids differ.
    """
    with within(printable_path(saved.config)):
        paired = with_diff_ids(saved.layers, blobs.medium.read_document(saved.config))
    layers = []
    for number, (name, diff_id) in enumerate(paired):
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
    match = re.fullmatch(_BLOB, name.removeprefix("./"))
    return Digest.parse(f"{match[1]}:{match[2]}") if match else None


def _add_layer(blobs: ArchiveBlobs, name: str, diff_id: Digest, source: Descriptor | None) -> Descriptor:
    if blobs.medium.size(name) is None:
        if source is None or not source.urls:
            raise NotFound(f'no layer "{name}" in {blobs.medium.where}')
        media_type = _FOREIGN_TYPES.get(source.media_type, source.media_type)
        return Descriptor(media_type=media_type, digest=source.digest, size=source.size, urls=source.urls)
    return blobs.add_layer(name, claimed_digest(name), diff_id)


def with_diff_ids(layers: Sequence[T], config: bytes) -> list[tuple[T, Digest]]:
    """The layers of an image, each with its diff_id in the config. Raises Invalid if there are not as many of both."""
    with within("rootfs"):  # an image from scratch may have no diff_ids; the Engine then writes null
        diff_ids = text_list(required_member(load_object(config), "rootfs", dict), "diff_ids")
        parsed = [Digest.parse(one) for one in diff_ids]
    if len(layers) != len(parsed):
        raise Invalid(f"{len(layers)} layers and {len(parsed)} diff_ids: expected as many of both")
    return list(zip(layers, parsed, strict=True))


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


@frozen(kw_only=False)
class Chains:
    """The layers of an archive, each of which names its parent. What is wrong is reported once, and ends a chain."""

    medium: Medium
    problems: Problems = RAISE_FIRST
    _parents: dict[str, str | None] = field(default_factory=dict)

    def images(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The images by the ID of their newest layer, with their names; unnamed ones come last."""
        named: dict[str, list[str]] = {}
        for name, top in read_names(self.medium, self.problems) or ():
            named.setdefault(top, []).append(name)
        found = list(_layers(self.medium))
        parents = {self._parent(layer) for layer in found}
        for top in found:
            if top not in parents:
                named.setdefault(top, [])
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
        layer, source, parent = top, REPOSITORIES, None
        while layer:
            with self.problems.at(source, _RULE):
                self._require_next(layer, seen)
                parent = self._parent(layer)
            if parent is None:
                return
            seen.add(layer)
            yield layer
            layer, source, parent = parent, f"{layer}/json", None

    def _parent(self, layer: str) -> str | None:
        """The ID of the layer below: empty for the base, None if the description of ``layer`` cannot be read."""
        if layer not in self._parents:
            self._parents[layer] = None
            with self.problems.at(f"{layer}/json", _RULE, missing="docker/archive-file"):
                document = load_object(self.medium.read_document(f"{layer}/json"))
                if document.get("id") not in (None, layer):
                    raise Invalid(f"the id {printable_path(str(document['id'])[:100])} is not that of its directory")
                self._parents[layer] = member_or_empty(document, "parent", str)
        return self._parents[layer]

    def _require_next(self, layer: str, seen: set[str]) -> None:
        if not re.fullmatch(_ID, layer):
            raise Invalid(f"invalid layer ID {printable_path(layer[:100])!r} (expected 64 lower-case hex digits)")
        if layer in seen:
            raise Invalid(f"layer {layer} is its own ancestor")
        current_limits().require("layers", len(seen) + 1, "layers")


def read_names(medium: Medium, problems: Problems, rule: str = UNREADABLE) -> tuple[tuple[str, str], ...] | None:
    """Names with tags, each with the ID of its newest layer; None for no file, or a wrong one, which is reported."""
    with problems.at(REPOSITORIES, rule):
        if medium.size(REPOSITORIES) is not None:
            return tuple(_listed_names(load_object(medium.read_document(REPOSITORIES))))
    return None


def has_repositories(medium: Medium) -> bool:
    """Whether this is such an archive: the Engine wrote ``repositories`` only if an image was saved by name."""
    return medium.size(REPOSITORIES) is not None or next(_layers(medium), None) is not None


def _layers(medium: Medium) -> Iterator[str]:
    """The IDs of the layers that are described. Only the top is looked at: a directory may have millions of files."""
    return (name for name in medium.top() if re.fullmatch(_ID, name) and medium.size(f"{name}/json") is not None)


def assemble_chain(blobs: ArchiveBlobs, top: str, names: tuple[str, ...]) -> Descriptor:
    """The manifest of an image, whose layers are read and hashed. Raises Invalid if they form no chain, NotFound."""
    layers, history, architecture = [], [], ""
    for layer in Chains(blobs.medium).of(top):
        with within(layer):
            blob = blobs.add_layer(f"{layer}/layer.tar")
            data = blobs.medium.read_document(f"{layer}/json")
            architecture = architecture or str(load_object(data).get("architecture") or "")
        layers.append({"blobSum": str(blob.digest)})
        history.append({"v1Compatibility": data.decode()})
    repository, _, tag = "".join(names[:1]).rpartition(":")
    manifest = {
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": architecture or "amd64",
        "fsLayers": layers,
        "history": history,
    }
    return blobs.add_document(dump_json(manifest), types.DOCKER_SCHEMA1)


def _listed_names(repositories: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for repository, tags in repositories.items():
        shown = printable_path(repository)
        for tag, top in expect_type(tags, dict, shown).items():
            yield f"{repository}:{tag}", expect_type(top, str, shown, printable_path(tag))
