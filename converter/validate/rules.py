"""The rules of whole images, which no single document can show, and those of layouts and archives."""

from __future__ import annotations

from functools import cache

from converter.schema import Rule, document_rules
from converter.validate.tar_rules import ACIS, ALL, LAYER, LAYERED, SPEC, TARS

OCI = ("oci-image",)
DOCKER = ("docker-image",)

IMAGE_KINDS = {"oci-image": "oci", "docker-image": "docker", "aci-image": "aci"}
"""Kinds of images, by their format, with the family of their rules."""

_LAYOUT = SPEC + "image-layout.md, "
_SAVE = "moby image/spec v1.2, Combined Image JSON + Filesystem Changeset Format"

IMAGE_RULES: tuple[Rule, ...] = (
    Rule("image/unreadable", "What the image is stored in can be read.", "transship, Validation", ALL),
    Rule("image/limit", "Nothing is larger or deeper than the limits of this program.", "transship, Limits", ALL),
    Rule("image/descriptor", "Each descriptor can be followed.", SPEC + "descriptor.md, Properties", LAYERED),
    Rule(
        "image/blob-missing",
        "Each blob that is named is there.",
        _LAYOUT + "Blobs",
        LAYERED,
        note="The text lets a layout leave blobs to an external store; then the image cannot be read from here.",
    ),
    Rule(
        "image/blob-size",
        "A blob has the size that its descriptor says.",
        SPEC + "descriptor.md, Properties: size",
        LAYERED,
    ),
    Rule(
        "image/blob-digest",
        "A blob has the digest that its descriptor says.",
        SPEC + "descriptor.md, Verification",
        LAYERED,
    ),
    Rule(
        "image/media-type",
        "A document says of itself what its descriptor says of it.",
        SPEC + "considerations.md; GHSA-77vh-xpmg-72qh",
        LAYERED,
    ),
    Rule(
        "image/media-type-dialect",
        "A manifest or an index is in the dialect that its descriptor says, Docker's or OCI's.",
        SPEC + "manifest.md, Image Manifest Property Descriptions: mediaType",
        LAYERED,
        compat="warning",
        strict="warning",
        note="Readers go by the descriptor. What each dialect demands of the member, its own rules say.",
    ),
    Rule(
        "image/diff-id",
        "The digest of an uncompressed layer is its diff_id.",
        SPEC + "config.md, Layer DiffID",
        LAYERED,
    ),
    Rule(
        "image/diff-id-count",
        "There are as many diff_ids as layers.",
        SPEC + "config.md, Properties: rootfs",
        LAYERED,
    ),
    Rule(
        "image/history-length",
        "As many steps of the history made a layer as there are layers.",
        SPEC + "config.md, Properties: history",
        LAYERED,
        note="Of a configuration alone the reference does not ask it; here the layers are counted too.",
    ),
    Rule(
        "image/layer-format",
        "A layer is a tar, plain or compressed, from its first byte to its last.",
        LAYER + "Distributable Format",
        LAYERED,
    ),
    Rule(
        "image/layer-compression",
        "A layer is compressed as its media type says.",
        LAYER + "+gzip Media Types",
        LAYERED,
        compat="warning",
        note="Readers go by the bytes.",
    ),
    Rule(
        "image/platform",
        "The platform in an index is that of the image's configuration.",
        SPEC + "image-index.md, Image Index Property Descriptions: platform",
        LAYERED,
        compat="warning",
        note="Readers go by the index, and do not compare; go-containerregistry's validator does.",
    ),
    Rule(
        "image/subject",
        "A subject that is there is what its descriptor says.",
        SPEC + "manifest.md, Image Manifest Property Descriptions: subject",
        LAYERED,
    ),
    Rule(
        "image/referrer",
        "What is attached to an image has it as its subject.",
        "distribution-spec 1.1.1, Referrers Tag Schema",
        LAYERED,
    ),
    Rule(
        "image/attestation",
        "An attestation in an index speaks of an image of the same index.",
        "buildkit, attestation storage: vnd.docker.reference.digest",
        LAYERED,
        compat="warning",
        strict="warning",
    ),
    # Layouts
    Rule("oci/layout-file", "A layout has a file oci-layout.", _LAYOUT + "oci-layout file", OCI),
    Rule("oci/layout-index", "A layout has a file index.json.", _LAYOUT + "index.json file", OCI),
    Rule(
        "oci/layout-name",
        "No two entries of index.json for one platform have the same name.",
        _LAYOUT + "index.json file",
        OCI,
        compat="warning",
        strict="warning",
        note="The text allows it; readers take the first, the last, or none.",
    ),
    Rule(
        "oci/layout-name-syntax",
        "The name of an entry keeps to its grammar.",
        SPEC + "annotations.md, Pre-Defined Annotation Keys: org.opencontainers.image.ref.name",
        OCI,
        compat="warning",
        note="Readers take any text.",
    ),
    Rule(
        "oci/blob-name",
        "What lies below blobs/ is called by an algorithm and a digest of it.",
        _LAYOUT + "Blobs",
        OCI,
        compat="warning",
        note="Readers do not look at what no descriptor names.",
    ),
    Rule(
        "oci/blob-content",
        "A blob that nothing names has the digest that is its name.",
        _LAYOUT + "Blobs",
        OCI,
        compat="warning",
        note="Readers do not look at what no descriptor names.",
    ),
    Rule(
        "dir/version",
        "The file version of a directory is one that is known.",
        "containers-transports(5), dir:path",
        LAYERED,
    ),
    # Archives of Docker
    Rule("docker/archive-file", "Each file that manifest.json names is in the archive.", _SAVE, DOCKER),
    Rule(
        "docker/archive-config-name",
        "A configuration that is called by a digest has it.",
        _SAVE,
        DOCKER,
        compat="warning",
        note="The Engine takes any name.",
    ),
    Rule(
        "docker/archive-tag-repeated",
        "No two images of manifest.json have the same name.",
        _SAVE,
        DOCKER,
        compat="warning",
        strict="warning",
        note="The Engine gives it to the last.",
    ),
    Rule(
        "docker/archive-repositories",
        "repositories has the names that manifest.json has.",
        "moby image/spec v1, Combined Image JSON + Filesystem Changeset Format",
        DOCKER,
        compat="warning",
        note="The Engine does not read it where manifest.json is there.",
    ),
    Rule(
        "docker/archive-layer-source",
        "LayerSources describes the layers that are there.",
        "moby, image/tarexport",
        DOCKER,
        compat="warning",
        note="The Engine asks it of foreign layers only.",
    ),
    Rule(
        "docker/archive-sparse",
        "Every image of an index that is saved is in the archive.",
        _LAYOUT + "Blobs",
        DOCKER,
        compat="warning",
        strict="warning",
        note="The Engine saves an index with the images that it has.",
    ),
    Rule(
        "docker/archive-chain",
        "The layers of an image from before Docker 1.10 make a chain by their parents.",
        "moby image/spec v1, Combined Image JSON + Filesystem Changeset Format",
        DOCKER,
    ),
    *TARS,
    *ACIS,
)
BY_NAME = {one.name: one for one in IMAGE_RULES}


@cache
def all_rules() -> tuple[Rule, ...]:
    """All rules: those of documents, then those of images."""
    return (*document_rules(), *IMAGE_RULES)
