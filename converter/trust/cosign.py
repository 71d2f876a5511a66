"""What cosign makes: payloads with their signatures in annotations, envelopes with statements, and bundles.

A payload is a claim of simple signing (cosign's SIGNATURE_SPEC.md). An envelope is DSSE's, and holds an in-toto
statement about an image (secure-systems-lab/dsse 1.0; in-toto Statement v1). A bundle (sigstore's protobuf-specs,
bundle.proto, versions 0.1 to 0.3) holds an envelope, or signs the manifest's own bytes; a log entry in it counts only
if the caller trusts its log (``--rekor-key``), and then sets the time at which a certificate has to be valid, in place
of ``--at``. Other timestamps in a bundle are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from converter.errors import Invalid, Untrusted, unless_invalid
from converter.model.descriptor import HEX_LENGTHS, Digest
from converter.model.document import (
    decode_base64,
    lenient_member,
    load_object,
    member_or_empty,
    object_list,
    required_member,
)
from converter.model.frozen import frozen
from converter.trust import rekor
from converter.trust.identity import COSIGN, Claim
from converter.trust.keys import Key, load_der, load_pem, signature_matches
from converter.trust.libraries import serialization, x509
from converter.trust.signature import (
    PROFILE,
    Signature,
    SignatureVerdict,
    Subject,
    Trusted,
    Unchecked,
    join_notes,
    require_at_most,
)

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
STATEMENT = "application/vnd.in-toto+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate that approves an image; all others state something about it."""

BUNDLE = "application/vnd.dev.sigstore.bundle"
"""The prefix of the media types of bundles of all versions."""

_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify the payload's signature, and only then parse its claim. Raises Untrusted, Invalid."""
    raw = decode_base64(signature.annotations.get(SIGNATURE, ""), f"the annotation {SIGNATURE}")
    if not raw:
        raise Untrusted(f"the payload has no signature: the annotation {SIGNATURE} is missing")
    key = _annotated_maker(signature.annotations, rekor.Logged(raw, signature.data), trusted)
    claim = Claim.parse(signature.data, COSIGN)
    trusted.check_digest(found, claim.digest)
    note = trusted.check_name(found, claim.identity)
    return SignatureVerdict(
        signature=signature,
        ok=True,
        signer=key.signer,
        key=key.source,
        identity=claim.identity,
        reason=join_notes(note, rekor.note_without_log(rekor.ENTRY in signature.annotations, trusted)),
    )


def _annotated_maker(annotations: Mapping[str, str], what: rekor.Logged, trusted: Trusted) -> Key:
    """The trusted key that made a signature, as in ``_maker``, with what the annotations hold."""
    return _maker(what, trusted, partial(_certificates, annotations), partial(rekor.time_logged, annotations))


def _certificates(annotations: Mapping[str, str]) -> list[x509.Certificate]:
    """The certificate of the signer, and those that came with it; none if none is there."""
    if not annotations.get(CERTIFICATE):
        return []
    leaf = load_pem(annotations[CERTIFICATE].encode())
    if len(leaf) > 1:
        raise Invalid(f"{len(leaf)} certificates in {CERTIFICATE}: expected one")
    chain = annotations.get(CHAIN)
    return [*leaf, *load_pem(chain.encode())] if chain else [*leaf]


def _maker(
    what: rekor.Logged,
    trusted: Trusted,
    certificates: Callable[[], list[x509.Certificate]],
    time_logged: Callable[[rekor.Logged, bytes, Trusted], datetime],
) -> Key:
    """The trusted key that made a signature, given by itself or by its certificate.

    If logs are trusted, one must have logged the signature: a certificate has to be valid at that time. Raises
    Untrusted.
    """
    for key in trusted.keys:
        if signature_matches(key, what.raw, what.data):
            if trusted.logs:
                time_logged(what, key.der, trusted)
            return key
    found = certificates()
    if not found:
        if not trusted.keys:
            raise Unchecked("signature by a key that was not given (--key)")
        names = " or ".join(key.source or key.fingerprint for key in trusted.keys)
        raise Untrusted(f"signature was not made by {names}")
    if trusted.logs:
        logged_at = time_logged(what, found[0].public_bytes(serialization.Encoding.DER), trusted)
        trusted = replace(trusted, at=logged_at)
    require_at_most(found[1:], "certificates", "certificates")
    key = trusted.certified(found)
    if not signature_matches(key, what.raw, what.data):
        raise Untrusted(f'signature was not made by the key of "{key.signer}"')
    return key


@frozen(kw_only=False)
class Payload:
    """Bytes whose signature is verified: their type, and the trusted key that signed them."""

    kind: str
    data: bytes
    key: Key


def pae(kind: str, payload: bytes) -> bytes:
    """The bytes that are signed: type and payload, each with its length, so that neither can pass for the other."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def verify_envelope(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify an envelope, perhaps in a bundle, and only then parse its statement. Raises Untrusted, Invalid."""
    if signature.media_type.startswith(BUNDLE):
        return verify_bundle(signature, found, trusted)
    payload = signed_payload(signature, trusted)
    note = rekor.note_without_log(rekor.ENTRY in signature.annotations, trusted)
    return judge_statement(signature, payload, found, trusted, note)


def signed_payload(signature: Signature, trusted: Trusted) -> Payload:
    """What is in an envelope that a trusted key signed. Raises Untrusted if none did, Invalid."""
    kind, payload, signatures = open_envelope(load_object(signature.data))
    problem: Untrusted | None = None
    for raw in signatures:
        what = rekor.Logged(raw, pae(kind, payload), payload)
        try:
            return Payload(kind, payload, _annotated_maker(signature.annotations, what, trusted))
        except Untrusted as error:
            problem = error
    raise problem or Untrusted("the envelope has no signature")


