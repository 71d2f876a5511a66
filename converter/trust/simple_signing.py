"""Simple signing: a claim in a signed OpenPGP message (containers-signature(5))."""

from __future__ import annotations

from dataclasses import replace

from converter.errors import Invalid, Untrusted
from converter.trust import openpgp
from converter.trust.claim import ATOMIC, Claim
from converter.trust.signature import Signature, Verdict
from converter.trust.trusted import Subject, Trusted


def verify(signature: Signature, found: Subject, trusted: Trusted) -> tuple[Verdict, ...]:
    """Check the message, and only then read its claim; one verdict a signer. Raises Untrusted, Invalid."""
    content, signers = openpgp.inline(signature.data, trusted)
    claim = Claim.parse(content, ATOMIC)
    trusted.check_digest(found, claim.digest)
    note = replace(trusted, rule=trusted.rule.with_tags()).check_name(found, claim.identity)
    return tuple(
        Verdict(
            signature=signature,
            ok=not one.problem,
            signer=one.fingerprint,
            key=one.source,
            identity=claim.identity,
            reason=one.problem or note,
        )
        for one in signers
    )


def untrusted_content(message: bytes, at_most: int = 64 * 1024) -> bytes:
    """What a message says, unverified: for people who look for the right one. Empty where it cannot be told."""
    from pysequoia.packet import PacketPile, Tag

    from converter.trust.openpgp_message import unpacked

    try:
        packets = list(PacketPile.from_bytes(unpacked(message)))
    except (Invalid, Untrusted, RuntimeError):
        return b""
    return next((one.literal_data[:at_most] for one in packets if one.tag == Tag.Literal and one.literal_data), b"")
