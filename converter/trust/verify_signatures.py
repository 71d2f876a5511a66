"""Verifies signatures of every kind, each by its own rules; errors become reasons in the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from converter.errors import ConverterError, Invalid, Untrusted
from converter.trust import content_trust, cosign, libtrust, notation, openpgp
from converter.trust import signature as kinds
from converter.trust.identity import AS_ASKED, AS_SIGNED, ATOMIC, Claim, IdentityRule
from converter.trust.signature import Signature, SignatureVerdict, Subject, Trusted, Unchecked

ONE_VERDICT = {
    kinds.LIBTRUST: libtrust.verify,
    kinds.COSIGN: cosign.verify,
    kinds.ATTESTATION: cosign.verify_envelope,
    kinds.BUNDLE: cosign.verify_bundle,
    kinds.NOTATION: notation.verify,
    kinds.CONTENT_TRUST: content_trust.verify,
}


def verify_signatures(
    signatures: Iterable[Signature], found: Subject, trusted: Trusted
) -> tuple[SignatureVerdict, ...]:
    """One or more verdicts for each signature, in order. The content of a signature never makes it raise."""
    return tuple(verdict for one in signatures for verdict in check_one(one, found, trusted))


def check_one(signature: Signature, found: Subject, trusted: Trusted) -> tuple[SignatureVerdict, ...]:
    """The verdicts of one signature."""
    try:
        if signature.kind == kinds.SIMPLE_SIGNING:
            return _simple(signature, found, trusted)
        if signature.kind == kinds.DETACHED:
            return _detached(signature, found, trusted)
        is_bundle = signature.media_type.startswith(cosign.BUNDLE)
        verify = cosign.verify_bundle if is_bundle else ONE_VERDICT[signature.kind]
        return (verify(signature, found, trusted),)
    except ConverterError as error:
        broken = isinstance(error, Invalid) and signature.kind == kinds.LIBTRUST
        unchecked = isinstance(error, Unchecked)
        return (SignatureVerdict(signature=signature, ok=False, broken=broken, unchecked=unchecked, reason=str(error)),)


def _detached(signature: Signature, found: Subject, trusted: Trusted) -> tuple[SignatureVerdict, ...]:
    if found.file is None:
        raise Untrusted("the signature covers a file, and this image is not one (only aci: is)")
    return openpgp.verify_detached(signature, found.file(), trusted)


def _simple(signature: Signature, found: Subject, trusted: Trusted) -> tuple[SignatureVerdict, ...]:
    """Verify a claim in a signed message (containers-signature(5)), which is parsed only then.

    One verdict per signer. Raises Untrusted, Invalid.
    """
    content, verdicts = openpgp.verify_inline(signature, trusted)
    claim = Claim.parse(content, ATOMIC)
    trusted.check_digest(found, claim.digest)
    # The names of simple signing always have tags.
    rule = IdentityRule(kind=AS_ASKED) if trusted.rule.kind == AS_SIGNED else trusted.rule
    note = replace(trusted, rule=rule).check_name(found, claim.identity)
    return tuple(replace(one, identity=claim.identity, reason=one.reason or note) for one in verdicts)
