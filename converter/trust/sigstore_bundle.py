"""Sigstore bundles, versions 0.1 to 0.3, as cosign attaches them to images (sigstore's protobuf-specs, bundle.proto).

A transparency log entry counts only if the caller trusts its log (``--rekor-key``); it then sets the time at which a
certificate has to be valid, in place of ``--at``. Other timestamps in a bundle are ignored.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from converter.errors import Invalid
from converter.model.document import decode_base64, lenient_member, load_object, object_list, required_member
from converter.trust import dsse, rekor
from converter.trust.certificates import load_der
from converter.trust.cosign import maker_of
from converter.trust.keys import Key
from converter.trust.libraries import x509
from converter.trust.signature import Signature, SignatureVerdict
from converter.trust.trusted import Subject, Trusted, join_notes

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle"
"""The prefix of the media types of all versions."""


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify a bundle, which signs a statement or the manifest's own bytes. Raises Untrusted, Invalid."""
    bundle = load_object(signature.data)
    if not required_member(bundle, "mediaType", str).startswith(MEDIA_TYPE):
        raise Invalid(f'unsupported media type "{bundle["mediaType"][:80]}": expected a sigstore bundle')
    if "dsseEnvelope" in bundle:
        kind, payload, signatures = dsse.open_envelope(required_member(bundle, "dsseEnvelope", dict))
        if len(signatures) != 1:
            raise Invalid(f"bundle with {len(signatures)} signatures: expected one")
        key, signer = _maker(bundle, signatures[0], dsse.pae(kind, payload), trusted, payload)
        verdict = dsse.judge_statement(signature, dsse.Payload(kind, payload, key, signer), found, trusted)
        return replace(verdict, reason=join_notes(verdict.reason, _unasked(bundle, trusted)))
    message = required_member(bundle, "messageSignature", dict)
    raw = decode_base64(required_member(message, "signature", str), "the signature")
    key, signer = _maker(bundle, raw, found.manifest, trusted)
    note = join_notes(trusted.check_nameless(), _unasked(bundle, trusted))
    return SignatureVerdict(signature=signature, ok=True, signer=signer, key=key.source, reason=note)


def predicate_of(data: bytes) -> str:
    """The unverified predicate type in a bundle; ``dsse.SIGN`` if it signs bytes rather than a statement."""
    try:
        bundle = load_object(data)
        if "dsseEnvelope" not in bundle:
            return dsse.SIGN
        return dsse.predicate_of(dsse.open_envelope(required_member(bundle, "dsseEnvelope", dict))[1])
    except Invalid:
        return ""


def _maker(
    bundle: dict[str, Any], raw: bytes, data: bytes, trusted: Trusted, envelope: bytes | None = None
) -> tuple[Key, str]:
    def time_logged(what: rekor.Logged, trusted: Trusted) -> datetime:
        return rekor.time_logged_in_bundle(required_member(bundle, "verificationMaterial", dict), what, trusted)

    return maker_of(rekor.Logged(b"", raw, data, envelope), trusted, partial(_certificates, bundle), time_logged)


def _certificates(bundle: dict[str, Any]) -> list[x509.Certificate]:
    """The certificate of the signer, and those that came with it; none if none is there."""
    material, chain = required_member(bundle, "verificationMaterial", dict), []
    if "certificate" in material:
        chain = [required_member(material, "certificate", dict)]
    elif "x509CertificateChain" in material:
        chain = object_list(required_member(material, "x509CertificateChain", dict), "certificates")
    return [load_der(decode_base64(required_member(one, "rawBytes", str), "a certificate")) for one in chain]


def _unasked(bundle: dict[str, Any], trusted: Trusted) -> str:
    return rekor.note_without_log(
        bool(lenient_member(bundle, "verificationMaterial", dict).get("tlogEntries")), trusted
    )
