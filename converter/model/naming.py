"""The name of an image where it is stored (image-spec 1.1.1, annotations.md; containerd's own annotation)."""

from __future__ import annotations

import re

from converter.errors import Invalid
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName, Location

REF_NAME = "org.opencontainers.image.ref.name"
"""Where layouts keep a name; only the tag if FULL_NAME is there too."""
FULL_NAME = "io.containerd.image.name"
"""Where Docker and containerd keep the full name."""
NAMES = frozenset((REF_NAME, FULL_NAME))
"""Annotations that say what an image is called where it is stored, not what it is."""
TITLE = "org.opencontainers.image.title"
"""Where a blob or an image has a name for people."""

RECIPE = "appc.io/aci/recipe"
"""On a layer of a manifest: how the image that it was made from is made of it again, bit for bit."""

_SPEAKING = re.compile(r"(sha256|sha384|sha512)-[0-9a-f]{64,128}(\..+)?")


def called(location: Location, name: str, root: Descriptor) -> str:
    """The name of an image at its source: its full name, else a layout's short one; empty if it has none.

    ``name`` is its name within the location.
    """
    if location.transport == "docker":
        repository = ImageName.parse(location.path)
        return f"{repository.name}:{name}" if name else str(repository.tagged())
    asked = location.path if location.transport == "docker-daemon" else name
    short = root.annotations.get(REF_NAME, "")
    return next((text for text in (root.annotations.get(FULL_NAME, ""), asked, short) if is_full(text)), short)


def is_full(name: str) -> bool:
    """Whether a name is more than a tag: Docker loads names of the form REPO:TAG."""
    try:
        return ":" in name and not name.startswith("sha256:") and bool(ImageName.parse(name).tag)
    except Invalid:
        return False


def is_of_attachment(tag: str) -> bool:
    """Whether a tag belongs to an image's referrer (cosign, the referrers fallback), which is moved with the image."""
    return bool(_SPEAKING.fullmatch(tag))
