"""The name of an image, for signatures that cover a name."""

from __future__ import annotations

from contextlib import suppress

from converter.errors import Invalid, Untrusted
from converter.model.descriptor import Descriptor
from converter.model.reference import FULL_NAME, REF_NAME, ImageName, Location


def name_of(location: Location, root: Descriptor, identity: str = "") -> ImageName | None:
    """The name from the caller, else from the reference, else from the store's annotations; None if there is none.

    Only the caller's name may lack a tag. Raises Invalid for an ``identity`` that is not a name, Untrusted if an entry
    has different names for different readers and the reference chooses neither.
    """
    if identity:
        return ImageName.parse(identity)
    if location.kind.holds == "name":
        return ImageName.parse(location.path).tagged()
    if (asked := _full(location.name, root)) is not None:
        return asked
    # containerd reads the first, skopeo and podman the second.
    full, short = (_full(root.annotations.get(key, ""), root) for key in (FULL_NAME, REF_NAME))
    if full is not None and short is not None and full != short:
        raise Untrusted(f"the image has two names, {full} and {short}: ask for one of them")
    return full or short


def may_be_full(text: str) -> bool:
    """Whether the text may be a full name, not a bare tag or a position."""
    return any(mark in text for mark in ":/") and not text.startswith("@")


def _full(text: str, root: Descriptor) -> ImageName | None:
    """The full name in the text; None for a tag or a position, or if its digest is not that of ``root``."""
    if may_be_full(text):
        with suppress(Invalid):
            name = ImageName.parse(text).tagged()
            return name if name.digest in (None, root.digest) else None
    return None
