"""Notary Project signatures: a descriptor, signed with a certificate's key (specifications/specs, 1.0).

Two envelopes have the same content: JWS (JSON) and COSE_Sign1 (CBOR; RFC 9052, section 4.2; RFC 8949). Timestamp
countersignatures are not checked: a certificate has to be valid at the time that the caller states.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from converter.errors import Invalid, Unsupported, Untrusted
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import decode_base64url, load_object, require_only, required_member
from converter.model.frozen import frozen
from converter.trust.keys import (
    CURVE_HASHES,
    expiry_of,
    extension_of,
    is_issued_by,
    jws_matches,
    load_der,
    load_x5c,
    public_key,
    require_unexpired,
    subject_name,
)
from converter.trust.libraries import cbor2, ec, rsa, x509
from converter.trust.signature import Signature, SignatureVerdict, Subject, Trusted, require_at_most

ARTIFACT = "application/vnd.cncf.notary.signature"
JWS, COSE = "application/jose+json", "application/cose"
PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"

_PREFIX = "io.cncf.notary."
_SCHEMES = ("notary.x509", "notary.x509.signingAuthority")
_CRITICAL = tuple(_PREFIX + name for name in ("signingScheme", "authenticSigningTime", "expiry"))

_ALGORITHMS = {-37: "PS256", -38: "PS384", -39: "PS512", -7: "ES256", -35: "ES384", -36: "ES512"}
_LABELS: Mapping[Any, Any] = {1: "alg", 2: "crit", 3: "cty"}
"""COSE's numbers, and JOSE's names for the same."""

_SIGN1 = 18
_X5CHAIN = 33


@frozen
class Envelope:
    """The content of both kinds: ``attributes`` are signed, by name; ``signed`` are the bytes the signature covers."""

    algorithm: str
    attributes: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes
    chain: list[x509.Certificate]

    @classmethod
    def from_jws(cls, data: bytes) -> Envelope:
        """Parse an envelope in JSON; raises Invalid."""
        document = load_object(data)
        require_only(document, ("payload", "protected", "header", "signature"), "an envelope")
        payload, protected = required_member(document, "payload", str), required_member(document, "protected", str)
        attributes = load_object(decode_base64url(protected))
        chain = required_member(required_member(document, "header", dict), "x5c", list)
        return cls(
            algorithm=required_member(attributes, "alg", str),
            attributes=attributes,
            payload=decode_base64url(payload),
            signed=f"{protected}.{payload}".encode(),
            signature=decode_base64url(required_member(document, "signature", str)),
            chain=load_x5c(chain),
        )

    @classmethod
    def from_cose(cls, data: bytes) -> Envelope:
        """Parse a tagged envelope in CBOR; raises Invalid, also for a duplicate key in a map."""
        found = _load_cbor(data)
        if not isinstance(found, cbor2.CBORTag) or found.tag != _SIGN1:
            raise Invalid("not a COSE_Sign1 with its tag")
        match found.value:
            case (bytes() as head, Mapping() as loose, bytes() as payload, bytes() as signature):
                protected = _load_cbor(head)
            case _:
                raise Invalid("invalid COSE_Sign1: expected headers, payload and signature")
        if not isinstance(protected, dict):
            raise Invalid("protected headers: expected a map")
        if set(protected) & set(loose):
            raise Invalid("a header is both protected and unprotected")
        algorithm = protected.get(1)
        # A map is not hashable, and -7.0 would match -7.
        name = _ALGORITHMS.get(algorithm) if type(algorithm) is int else None
        if name is None:
            # The message does not quote it: it might be a number of a million digits.
            raise Invalid(f"unsupported algorithm (one of: {', '.join(map(str, sorted(_ALGORITHMS)))})")
        chain = protected.get(_X5CHAIN, loose.get(_X5CHAIN))
        certificates = (chain,) if isinstance(chain, bytes) else chain
        if not isinstance(certificates, list | tuple) or not all(isinstance(one, bytes) for one in certificates):
            raise Invalid("the envelope has no certificates (x5chain)")
        return cls(
            algorithm=name,
            attributes={_LABELS.get(label, label): value for label, value in protected.items()},
            payload=payload,
            signed=cbor2.dumps(["Signature1", head, b"", payload]),
            signature=signature,
            chain=list(map(load_der, certificates)),
        )


def _load_cbor(data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, allow_duplicate_keys=False, allow_indefinite=False, max_depth=16).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Invalid(f"invalid CBOR in the envelope ({type(error).__name__})") from None
    if stream.read(1):
        raise Invalid("data after the envelope")
    return value


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify an envelope up to a trusted root, and only then read its descriptor. Raises Untrusted, Invalid."""
    read = Envelope.from_cose if signature.media_type == COSE else Envelope.from_jws
    envelope = read(signature.data)
    if not envelope.chain:
        raise Invalid("the signature has no certificate (x5c)")
    require_at_most(envelope.chain, "certificates", "certificates")
    check_chain(envelope.chain, envelope.algorithm)
    key = trusted.certified(envelope.chain)
    if not jws_matches(key, envelope.algorithm, envelope.signature, envelope.signed):
        raise Untrusted(f'signature was not made by the key of "{key.signer}"')
    _check_attributes(envelope.attributes, trusted.at)
    _check_target(envelope.payload, found)
    return SignatureVerdict(
        signature=signature, ok=True, signer=key.signer, key=key.source, reason=trusted.check_nameless()
    )


