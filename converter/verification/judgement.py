"""``judge`` says whether an image is signed as required, and ``Judgement`` has what it found and why.

It looks at the image's own signatures; ``verify_image`` follows the records of what an image was converted from.
The order matters: bytes are checked against their digests, signatures are verified over bytes, and only what is signed
is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from converter.errors import Untrusted
from converter.model.appc import identifier_and_version
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.reference import is_name
from converter.trust import content_trust, signature as kinds
from converter.trust.signature import SignatureVerdict, Trusted
from converter.trust.verify_signatures import verify_signatures
from converter.verification.proof import Proof
from converter.verification.unverified import StoredImage, Unverified, open_unverified
from converter.verification.wanted import ATTESTATION, SIGNATURE, Wanted

SHOWN = 3
"""The most reasons listed in one message."""


@frozen
class TracedConversion:
    """One conversion traced back: the record, what was signed, the verdicts, and the proof of the content."""

    record: Digest
    root: Descriptor
    verdicts: tuple[SignatureVerdict, ...]
    proof: Proof

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``verify --json``."""
        return {
            "record": str(self.record),
            "digest": str(self.root.digest),
            "media_type": self.root.media_type,
            "signatures": [one.to_json() for one in self.verdicts],
            "level": self.proof.level,
            "platform": self.proof.platform,
            "layers": [row.to_json() for row in self.proof.layers],
            "uncovered": list(self.proof.uncovered),
        }


