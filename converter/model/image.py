"""Images of any format in one neutral form: what runs, on which platform, from which layers.

Names follow image-spec 1.1.1, config.md. Reading an image never changes its bytes: ``original`` keeps them, and
``foreign`` keeps, by format, what the neutral form cannot express.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from converter.errors import Unsupported
from converter.model import media_types as types
from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.platform import Platform

REFERENCE = "vnd.docker.reference.digest"
"""The annotation by which a BuildKit attestation's index entry names the entry it refers to."""

_OF_IMAGES = types.OCI_LAYERS | types.DOCKER_LAYERS | {types.OCI_CONFIG, types.DOCKER_CONFIG}


@frozen
class RunConfig:
    """How a container of the image is started. None: not stated by the image; an empty value: stated to be empty."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Mapping[str, Any] | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] | None = None


@frozen
class History:
    """One step of a build; ``empty_layer`` is true for a step that made no layer. ``created`` is RFC 3339."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@frozen
class Original:
    """The documents an image was read from, byte for byte."""

    format: str
    manifest: Known
    config: Known | None = None


@frozen
class Image:
    """One image for one platform; ``layers`` and ``history`` are base first."""

    platform: Platform
    config: RunConfig = field(default_factory=RunConfig)
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    original: Original | None = None


@frozen
class Artifact:
    """Something stored like an image that is not one: an attestation, a chart. It is carried whole or not at all."""

    original: Original
    blobs: tuple[Known, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ""

    def __str__(self) -> str:
        """A description for people; one with an image's configuration is named by its first non-image layer."""
        odd = [kind for blob in self.blobs if (kind := blob.descriptor.media_type) not in _OF_IMAGES]
        if self.artifact_type in _OF_IMAGES:
            return f"an image with a layer of the type {odd[0]!r}" if odd else "an image with an empty configuration"
        return f"an artifact of the type {self.artifact_type!r}"


@frozen
class Entry:
    """One entry of an index; ``item`` is None until what the descriptor names has been read."""

    descriptor: Descriptor
    item: Item | None = None


@frozen
class Index:
    """Several images under one name, usually one per platform."""

    entries: tuple[Entry, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    original: Original | None = None


Item = Image | Index | Artifact


@frozen
class Attachment:
    """Something that refers to an image: a signature, an attestation, an SBOM.

    ``tag`` is the tag under which cosign and the referrers fallback store it; empty for a true referrer.
    """

    subject: Digest
    descriptor: Descriptor
    tag: str = ""

    @property
    def bare_tag(self) -> str:
        """The tag without the repository that a layout may prefix to it."""
        return self.tag.rpartition(":")[2]


def of_aci(item: Item) -> Mapping[str, Any]:
    """The ACI-specific data of an image that was read from an ACI; empty for any other item."""
    return item.foreign.get("aci", {}) if isinstance(item, Image) else {}


def single(item: Item, target: str) -> Image:
    """The one image, with the bytes of all its layers, that ``target`` can be made of; raises Unsupported."""
    if not isinstance(item, Image):
        what = item if isinstance(item, Artifact) else "images for several platforms"
        raise Unsupported(f"got {what}, want one image for {target}")
    if any(layer.absent for layer in item.layers):
        raise Unsupported("got a foreign layer without its bytes, want them (--download-foreign, from a registry)")
    return item


def images(item: Item) -> Iterator[Image]:
    """An image, or the images of an index that have been read, in index order; artifacts are left out."""
    if isinstance(item, Image):
        yield item
    elif isinstance(item, Index):
        for entry in item.entries:
            if entry.item is not None:
                yield from images(entry.item)


def subjects(root: Descriptor, item: Item) -> Iterator[Digest]:
    """The digests that a referrer may name as its subject: those of the root and of every image it lists."""
    yield root.digest
    if item.original is not None and item.original.manifest.descriptor.digest != root.digest:
        yield item.original.manifest.descriptor.digest
    for entry in item.entries if isinstance(item, Index) else ():
        yield entry.descriptor.digest