def _check_attributes(attributes: dict[str, Any], at: datetime) -> None:
    if attributes.get("cty") != PAYLOAD:
        raise Invalid(f'content type "{str(attributes.get("cty"))[:80]}": expected {PAYLOAD}')
    critical = attributes.get("crit")
    if not isinstance(critical, list) or f"{_PREFIX}signingScheme" not in critical:
        raise Invalid("crit: the signing scheme is missing")
    for name in critical:
        if name not in _CRITICAL:
            raise Unsupported(f'unknown critical attribute "{str(name)[:80]}" (known: {", ".join(_CRITICAL)})')
        if name not in attributes:
            raise Invalid(f'critical attribute "{name}" has no value')
    scheme = attributes[f"{_PREFIX}signingScheme"]
    if scheme not in _SCHEMES:
        raise Unsupported(f"unsupported signing scheme (one of: {', '.join(_SCHEMES)})")
    for place, name in enumerate(("signingTime", "authenticSigningTime")):
        if (_PREFIX + name in attributes) != (scheme == _SCHEMES[place]):
            allowed = "is required by" if scheme == _SCHEMES[place] else "must not be used with"
            raise Invalid(f"{name} {allowed} the scheme {scheme}")
    for name in _CRITICAL:
        if name in attributes and name not in critical:
            raise Invalid(f"{name} must be critical: it is missing in crit")
    expiry = attributes.get(f"{_PREFIX}expiry")
    require_unexpired("signature", None if expiry is None else expiry_of(expiry), at)


def _check_target(payload: bytes, found: Subject) -> None:
    document = load_object(payload)
    require_only(document, ("targetArtifact",), "the payload")
    target = Descriptor.from_json(required_member(document, "targetArtifact", dict))
    if (target.media_type, target.size) != (found.descriptor.media_type, len(found.manifest)):
        raise Untrusted(
            f'signature of a manifest with {target.size} bytes and type "{target.media_type[:80]}": '
            f"expected {len(found.manifest)} bytes, {found.descriptor.media_type}"
        )
    if Digest.of(found.manifest, target.digest.algorithm) != target.digest:
        raise Untrusted(f"signature of another manifest: expected {found.descriptor.digest}, found {target.digest}")


_RSA = {2048: "PS256", 3072: "PS384", 4096: "PS512"}
_ONLY_TO_SIGN = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


def check_chain(chain: Sequence[x509.Certificate], algorithm: str) -> None:
    """Check a chain, the signer first and the root last (signature-specification.md, "Certificate Requirements").

    This applies to every chain, whoever vouches for it; ``certificates`` checks whether a trusted root does. Raises
    Invalid, also if ``algorithm`` is not the key's.
    """
    for child, parent in pairwise(chain):
        if not is_issued_by(child, parent):
            raise Invalid(f'chain of certificates: "{subject_name(parent)}" has not signed the one before it')
    if not is_issued_by(chain[-1], chain[-1]):
        raise Invalid(f'chain of certificates ends with "{subject_name(chain[-1])}", which is not a root')
    _check_signer(chain[0])
    for one in chain[1:]:
        _check_ca(one)
    fitting = _algorithm(chain[0])
    if algorithm != fitting:
        raise Invalid(f'algorithm "{algorithm[:20]}" does not go with the signer\'s key: expected {fitting}')


def _check_signer(certificate: x509.Certificate) -> None:
    who = subject_name(certificate)
    constraints = extension_of(certificate, x509.BasicConstraints)
    usage = extension_of(certificate, x509.KeyUsage, critical=True)
    if constraints is not None and constraints.ca:
        raise Invalid(f'signature by "{who}", which is a CA and not a signer')
    if usage is None or not usage.digital_signature:
        raise Invalid(f'certificate of "{who}": expected a critical key usage digitalSignature')
    if any(getattr(usage, name) for name in _ONLY_TO_SIGN):
        raise Invalid(f'certificate of "{who}": its key may do more than sign')
    purposes = extension_of(certificate, x509.ExtendedKeyUsage)
    purpose = x509.oid.ExtendedKeyUsageOID
    others = {
        purpose.ANY_EXTENDED_KEY_USAGE,
        purpose.SERVER_AUTH,
        purpose.CLIENT_AUTH,
        purpose.EMAIL_PROTECTION,
        purpose.TIME_STAMPING,
    }
    if purposes is not None and others & set(purposes):
        raise Invalid(f'certificate of "{who}" is for other purposes than code signing, too')


def _check_ca(certificate: x509.Certificate) -> None:
    who = subject_name(certificate)
    constraints = extension_of(certificate, x509.BasicConstraints, critical=True)
    usage = extension_of(certificate, x509.KeyUsage, critical=True)
    if constraints is None or not constraints.ca:
        raise Invalid(f'certificate of "{who}": expected critical basic constraints of a CA')
    if usage is None or not usage.key_cert_sign:
        raise Invalid(f'certificate of "{who}": expected a critical key usage keyCertSign')


def _algorithm(certificate: x509.Certificate) -> str:
    """The algorithm that goes with the certificate's key; if none does, what key is expected."""
    key = public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA.get(key.key_size, f"a key of {' or '.join(map(str, _RSA))} bits")
    if isinstance(key, ec.EllipticCurvePublicKey):
        size = CURVE_HASHES.get(key.curve.name)
        return f"ES{size}" if size else f"a key on {' or '.join(CURVE_HASHES)}"
    return "a key of RSA or ECDSA"
