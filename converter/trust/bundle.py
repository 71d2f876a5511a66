"""Sigstore bundles, version 0.1 to 0.3, as cosign attaches them to images (sigstore's protobuf-specs, bundle.proto).

The transparency log and timestamps in a bundle are not checked: keys and roots are the caller's. ``--at`` says when a
certificate has to be valid.
"""

from __future__ import annotations

from typing import Any

from converter.errors import Invalid, Untrusted
from converter.model.document import load_object
from converter.trust import dsse
from converter.trust.certificates import load_der
from converter.trust.cosign import by_certificate, no_key
from converter.trust.keys import Key, signed
from converter.trust.members import decoded, member, objects
from converter.trust.signature import Signature, Verdict
from converter.trust.trusted import Subject, Trusted

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle"
"""How the media types of all versions start."""


def verify(signature: Signature, found: Subject, trusted: Trusted) -> Verdict:
    """Check what a bundle signs: a statement, or the manifest's own bytes. Raises Untrusted, Invalid."""
    bundle = load_object(signature.data)
    if not member(bundle, "mediaType", str).startswith(MEDIA_TYPE):
        raise Invalid(f"got the mediaType {bundle['mediaType'][:80]!r}, want a sigstore bundle")
    if "dsseEnvelope" in bundle:
        kind, payload, signatures = dsse.opened(member(bundle, "dsseEnvelope", dict))
        if len(signatures) != 1:
            raise Invalid(f"got {len(signatures)} signatures in a bundle, want one")
        key, signer = _maker(bundle, signatures[0], dsse.pae(kind, payload), trusted)
        return dsse.judged(signature, dsse.Payload(kind, payload, key, signer), found, trusted)
    message = member(bundle, "messageSignature", dict)
    raw = decoded(member(message, "signature", str), "the signature")
    key, signer = _maker(bundle, raw, found.manifest, trusted)
    note = trusted.check_nameless()
    return Verdict(signature=signature, ok=True, signer=signer, key=key.source, reason=note)


def predicate_of(data: bytes) -> str:
    """The predicate's type in a bundle, unverified; that of a signature where it signs bytes, not a statement."""
    try:
        bundle = load_object(data)
        if "dsseEnvelope" not in bundle:
            return dsse.SIGN
        return dsse.predicate_of(dsse.opened(member(bundle, "dsseEnvelope", dict))[1])
    except Invalid:
        return ""


def _maker(bundle: dict[str, Any], raw: bytes, data: bytes, trusted: Trusted) -> tuple[Key, str]:
    key = trusted.signer(lambda one: signed(one, raw, data))
    if key is not None:
        return key, key.fingerprint
    material = member(bundle, "verificationMaterial", dict)
    if "certificate" in material:
        chain = [member(material, "certificate", dict)]
    elif "x509CertificateChain" in material:
        chain = objects(member(material, "x509CertificateChain", dict), "certificates")
    else:
        chain = []
    if not chain:
        raise Untrusted(no_key(trusted))
    leaf, *sent = [load_der(decoded(member(one, "rawBytes", str), "a certificate")) for one in chain]
    return by_certificate(leaf, sent, raw, data, trusted)
