"""cosign's signatures: the classic payload with a signature in an annotation (cosign's SIGNATURE_SPEC.md)."""

from __future__ import annotations

from dataclasses import replace

from converter.errors import Invalid, Untrusted
from converter.model.members import decode_base64
from converter.trust import rekor
from converter.trust.certificates import der_of, load_pem, subject_of
from converter.trust.claim import COSIGN, Claim
from converter.trust.keys import Key, signature_matches
from converter.trust.libraries import x509
from converter.trust.rekor import Logged
from converter.trust.signature import Signature, SignatureVerdict
from converter.trust.trusted import Subject, Trusted, join_notes, require_at_most

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify the payload's signature, and only then parse its claim. Raises Untrusted, Invalid."""
    raw = decode_base64(signature.annotations.get(SIGNATURE, ""), f"the annotation {SIGNATURE}")
    if not raw:
        raise Untrusted(f"the payload has no signature: the annotation {SIGNATURE} is missing")
    key, signer = find_maker(signature, raw, signature.payload, trusted)
    claim = Claim.parse(signature.payload, COSIGN)
    trusted.check_digest(found, claim.digest)
    note = join_notes(trusted.check_name(found, claim.identity), note_on_log(signature, trusted))
    return SignatureVerdict(
        signature=signature, ok=True, signer=signer, key=key.source, identity=claim.identity, reason=note
    )


def find_maker(
    signature: Signature, raw: bytes, data: bytes, trusted: Trusted, envelope: bytes | None = None
) -> tuple[Key, str]:
    """The trusted key that signed ``data``, given by itself or by its certificate, and its name; raises Untrusted.

    ``envelope`` is the payload of a DSSE envelope if ``data`` is its encoding.
    """
    key = trusted.signer(lambda one: signature_matches(one, raw, data))
    if key is not None:
        if trusted.logs:
            rekor.time_logged(signature.annotations, Logged(key.der, raw, data, envelope), trusted)
        return key, key.fingerprint
    text = signature.annotations.get(CERTIFICATE, "")
    if not text:
        raise Untrusted(no_key(trusted))
    leaf, *others = load_pem(text.encode())
    if others:
        raise Invalid(f"{len(others) + 1} certificates in {CERTIFICATE}: expected one")
    chain = signature.annotations.get(CHAIN, "")
    sent = [*load_pem(chain.encode())] if chain else []
    if trusted.logs:
        what = Logged(der_of(leaf), raw, data, envelope)
        trusted = replace(trusted, at=rekor.time_logged(signature.annotations, what, trusted))
    return by_certificate(leaf, sent, raw, data, trusted)


def note_on_log(signature: Signature, trusted: Trusted) -> str:
    """What a good verdict leaves open about the log entry stored with a signature."""
    return rekor.note_without_log(rekor.ENTRY in signature.annotations, trusted)


def by_certificate(
    leaf: x509.Certificate, sent: list[x509.Certificate], raw: bytes, data: bytes, trusted: Trusted
) -> tuple[Key, str]:
    """The key of a certificate that signed ``data``; raises Untrusted."""
    key = trusted.certified(leaf, require_at_most(sent, "certificates", "certificates"))
    if not signature_matches(key, raw, data):
        raise Untrusted(f'signature was not made by the key of "{subject_of(leaf)}"')
    return key, subject_of(leaf)


def no_key(trusted: Trusted) -> str:
    """The message that says why no key fits."""
    if not trusted.keys:
        return "signature by a key that was not given (--key)"
    names = ", ".join(key.source or key.fingerprint for key in trusted.keys)
    return f"signature was made by none of the keys ({names})"
