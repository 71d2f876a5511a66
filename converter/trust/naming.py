"""What an image goes by, for signatures that sign a name."""

from __future__ import annotations

from contextlib import suppress

from converter.errors import Invalid
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName, Location

FULL_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"


def name_of(location: Location, root: Descriptor, identity: str = "") -> ImageName | None:
    """What the caller says, or the reference, or the place that the image lies in; None where nobody says.

    Only a name that the caller says may lack a tag. Raises Invalid for an ``identity`` that is no name.
    """
    if identity:
        return ImageName.parse(identity)
    if location.transport in ("docker", "docker-daemon"):
        return ImageName.parse(location.path).tagged()
    for text in (root.annotations.get(FULL_NAME, ""), root.annotations.get(REF_NAME, ""), location.name):
        # A bare tag is no name; nor is a position.
        if any(mark in text for mark in ":/") and not text.startswith("@"):
            with suppress(Invalid):
                return ImageName.parse(text).tagged()
    return None
