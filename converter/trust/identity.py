"""The identity of an image: the name that it has, what is signed of it, and whether the signed name is its own.

What simple signing and cosign sign is a claim: an image's digest and name (containers-signature(5)). How names are
compared, is a rule (containers-policy.json(5), signedIdentity).
"""

from __future__ import annotations

from converter.errors import Invalid, Untrusted, unless_invalid
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import (
    dump_json,
    load_object,
    member_or_empty,
    require_only,
    required_member,
)
from converter.model.frozen import frozen
from converter.model.reference import FULL_NAME, REF_NAME, ImageName, Location

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

    def matches(self, signed: str, image: ImageName | None) -> bool:
        """Whether a signature of the name ``signed`` is one for the image ``image`` (None: its name is unknown)."""
        return bool(unless_invalid(self._matches, signed, image))

    def _matches(self, signed: str, image: ImageName | None) -> bool:
        name = ImageName.parse_signed(signed)
        if self.kind == ANY:
            return True
        if self.kind in (EXACT_REFERENCE, EXACT_REPOSITORY):
            image = ImageName.parse_signed(self.reference)
        if image is None:
            return False
        if self.kind in (EXACT_REPOSITORY, MATCH_REPOSITORY):
            return name.name == image.name
        if self.kind in (EXACT_REFERENCE, MATCH_EXACT):
            return _same_name(name, image)
        if name.bare and (self.kind == AS_SIGNED or (self.kind == AS_ASKED and image.bare)):
            return name.name == image.name
        if self.kind in (AS_SIGNED, AS_ASKED):
            image = image.tagged()
        elif self.kind == REMAP:
            image = self._remapped(image)
        if image.digest and not image.tag:
            # An image asked for by its digest may have been signed under any tag of its repository.
            return not name.bare and name.name == image.name
        return _same_name(name, image)

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
    return not signed.bare and str(signed) == str(image)


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
    full = _full(root.annotations.get(FULL_NAME, ""), root)
    short = _full(root.annotations.get(REF_NAME, ""), root)
    if full is not None and short is not None and full != short:
        raise Untrusted(f"the image has two names, {full} and {short}: ask for one of them")
    return full or short


def may_be_full(text: str) -> bool:
    """Whether the text may be a full name, not a bare tag or a position."""
    return any(mark in text for mark in ":/") and not text.startswith("@")


def _full(text: str, root: Descriptor) -> ImageName | None:
    """The full name in the text; None for a tag or a position, or if its digest is not that of ``root``."""
    name = unless_invalid(ImageName.parse, text) if may_be_full(text) else None
    return name.tagged() if name is not None and name.digest in (None, root.digest) else None


ATOMIC = "atomic container signature"
COSIGN = "cosign container image signature"


@frozen
class Claim:
    """The claim that the manifest with this digest is the image of this name."""

    digest: Digest
    identity: str

    @classmethod
    def parse(cls, data: bytes, kind: str) -> Claim:
        """Parse a claim whose ``critical.type`` is ``kind``; raises Invalid."""
        document = load_object(data)
        require_only(document, ("critical", "optional"), "a claim")
        critical = required_member(document, "critical", dict)
        if "optional" not in document:
            raise Invalid('claim: "optional" is missing')
        if not (kind == COSIGN and document["optional"] is None):
            _check_optional(required_member(document, "optional", dict))
        require_only(critical, ("type", "image", "identity"), "critical")
        if required_member(critical, "type", str) != kind:
            raise Invalid(f'claim of type "{critical["type"][:80]}": expected "{kind}"')
        image, identity = required_member(critical, "image", dict), required_member(critical, "identity", dict)
        require_only(image, ("docker-manifest-digest",), "critical.image")
        require_only(identity, ("docker-reference",), "critical.identity")
        return cls(
            digest=Digest.parse(required_member(image, "docker-manifest-digest", str)),
            identity=required_member(identity, "docker-reference", str),
        )

    def render(self, kind: str, creator: str, time: int) -> bytes:
        """The bytes to sign; ``time`` is in seconds since 1970."""
        return dump_json(
            {
                "critical": {
                    "identity": {"docker-reference": self.identity},
                    "image": {"docker-manifest-digest": str(self.digest)},
                    "type": kind,
                },
                "optional": {"creator": creator, "timestamp": time},
            }
        )


def _check_optional(found: dict[str, object]) -> None:
    """Raises Invalid for members that containers/image cannot read: null counts as absent, a time has 64 bits."""
    member_or_empty(found, "creator", str)
    timestamp = found.get("timestamp")
    if timestamp is None:
        return
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float) or timestamp != int(timestamp):
        raise Invalid("optional.timestamp: expected a whole number of seconds since 1970")
    if not -(2**63) <= float(timestamp) < 2**63:
        raise Invalid(f"optional.timestamp is {timestamp}: expected seconds since 1970 that fit into 64 bits")
