"""Writes an archive that is an OCI layout and has ``manifest.json`` and ``repositories``: every Engine can load it.

Layers stay as they are, plain, gzip or zstd; there are no links. Each image of an index gets a row in
``manifest.json``, and the index's name goes to the image that most hosts can run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from converter.errors import Invalid, Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import dump_json, lenient_member, load_object
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.platform import Platform, choose_platform
from converter.model.reference import ImageName
from converter.stores import oci_index
from converter.stores.docker_archive import tables
from converter.stores.media import MediumTarget, blob_name
from converter.stores.oci_layout import OciSink
from converter.streams.blocks import peek, read_whole
from converter.streams.decompress import HEAD, detect_codec

LAYERS = types.OCI_LAYERS | types.DOCKER_LAYERS
DOCUMENTS = types.CONFIGS | types.MANIFESTS | types.INDEXES

_PREFERRED_PLATFORM = Platform(os="linux", architecture="amd64")


@frozen(kw_only=False)
class ManifestRow:
    """An image to be listed in ``manifest.json``."""

    config: Digest
    layers: tuple[Descriptor, ...]
    platform: Platform | None
    tags: list[str] = field(default_factory=list)


class DockerArchiveSink(OciSink):
    """One archive with any number of images. Calls must not overlap."""

    accepts = DOCUMENTS | LAYERS | {types.OCI_EMPTY}

    def __init__(self, target: MediumTarget) -> None:
        super().__init__(target, ordered=True)
        self._read: dict[Digest, bytes] = {}
        self._codecs: dict[Digest, str] = {}
        self._named: list[tuple[str, Descriptor]] = []
        """The images, each with its tag as the Engine shows it, or without one."""

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        if media_type in DOCUMENTS:
            data = read_whole(blocks, "of a document")
            made = super().put((data,), media_type, expected)
            self._read[made.digest] = data
        else:
            head, blocks = peek(blocks, HEAD)
            made = super().put(blocks, media_type, expected)
            self._codecs[made.digest] = detect_codec(head) or ""
        return made

    def name(self, name: str, root: Descriptor) -> None:
        """Name an image as ``docker load`` will; raises Invalid or Unsupported if the name is not REPO[:TAG]."""
        annotations = {}
        if name:
            reference = ImageName.parse(name).tagged()
            if reference.digest is not None:
                raise Unsupported(f'a docker-archive cannot hold the name "{name}" with a digest: expected REPO[:TAG]')
            name = f"{reference.familiar}:{reference.tag}"
            annotations = oci_index.docker_annotations(str(reference))
            self._named = [(other, image) for other, image in self._named if other != name]
        self._named.append((name, root))
        self._added.append(oci_index.named_entry(root, annotations))

    def _documents(self, old: bytes | None) -> dict[str, bytes]:
        """The tables of contents. ``index.json`` alone lists attachments: the Engine ignores it, others read it."""
        rows: dict[Digest, ManifestRow] = {}
        for name, root in self._named:
            below = dict(self._rows(root, 0))
            for digest, row in below.items():
                rows.setdefault(digest, row)
            if name and below:
                # The same image on every host, so that the archive does not depend on the host.
                chosen = choose_platform(_PREFERRED_PLATFORM, [row.platform for row in below.values()])
                rows[list(below)[chosen or 0]].tags.append(name)
        tops: dict[str, dict[str, str]] = {}
        for row in rows.values():
            for tag in row.tags:
                repository, _, version = tag.rpartition(":")
                if row.layers:
                    tops.setdefault(repository, {})[version] = row.layers[-1].digest.encoded
        return {
            tables.MANIFEST: dump_json([self._row(row) for row in rows.values()]),
            tables.REPOSITORIES: dump_json(tops),
            **super()._documents(old),
        }

    def _rows(self, root: Descriptor, depth: int) -> Iterator[tuple[Digest, ManifestRow]]:
        """The images at or below a root, in order; only images for a platform belong in the table."""
        data = self._read.get(root.digest)
        if data is None or depth > current_limits().index_depth:
            return
        document = load_object(data)
        attestation = root.platform is not None and not root.platform.known
        if root.media_type in types.INDEXES:
            for child in descriptors(document, "manifests"):
                yield from self._rows(child, depth + 1)
        elif root.media_type in types.MANIFESTS and not attestation:
            config = lenient_member(document, "config", dict)
            layers = lenient_member(document, "layers", list)
            if config.get("mediaType") in types.CONFIGS and all(layer.get("mediaType") in LAYERS for layer in layers):
                config_digest = Descriptor.from_json(config).digest
                yield root.digest, ManifestRow(config_digest, descriptors(document, "layers"), root.platform)

    def _row(self, row: ManifestRow) -> dict[str, Any]:
        config = self._read.get(row.config)
        if config is None:
            raise Invalid(f"the config {row.config} of a manifest is missing")
        return {
            "Config": blob_name(row.config),
            "RepoTags": row.tags or None,
            "Layers": [blob_name(layer.digest) for layer in row.layers],
            "LayerSources": {
                str(diff_id): replace(self._truthful(layer).bare(), urls=layer.urls).to_json()
                for layer, diff_id in tables.with_diff_ids(row.layers, config)
            },
        }

    def _truthful(self, layer: Descriptor) -> Descriptor:
        """The layer with the media type of its bytes: go-containerregistry takes a plain layer called packed for a
        foreign one.
        """
        dialect = types.OCI_LAYERS if layer.media_type in types.OCI_LAYERS else types.DOCKER_LAYERS
        says = types.LAYER_TYPES[layer.media_type][0], self._codecs.get(layer.digest, "")
        return layer.retyped(types.by_meaning(dialect).get(says, layer.media_type))