@frozen
class Judgement:
    """The result. ``unmet`` has a fact for each thing wanted that does not hold; if it is empty, everything holds.

    ``signed`` has those of ``Wanted.sources`` that signed the image or what it was converted into. ``steps`` lead from
    a converted image back to what was signed; without any, the image itself is signed. ``content`` says how its content
    is proven to be what was signed, with steps by the first of them; None if that was not checked.
    """

    reference: str
    root: Descriptor
    identity: str
    verdicts: tuple[SignatureVerdict, ...]
    unmet: tuple[str, ...]
    signed: frozenset[str] = frozenset()
    steps: tuple[TracedConversion, ...] = ()
    content: Proof | None = None

    @property
    def level(self) -> str:
        """The level of the weakest link, P1 to P5; empty if nothing is proven."""
        if self.content is None or not self.ok:
            return ""
        return max([self.content.level, *(step.proof.level for step in self.steps)])

    @property
    def all_verdicts(self) -> tuple[SignatureVerdict, ...]:
        """Those on the image itself, and on what it was converted from."""
        return (*self.verdicts, *(one for step in self.steps for one in step.verdicts))

    @property
    def ok(self) -> bool:
        """Whether everything wanted holds."""
        return not self.unmet

    @property
    def is_signed(self) -> bool:
        """Whether a signature counts; if everything wanted holds without one, a policy accepts any image."""
        return bool(self.steps) or any(one.ok for one in self.verdicts)

    def require(self) -> None:
        """Raises Untrusted if something wanted does not hold."""
        if self.unmet:
            raise Untrusted("; ".join(self.unmet))

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``verify --json``."""
        content = self.content or Proof(level="")
        return {
            "reference": self.reference,
            "digest": str(self.root.digest),
            "media_type": self.root.media_type,
            "identity": self.identity,
            "verified": self.ok,
            "signatures": [one.to_json() for one in self.verdicts],
            "unmet": list(self.unmet),
            "level": self.level,
            "layers": [row.to_json() for row in content.layers],
            "platform": content.platform,
            "uncovered": list(content.uncovered),
            "origin": [step.to_json() for step in self.steps],
        }


def judge(stored: StoredImage, wanted: Wanted) -> Judgement:
    """Verify the signatures of an image in an open source; its origin records are not followed."""
    wanted.check()
    policy = wanted.read_policy()
    with open_unverified(stored, wanted) as image:
        trusted = wanted.trusted(image.own_name)
        verdicts, signed = _own_verdicts(image, wanted, trusted)
        unsigned = [source for source in wanted.sources() if source not in signed]
        unmet = [_why_not_signed(source, verdicts) for source in unsigned]
        if unsigned and not verdicts:
            unmet = [f"not signed: no signature by {' or '.join(unsigned)}"]
        if policy is not None:
            from converter.verification import policy_check

            under, problems = policy_check.judge_policy(image, policy, wanted, trusted)
            verdicts, unmet = [*verdicts, *under], [*unmet, *problems]
        missing = [
            f"no valid {required} (--require {required})"
            for required in (ATTESTATION, SIGNATURE)
            if required in wanted.require and not has_good(required, verdicts)
        ]
        unmet = [*_broken_facts(image, trusted), *unmet, *missing]
        return Judgement(
            reference=str(stored.location),
            root=image.subject.descriptor,
            identity=image.own_name or str(image.subject.name or ""),
            verdicts=tuple(verdicts),
            unmet=tuple(unmet),
            signed=signed,
        )


def _own_verdicts(image: Unverified, wanted: Wanted, trusted: Trusted) -> tuple[list[SignatureVerdict], frozenset[str]]:
    """The verdicts under the keys given one by one (not by a policy), and the sources that have signed."""
    if not wanted.sources():
        return [], wanted.signed
    targets = content_trust.stored_targets(wanted.content_trust, str(image.subject.descriptor.digest))
    found = verify_signatures([*image.signatures, *targets], image.subject, trusted)
    verdicts = [_about_file(one, image, wanted) for one in found]
    # An attestation approves the image only if the caller requires attestations.
    count = ATTESTATION in wanted.require
    good = {one.key for one in verdicts if one.ok and (count or one.signature.kind != kinds.ATTESTATION)}
    return verdicts, wanted.signed | good


def _broken_facts(image: Unverified, trusted: Trusted) -> list[str]:
    """A fact for each embedded signature that shows the manifest to be changed: then nothing can vouch for it."""
    embedded = [one for one in image.signatures if one.kind == kinds.LIBTRUST]
    verdicts = verify_signatures(embedded, image.subject, trusted)
    return [f"the signature within the manifest does not match: {one.reason}" for one in verdicts if one.broken]


def has_good(what: str, verdicts: Sequence[SignatureVerdict]) -> bool:
    """Whether there is a good attestation, or a good signature of any other kind."""
    return any(one.ok and (one.signature.kind == kinds.ATTESTATION) == (what == ATTESTATION) for one in verdicts)


def _why_not_signed(source: str, verdicts: list[SignatureVerdict]) -> str:
    reasons = list(dict.fromkeys(one.reason for one in verdicts if not one.ok))
    if len(reasons) == 1:
        return reasons[0] if source in reasons[0] else f"{source}: {reasons[0]}"
    if any(one.ok and one.key == source for one in verdicts):
        return f"no signature by {source}, only attestations (--require attestation accepts them)"
    if not reasons:
        return f"no signature by {source}"
    more = f"; and {len(reasons) - SHOWN} more reasons" if len(reasons) > SHOWN else ""
    return f"no valid signature by {source} ({'; '.join(reasons[:SHOWN])}{more})"


def _about_file(verdict: SignatureVerdict, image: Unverified, wanted: Wanted) -> SignatureVerdict:
    """The verdict on an ACI with its name checked: a signature over the file covers the name and version within."""
    if verdict.signature.kind != kinds.DETACHED or not verdict.ok:
        return verdict
    name, version = image.own_name, image.own_version
    if wanted.identity and not wanted.map_identity and not _is_called(wanted.identity, name, version):
        own = f"{name}:{version}" if version else name
        fact = f'signature is for the name "{own}": expected "{wanted.identity}" (--identity)'
        return replace(verdict, ok=False, identity=name, reason=fact)
    return replace(verdict, identity=name)


def _is_called(wanted: str, name: str, version: str) -> bool:
    """Whether an ACI has the wanted name; versions are compared if both are given.

    The name may be that of a registry's image: its ACI's has ``_`` for the colon of a port.
    """
    readings = [wanted.partition(":")[::2]]
    if is_name(wanted) and "@" not in wanted:
        readings.append(identifier_and_version(wanted))
    return any(one == name and (not version or not other or other == version) for one, other in readings)
