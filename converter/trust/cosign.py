"""cosign's signatures: the classic payload with a signature in an annotation (cosign's SIGNATURE_SPEC.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from converter.errors import Invalid, Untrusted
from converter.model.document import decode_base64
from converter.trust import rekor
from converter.trust.certificates import der_of, load_pem, subject_name
from converter.trust.claim import COSIGN, Claim
from converter.trust.keys import Key, signature_matches
from converter.trust.libraries import x509
from converter.trust.rekor import Logged
from converter.trust.signature import Signature, SignatureVerdict
from converter.trust.trusted import Subject, Trusted, Unchecked, join_notes, require_at_most

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
    """The trusted key that signed ``data``, and its name, as in ``maker_of``, with what the annotations hold."""
    return maker_of(
        Logged(b"", raw, data, envelope),
        trusted,
        partial(_certificates, signature.annotations),
        partial(rekor.time_logged, signature.annotations),
    )


def _certificates(annotations: Mapping[str, str]) -> list[x509.Certificate]:
    """The certificate of the signer, and those that came with it; none if none is there."""
    text, chain = annotations.get(CERTIFICATE, ""), annotations.get(CHAIN, "")
    leaf = load_pem(text.encode()) if text else ()
    if len(leaf) > 1:
        raise Invalid(f"{len(leaf)} certificates in {CERTIFICATE}: expected one")
    return [*leaf, *load_pem(chain.encode())] if leaf and chain else [*leaf]


def maker_of(
    what: Logged,
    trusted: Trusted,
    certificates: Callable[[], list[x509.Certificate]],
    time_logged: Callable[[Logged, Trusted], datetime],
) -> tuple[Key, str]:
    """The trusted key that made a signature, given by itself or by its certificate, and its name.

    If logs are trusted, one must have logged the signature: a certificate has to be valid at that time. Raises
    Untrusted.
    """
    key = trusted.signer(lambda one: signature_matches(one, what.raw, what.data))
    if key is not None:
        if trusted.logs:
            time_logged(replace(what, maker=key.der), trusted)
        return key, key.fingerprint
    found = certificates()
    if not found:
        if not trusted.keys:
            raise Unchecked("signature by a key that was not given (--key)")
        names = " or ".join(key.source or key.fingerprint for key in trusted.keys)
        raise Untrusted(f"signature was not made by {names}")
    leaf, *sent = found
    if trusted.logs:
        trusted = replace(trusted, at=time_logged(replace(what, maker=der_of(leaf)), trusted))
    key = trusted.certified(leaf, require_at_most(sent, "certificates", "certificates"))
    if not signature_matches(key, what.raw, what.data):
        raise Untrusted(f'signature was not made by the key of "{subject_name(leaf)}"')
    return key, subject_name(leaf)


def note_on_log(signature: Signature, trusted: Trusted) -> str:
    """The note on a good verdict about the log entry stored with a signature."""
    return rekor.note_without_log(rekor.ENTRY in signature.annotations, trusted)
