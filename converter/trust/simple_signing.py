"""Simple signing: a claim in a signed OpenPGP message (containers-signature(5))."""

from __future__ import annotations

from dataclasses import replace

from converter.trust import openpgp
from converter.trust.claim import ATOMIC, Claim
from converter.trust.signature import Signature, Verdict
from converter.trust.trusted import Subject, Trusted


def verify(signature: Signature, found: Subject, trusted: Trusted) -> tuple[Verdict, ...]:
    """Verify the message, and only then parse its claim; one verdict per signer. Raises Untrusted, Invalid."""
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