def open_envelope(envelope: dict[str, Any]) -> tuple[str, bytes, list[bytes]]:
    """The payload's type, its bytes, and the signatures; raises Invalid."""
    kind = required_member(envelope, "payloadType", str)
    payload = decode_base64(required_member(envelope, "payload", str), "the payload")
    rows = require_at_most(object_list(envelope, "signatures"), "signers", "signatures in an envelope")
    return kind, payload, [decode_base64(required_member(row, "sig", str), "a signature") for row in rows]


def judge_statement(
    signature: Signature, payload: Payload, found: Subject, trusted: Trusted, note_on_log: str
) -> SignatureVerdict:
    """The verdict on a statement whose signature is verified; raises Untrusted, Invalid."""
    if payload.kind != STATEMENT:
        raise Invalid(f'payload of type "{payload.kind[:80]}": expected {STATEMENT}')
    statement = load_object(payload.data)
    if required_member(statement, "_type", str) not in _STATEMENTS:
        raise Invalid(f'statement of type "{statement["_type"][:80]}": expected {" or ".join(_STATEMENTS)}')
    predicate = required_member(statement, "predicateType", str)
    subjects = require_at_most(object_list(statement, "subject"), "signatures", "subjects of a statement")
    name = _subject_name(subjects, found)
    compare = found.content if name is None and predicate == PROFILE else None
    if name is None and compare is None:
        raise Untrusted(f"the statement is about other images than {found.descriptor.digest}")
    if predicate == PROFILE:
        # It names its subjects by what they are: content, manifest.
        name = ""
    note = trusted.check_name(found, name) if name else trusted.check_nameless()
    if compare is not None:
        note = join_notes(compare(statement), note)
    if predicate != SIGN:
        note = join_notes(f"states {predicate}", note)
    return SignatureVerdict(
        signature=signature,
        ok=True,
        signer=payload.key.signer,
        key=payload.key.source,
        identity=name or "",
        reason=join_notes(note, note_on_log),
        by_content=compare is not None,
    )


def predicate_of(payload: bytes) -> str:
    """The statement's predicate type, unverified; empty if it has none."""
    return lenient_member(unless_invalid(load_object, payload), "predicateType", str)


def _subject_name(rows: Iterable[dict[str, Any]], found: Subject) -> str | None:
    """The name of the first subject that is the image; None if none is."""
    for row in rows:
        name = member_or_empty(row, "name", str)
        if _matches_image(required_member(row, "digest", dict), found):
            return name
    return None


def _matches_image(digests: dict[str, Any], found: Subject) -> bool:
    """Whether the subject has a digest of a known algorithm, and all of those match the image."""
    known = [name for name in digests if name in HEX_LENGTHS]
    results = [Digest.of(found.manifest, name) == Digest.parse(f"{name}:{digests[name]}") for name in known]
    return bool(results) and all(results)


def verify_bundle(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify a bundle, which signs a statement or the manifest's own bytes. Raises Untrusted, Invalid."""
    bundle = load_object(signature.data)
    if not required_member(bundle, "mediaType", str).startswith(BUNDLE):
        raise Invalid(f'unsupported media type "{bundle["mediaType"][:80]}": expected a sigstore bundle')
    material = lenient_member(bundle, "verificationMaterial", dict)
    note = rekor.note_without_log(bool(material.get("tlogEntries")), trusted)
    if "dsseEnvelope" in bundle:
        kind, payload, signatures = open_envelope(required_member(bundle, "dsseEnvelope", dict))
        if len(signatures) != 1:
            raise Invalid(f"bundle with {len(signatures)} signatures: expected one")
        key = _bundled_maker(bundle, rekor.Logged(signatures[0], pae(kind, payload), payload), trusted)
        return judge_statement(signature, Payload(kind, payload, key), found, trusted, note)
    message = required_member(bundle, "messageSignature", dict)
    raw = decode_base64(required_member(message, "signature", str), "the signature")
    key = _bundled_maker(bundle, rekor.Logged(raw, found.manifest), trusted)
    return SignatureVerdict(
        signature=signature,
        ok=True,
        signer=key.signer,
        key=key.source,
        reason=join_notes(trusted.check_nameless(), note),
    )


def bundle_predicate(data: bytes) -> str:
    """The unverified predicate type in a bundle; ``SIGN`` if it signs bytes rather than a statement."""
    try:
        bundle = load_object(data)
        if "dsseEnvelope" not in bundle:
            return SIGN
        return predicate_of(open_envelope(required_member(bundle, "dsseEnvelope", dict))[1])
    except Invalid:
        return ""


def _bundled_maker(bundle: dict[str, Any], what: rekor.Logged, trusted: Trusted) -> Key:
    """The trusted key that made a signature, as in ``_maker``, with what the bundle holds."""
    return _maker(what, trusted, partial(_certificates_in, bundle), partial(rekor.time_logged_in_bundle, bundle))


def _certificates_in(bundle: dict[str, Any]) -> list[x509.Certificate]:
    """The certificate of the signer, and those that came with it; none if none is there."""
    material, chain = required_member(bundle, "verificationMaterial", dict), []
    if "certificate" in material:
        chain = [required_member(material, "certificate", dict)]
    elif "x509CertificateChain" in material:
        chain = object_list(required_member(material, "x509CertificateChain", dict), "certificates")
    return [load_der(decode_base64(required_member(one, "rawBytes", str), "a certificate")) for one in chain]
