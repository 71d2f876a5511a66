"""The name of an image, for signatures that cover a name."""

from __future__ import annotations

from contextlib import suppress

from converter.errors import Invalid, Untrusted
from converter.model.descriptor import Descriptor
from converter.model.naming import FULL_NAME, REF_NAME
from converter.model.reference import ImageName, Location


def name_of(location: Location, root: Descriptor, identity: str = "") -> ImageName | None:
    """What the caller says, or the reference, or the place that the image lies in; None where nobody says.

    Only a name that the caller says may lack a tag. Raises Invalid for an ``identity`` that is no name, Untrusted where
    an entry gives one name to some readers and another to others, and nobody has asked for either.
    """
    if identity:
        return ImageName.parse(identity)
    if location.transport in ("docker", "docker-daemon"):
        return ImageName.parse(location.path).tagged()
    if (asked := _full(location.name, root)) is not None:
        return asked
    # containerd goes by the one, skopeo and podman by the other.
    full, short = (_full(root.annotations.get(key, ""), root) for key in (FULL_NAME, REF_NAME))
    if full is not None and short is not None and full != short:
        raise Untrusted(f"got an image that goes by {full} and by {short}, want it asked for by one of them")
    return full or short


def is_full(text: str) -> bool:
    """Whether it may be a name: a bare tag is none, nor is a position."""
    return any(mark in text for mark in ":/") and not text.startswith("@")


def _full(text: str, root: Descriptor) -> ImageName | None:
    """A name that says more than a tag or a position, and no digest but that of ``root``."""
    if is_full(text):
        with suppress(Invalid):
            name = ImageName.parse(text).tagged()
            return name if name.digest in (None, root.digest) else None
    return None
