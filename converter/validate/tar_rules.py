"""The rules of archives: of any tar, of layers, and of app container images."""

from __future__ import annotations

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
