"""The JSON that simple signing and cosign sign: an image's digest and name (containers-signature(5)).

It is parsed strictly, and only after its signature has been verified: unknown members of ``critical`` are refused,
those of ``optional`` are not.
"""

from __future__ import annotations

from converter.errors import Invalid
from converter.model import pretty_jws
from converter.model.descriptor import Digest
from converter.model.document import dump_json, load_object, optional_member, require_only, required_member
from converter.model.frozen import frozen

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
        digest = Digest.parse(required_member(image, "docker-manifest-digest", str))
        return cls(digest=digest, identity=required_member(identity, "docker-reference", str))

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


def digest_matches(manifest: bytes, digest: Digest) -> bool:
    """Whether a manifest has that digest: that of its bytes or, if it embeds signatures, of its payload.

    Raises Unsupported for an algorithm that cannot be computed here, Invalid for a broken embedded JWS.
    """
    return Digest.of(pretty_jws.signed_payload(manifest), digest.algorithm) == digest


def _check_optional(found: dict[str, object]) -> None:
    """Raises Invalid for members that containers/image cannot read: null counts as absent, a time has 64 bits."""
    stated = {name: value for name, value in found.items() if value is not None}
    optional_member(stated, "creator", str)
    timestamp = stated.get("timestamp", 0)
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float) or timestamp != int(timestamp):
        raise Invalid("optional.timestamp: expected a whole number of seconds since 1970")
    if not -(2**63) <= float(timestamp) < 2**63:
        raise Invalid(f"optional.timestamp is {timestamp}: expected seconds since 1970 that fit into 64 bits")
