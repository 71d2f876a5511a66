"""Verifies signatures of every kind, each by its own rules; errors become reasons in the verdict.

``SIGNATURE_KINDS`` has a row for each kind: who verifies it, and what states that a signature is of that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from converter.errors import ConverterError, Invalid, StorageFailed
from converter.model.frozen import frozen
from converter.trust import content_trust, cosign, libtrust, notation, openpgp, signature as kinds
from converter.trust.identity import AS_ASKED, AS_SIGNED, ATOMIC, Claim, IdentityRule
from converter.trust.signature import Signature, SignatureVerdict, Subject, Trusted, Unchecked


def verify_signatures(
    signatures: Iterable[Signature], found: Subject, trusted: Trusted
) -> tuple[SignatureVerdict, ...]:
    """One or more verdicts for each signature, in order. The content of a signature never makes it raise."""
    return tuple(verdict for one in signatures for verdict in check_one(one, found, trusted))


def check_one(signature: Signature, found: Subject, trusted: Trusted) -> tuple[SignatureVerdict, ...]:
    """The verdicts of one signature. Raises StorageFailed, which says nothing about it."""
    try:
        verdicts = SIGNATURE_KINDS[signature.kind].verify(signature, found, trusted)
    except StorageFailed:
        raise
    except ConverterError as error:
        return (
            SignatureVerdict(
                signature=signature,
                ok=False,
                reason=str(error),
                broken=isinstance(error, Invalid) and signature.kind == kinds.LIBTRUST,
                unchecked=isinstance(error, Unchecked),
            ),
        )
    return (verdicts,) if isinstance(verdicts, SignatureVerdict) else verdicts


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


@frozen(kw_only=False)
class SignatureKind:
    """One kind of signature.

    ``verify`` returns one verdict or, for a kind with several signers, one for each; it may raise any ConverterError.
    ``layers`` are the media types of layers that are such signatures. ``label`` is the end of the tag, or the type of
    the artifact, under which they are stored. A kind with neither is told from others by its content.
    """

    verify: Callable[[Signature, Subject, Trusted], SignatureVerdict | tuple[SignatureVerdict, ...]]
    layers: tuple[str, ...] = ()
    label: str = ""


SIGNATURE_KINDS = {
    kinds.LIBTRUST: SignatureKind(libtrust.verify),
    kinds.SIMPLE_SIGNING: SignatureKind(_simple),
    kinds.DETACHED: SignatureKind(openpgp.verify_detached),
    kinds.COSIGN: SignatureKind(cosign.verify, layers=(cosign.PAYLOAD,), label="sig"),
    kinds.BUNDLE: SignatureKind(cosign.verify_bundle),
    kinds.ATTESTATION: SignatureKind(cosign.verify_envelope, layers=(cosign.ENVELOPE,), label="att"),
    kinds.NOTATION: SignatureKind(notation.verify, layers=(notation.JWS, notation.COSE), label=notation.ARTIFACT),
    kinds.CONTENT_TRUST: SignatureKind(content_trust.verify, label=content_trust.DOCUMENT),
}
"""By name. What a bundle states decides of which kind it is."""
