"""The media types of image documents and layers, and how layers are compressed (image-spec 1.1.1, media-types.md;
distribution's schema 1 and 2).

A media type says what a blob claims to be; how a layer is compressed, only its bytes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.errors import Invalid
from converter.model.document import lenient_member
from converter.model.frozen import frozen

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
"""From the release candidates of image-spec 1.1; some registries still have such manifests."""
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_NONDISTRIBUTABLE_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_NONDISTRIBUTABLE_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

ACI = "application/vnd.appc.image.aci"

ROOTFS = "application/x-tar"
"""A whole root file system; no image specification names it."""

RUNTIME_CONFIG = "application/vnd.oci.runtime.config.v1+json"
"""The ``config.json`` of a bundle (runtime-spec, config.md, which assigns no media type)."""

PGP_SIGNATURE = "application/pgp-signature"
"""A detached OpenPGP signature, armoured or not (RFC 3156): the ``.asc`` file beside an ACI."""

DIR_SIGNATURE = "application/vnd.containers.dir.signature"
"""A raw ``signature-N`` file of a ``dir:`` image: a simple signature, or cosign's as skopeo wraps it."""

MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
"""Documents that name one image: a config and layers."""

INDEXES = frozenset((OCI_INDEX, DOCKER_LIST))
"""Documents that name manifests."""

SINGLE_FILE_TYPES = frozenset((ACI,))
"""What is an image as a whole, with all its files, and no document that names them."""

CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))
"""Configurations of images."""

KINDS: Mapping[str, str] = {
    OCI_MANIFEST: "oci-manifest",
    OCI_INDEX: "oci-index",
    OCI_CONFIG: "oci-config",
    DOCKER_MANIFEST: "docker-schema2",
    DOCKER_LIST: "docker-manifest-list",
    DOCKER_CONFIG: "docker-config",
    DOCKER_SCHEMA1: "docker-schema1",
    DOCKER_SCHEMA1_SIGNED: "docker-schema1",
}
"""The kind of document that each is, which is the name of its schema."""


@frozen
class Codec:
    """A way to compress.

    A stream starts with one of ``magics``; the name of an archive ends in one of ``suffixes``. All readers of the
    ``formats`` know it. ``oci`` and ``docker`` are the media types of a layer and of one that may not be distributed. A
    codec for which OCI has none is read, but never written. ``levels`` are those to choose from.
    """

    magics: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...]
    formats: frozenset[str]
    oci: tuple[str, ...] = ()
    docker: tuple[str, ...] = ()
    levels: range = range(0)
    default_level: int = 0


CODECS: Mapping[str, Codec] = {
    "none": Codec(
        suffixes=(".tar",),
        formats=frozenset(("aci", "docker", "oci")),
        oci=(OCI_LAYER, OCI_NONDISTRIBUTABLE),
        docker=(DOCKER_LAYER, DOCKER_FOREIGN),
    ),
    "gzip": Codec(
        magics=(b"\x1f\x8b",),
        suffixes=(".tar.gz", ".tgz"),
        formats=frozenset(("aci", "docker", "oci")),
        oci=(OCI_LAYER_GZIP, OCI_NONDISTRIBUTABLE_GZIP),
        docker=(DOCKER_LAYER_GZIP, DOCKER_FOREIGN_GZIP),
        levels=range(1, 10),
        default_level=2,
    ),
    "bzip2": Codec(magics=(b"BZh",), suffixes=(".tar.bz2",), formats=frozenset(("aci",))),
    "xz": Codec(magics=(b"\xfd7zXZ\x00",), suffixes=(".tar.xz",), formats=frozenset(("aci",))),
    "zstd": Codec(
        # A frame, or one of the sixteen kinds that are skipped (RFC 8878, 3.1).
        magics=(b"\x28\xb5\x2f\xfd", *(bytes((kind,)) + b"\x2a\x4d\x18" for kind in range(0x50, 0x60))),
        suffixes=(".tar.zst",),
        formats=frozenset(("oci",)),
        oci=(OCI_LAYER_ZSTD, OCI_NONDISTRIBUTABLE_ZSTD),
        docker=(DOCKER_LAYER_ZSTD,),
        levels=range(1, 20),
        default_level=3,
    ),
}
"""All codecs that can be read, by name; ``none`` is a plain tar."""

LAYER, NONDISTRIBUTABLE = "layer", "nondistributable"
LAYER_TYPES: Mapping[str, tuple[str, str]] = {
    media_type: (kind, name)
    for name, codec in CODECS.items()
    for dialect in (codec.oci, codec.docker)
    for kind, media_type in zip((LAYER, NONDISTRIBUTABLE), dialect, strict=False)
}
"""What a layer's media type says: whether it may be distributed, and its codec."""

OCI_LAYERS = frozenset(media_type for codec in CODECS.values() for media_type in codec.oci)
DOCKER_LAYERS = frozenset(media_type for codec in CODECS.values() for media_type in codec.docker)


def by_meaning(media_types: frozenset[str]) -> dict[tuple[str, str], str]:
    """The media types of layers that a dialect has, by what they say."""
    return {says: media_type for media_type, says in LAYER_TYPES.items() if media_type in media_types}


def identify(document: Mapping[str, Any]) -> str:
    """The media type of a root document: the one it states, or else the one its members imply. Raises Invalid."""
    if stated := lenient_member(document, "mediaType", str):
        return stated
    if document.get("schemaVersion") == 1:
        return DOCKER_SCHEMA1_SIGNED if "signatures" in document else DOCKER_SCHEMA1
    if "manifests" in document:
        return OCI_INDEX
    if "layers" in document:
        docker_config = lenient_member(document, "config", dict).get("mediaType") == DOCKER_CONFIG
        return DOCKER_MANIFEST if docker_config else OCI_MANIFEST
    raise Invalid('neither a manifest nor an index: the document has no "layers" and no "manifests"')
