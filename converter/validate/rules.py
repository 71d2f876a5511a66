"""The rules of whole images, which no single document can show: of layouts, archives, and any tar."""

from __future__ import annotations

from functools import cache

from converter import schema
from converter.schema import Rule

ALL = ("oci-image", "docker-image", "aci-image")
LAYERED = ("oci-image", "docker-image")
ACI = ("aci-image",)
"""Kinds of images, by their format."""

SPEC = "image-spec 1.1.1, "
LAYER = SPEC + "layer.md, "

_APPC = "appc spec 0.8.11, aci.md, Image Archives"
_TAR = "POSIX.1-2001, pax, "

TARS = (
    Rule(
        "tar/readable",
        "An archive can be read to its end: headers, checksums, records, sizes.",
        _TAR + "ustar Interchange Format",
        ALL,
    ),
    Rule(
        "tar/field",
        "The numbers of a header are numbers: mode, owner, time, device.",
        _TAR + "ustar Interchange Format",
        ALL,
    ),
    Rule("tar/type", "Each entry is of a type that has a meaning in an image.", LAYER + "File Types", ALL),
    Rule("tar/sparse", "The map of a sparse file fits its data.", "GNU tar manual, Storing Sparse Files", ALL),
    Rule(
        "tar/pax-repeated",
        "A PAX header says each thing once.",
        _TAR + "pax Extended Header",
        ALL,
        compat="warning",
        strict="warning",
        note="The last one holds.",
    ),
    Rule(
        "tar/pax-encoding",
        "Names in PAX headers are in UTF-8.",
        _TAR + "pax Extended Header",
        ALL,
        compat=None,
        note="Readers take any bytes.",
    ),
    Rule(
        "tar/end-missing",
        "Two blocks of zeros stand at the end.",
        _TAR + "ustar Interchange Format",
        ALL,
        compat="warning",
        strict="warning",
        note="umoci and others leave them out, and every reader bears it.",
    ),
    Rule(
        "tar/trailing-data",
        "Nothing but zeros stands behind the end.",
        _TAR + "ustar Interchange Format",
        ALL,
        compat="warning",
        strict="warning",
        note="No reader looks there.",
    ),
    Rule(
        "tar/name-outside",
        "No name leads out of the root, by a part that is '..'.",
        LAYER + "Applying Changesets",
        LAYERED,
    ),
    Rule(
        "tar/name-absolute",
        "Names are relative to the root.",
        LAYER + "Populate Initial Filesystem",
        LAYERED,
        compat="warning",
        strict="warning",
        note="Every reader takes a leading slash away.",
    ),
    Rule("tar/root", "The root is a directory.", LAYER + "Initial Root Filesystem", LAYERED),
    Rule(
        "tar/duplicate-entry",
        "No two entries of a layer have the same path.",
        LAYER + "Distributable Format",
        LAYERED,
        compat="warning",
        note="Readers take the last one.",
    ),
    Rule(
        "tar/whiteout-name",
        "A whiteout names something in its directory, and nothing lies below one.",
        LAYER + "Whiteouts",
        LAYERED,
    ),
    Rule(
        "tar/whiteout-reserved",
        "No name begins with .wh..wh. but the opaque whiteout's.",
        LAYER + "Whiteouts",
        LAYERED,
        compat="warning",
        strict="warning",
        note="aufs wrote such, and every reader passes over them.",
    ),
    Rule(
        "tar/whiteout-content",
        "A whiteout is an empty file.",
        LAYER + "Whiteouts",
        LAYERED,
        compat="warning",
        note="Readers go by its name; aufs wrote hard links.",
    ),
    Rule(
        "tar/whiteout-order",
        "A whiteout stands before the entries beside it.",
        LAYER + "Whiteouts",
        LAYERED,
        compat=None,
        strict="warning",
        note="The text says SHOULD, and that readers must not depend on it.",
    ),
    Rule("tar/link-outside", "The target of a hard link does not lead out of the root.", LAYER + "Hardlinks", LAYERED),
    Rule(
        "tar/link-target",
        "A hard link leads to a file of its own layer or of those below.",
        LAYER + "Hardlinks",
        LAYERED,
    ),
    Rule(
        "tar/link-order",
        "A hard link stands behind the file that it leads to.",
        LAYER + "Hardlinks",
        LAYERED,
        note="The text does not say it; whoever extracts entry by entry, as all runtimes do, cannot make such a link.",
    ),
)

ACIS = (
    Rule(
        "aci/archive-format",
        "An image is a tar (ustar), plain or packed with gzip, bzip2 or xz.",
        _APPC,
        ACI,
        note="The text allows encryption; the reference cannot read it, and neither can anybody without the key.",
    ),
    Rule("aci/archive-manifest", "There is a regular file called manifest.", _APPC, ACI),
    Rule("aci/archive-rootfs", "There is a directory called rootfs.", _APPC, ACI),
    Rule(
        "aci/archive-top-level",
        "There is nothing but manifest, rootfs and what is in it.",
        _APPC,
        ACI,
        note="The reference takes any name that begins with rootfs, by accident.",
    ),
    Rule("aci/archive-duplicate", "No two entries have the same path.", _APPC, ACI),
    Rule(
        "aci/archive-name",
        "No name has a part that is '..'.",
        _APPC,
        ACI,
        compat="warning",
        note="The reference resolves it, and looks where it leads.",
    ),
    Rule(
        "aci/archive-kind",
        "The manifest is that of an image.",
        "appc spec 0.8.11, aci.md, Image Manifest Schema: acKind",
        ACI,
    ),
    Rule(
        "aci/archive-link",
        "A hard link leads to a file of the image.",
        _APPC,
        ACI,
        compat="warning",
        strict="warning",
        note="The reference does not look; a dependency may have the file.",
    ),
    Rule(
        "aci/archive-suffix",
        "The file's name ends in .aci.",
        _APPC,
        ACI,
        compat=None,
        note="The reference does not look at names.",
    ),
)


OCI = ("oci-image",)
DOCKER = ("docker-image",)

IMAGE_KINDS = {"oci-image": "oci", "docker-image": "docker", "aci-image": "aci"}
"""Kinds of images, by their format, with the family of their rules."""

_LAYOUT = SPEC + "image-layout.md, "
_SAVE = "moby image/spec v1.2, Combined Image JSON + Filesystem Changeset Format"

_IMAGE = (
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
)

_LAYOUTS = (
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
)

_DOCKER_ARCHIVES = (
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
)

IMAGE_RULES: tuple[Rule, ...] = (*_IMAGE, *_LAYOUTS, *_DOCKER_ARCHIVES, *TARS, *ACIS)
BY_NAME = {one.name: one for one in IMAGE_RULES}


@cache
def all_rules() -> tuple[Rule, ...]:
    """All rules: those of documents, then those of images."""
    return (*schema.document_rules(), *IMAGE_RULES)
