"""Whether a signed name matches the name of an image (containers-policy.json(5), signedIdentity)."""

from __future__ import annotations

from dataclasses import replace

from converter.errors import Invalid
from converter.model.frozen import frozen
from converter.model.reference import ImageName

MATCH_EXACT = "matchExact"
MATCH_DIGEST_OR_EXACT = "matchRepoDigestOrExact"
MATCH_REPOSITORY = "matchRepository"
EXACT_REFERENCE = "exactReference"
EXACT_REPOSITORY = "exactRepository"
REMAP = "remapIdentity"
ANY = "any"
"""The rule of ``--map-identity``: the signed name is reported and not compared."""

AS_SIGNED = "as-signed"
"""The rule without a policy: matchRepoDigestOrExact, but a name signed without a tag, as cosign does, fits any tag."""

AS_ASKED = "as-asked"
"""The same for names that always have tags; one without a tag fits only a name that the caller gives without one."""


@frozen
class IdentityRule:
    """How names are compared; ``reference``, ``prefix`` and ``signed_prefix`` are for the rules that have them."""

    kind: str = AS_SIGNED
    reference: str = ""
    prefix: str = ""
    signed_prefix: str = ""

    def with_tags(self) -> IdentityRule:
        """The same rule for simple signing, a kind of signature whose names always have tags."""
        return replace(self, kind=AS_ASKED) if self.kind == AS_SIGNED else self

    def matches(self, signed: str, image: ImageName | None) -> bool:
        """Whether a signature of the name ``signed`` is one for the image ``image`` (None: its name is unknown)."""
        try:
            return self._matches(ImageName.parse_signed(signed), image)
        except Invalid:
            return False

    def _matches(self, name: ImageName, image: ImageName | None) -> bool:
        if self.kind == ANY:
            return True
        if self.kind == EXACT_REFERENCE:
            return _same_name(name, ImageName.parse_signed(self.reference))
        if self.kind == EXACT_REPOSITORY:
            return name.name == ImageName.parse_signed(self.reference).name
        if image is None:
            return False
        if self.kind == MATCH_REPOSITORY:
            return name.name == image.name
        if self.kind == MATCH_EXACT:
            return _same_name(name, image)
        if self.kind == AS_SIGNED and not (name.tag or name.digest):
            return name.name == image.name
        if self.kind in (AS_SIGNED, AS_ASKED):
            bare = not (image.tag or image.digest or name.tag or name.digest)
            return name.name == image.name if bare else _same_or_by_digest(name, image.tagged())
        return _same_or_by_digest(name, self._remapped(image) if self.kind == REMAP else image)

    def _remapped(self, name: ImageName) -> ImageName:
        """The name with its prefix, if whole path components, replaced; raises Invalid if that is not a full name."""
        if name.name != self.prefix and not name.name.startswith(self.prefix + "/"):
            return name
        text = self.signed_prefix + str(name)[len(self.prefix) :]
        remapped = ImageName.parse_signed(text)
        if str(remapped) != text:
            raise Invalid(f'"{name}" is remapped to "{text}", which is not a full name (HOST/REPO)')
        return remapped


def _same_name(signed: ImageName, image: ImageName) -> bool:
    if not (signed.tag or signed.digest) or not (image.tag or image.digest):
        return False
    return str(signed) == str(image)


def _same_or_by_digest(signed: ImageName, image: ImageName) -> bool:
    """Compare names; an image asked for by its digest may have been signed under any tag of its repository."""
    if not (signed.tag or signed.digest):
        return False
    return signed.name == image.name if image.digest and not image.tag else _same_name(signed, image)
