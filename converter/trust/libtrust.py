"""Docker's schema 1 signatures: a JWS embedded in the manifest that it signs (docker/libtrust, jsonsign.go).

The signature's own header holds the key. Such a signature proves that the manifest is as its signer wrote it; only a
key that the caller trusts proves who that is.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from converter.errors import Invalid, Untrusted
from converter.model.document import (
    decode_base64url,
    load_object,
    optional_member,
    required_member,
    signed_payload,
)
from converter.trust.keys import Key, jws_matches, load_x5c, public_key, require_strong
from converter.trust.libraries import ec, rsa, x509
from converter.trust.signature import Signature, SignatureVerdict, Subject, Trusted, require_at_most


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify one signature (``signature.data``, its JSON object) of the manifest that embeds it.

    Raises Invalid if it is broken, so that the manifest is not what its signer signed; Untrusted if it is good, but no
    trusted key made it or the manifest has another name.
    """
    row = load_object(signature.data)
    payload = signed_payload(found.manifest)
    protected = required_member(row, "protected", str)
    header = required_member(row, "header", dict)
    sent = require_at_most(optional_member(header, "x5c", list) or [], "certificates", "certificates")
    chain = load_x5c(sent)
    key = Key(require_strong(public_key(chain[0]))) if chain else _from_jwk(required_member(header, "jwk", dict))
    raw = decode_base64url(required_member(row, "signature", str))
    text = base64.urlsafe_b64encode(payload).rstrip(b"=")
    if not jws_matches(key, required_member(header, "alg", str), raw, protected.encode() + b"." + text):
        raise Invalid("a signature in the manifest does not match it: the manifest or the signature was changed")
    maker = _trusted(key, chain, trusted)
    name = signed_name(payload)
    note = trusted.check_name(found, name) if name else trusted.check_nameless()
    return SignatureVerdict(
        signature=signature, ok=True, signer=maker.signer, key=maker.source, identity=name, reason=note
    )


def signed_name(payload: bytes) -> str:
    """The name and tag that a schema 1 manifest states for itself."""
    document = load_object(payload)
    name = optional_member(document, "name", str) or ""
    tag = optional_member(document, "tag", str)
    return f"{name}:{tag}" if name and tag else name


def _trusted(key: Key, chain: list[x509.Certificate], trusted: Trusted) -> Key:
    """The key as the caller trusts it: it is given, or certified by the first of ``chain``. Raises Untrusted."""
    for known in trusted.keys:
        if known.der == key.der:
            return replace(known, owner=key.libtrust_id)
    if chain and trusted.roots:
        return trusted.certified(chain)
    raise Untrusted(
        f"signature by {key.libtrust_id}, a key that is not trusted: it is signed by the key that it brings along, "
        "which nobody vouches for"
    )


def _from_jwk(jwk: dict[str, Any]) -> Key:
    """Parse a JSON Web Key (RFC 7517); its ``kid``, if any, has to be the key's libtrust ID."""
    kind = required_member(jwk, "kty", str)
    try:
        if kind == "EC":
            curve = _CURVES.get(required_member(jwk, "crv", str))
            if curve is None:
                raise Invalid(f'unsupported curve "{jwk["crv"][:20]}" (one of: {", ".join(_CURVES)})')
            made: Any = ec.EllipticCurvePublicNumbers(
                _jwk_number(jwk, "x"), _jwk_number(jwk, "y"), getattr(ec, curve)()
            )
        elif kind == "RSA":
            made = rsa.RSAPublicNumbers(_jwk_number(jwk, "e"), _jwk_number(jwk, "n"))
        else:
            raise Invalid(f'unsupported kind of key "{kind[:20]}" (one of: EC, RSA)')
        key = Key(require_strong(made.public_key()))
    except ValueError:
        raise Invalid("invalid numbers of a key") from None
    kid = optional_member(jwk, "kid", str)
    if kid is not None and kid != key.libtrust_id:
        raise Invalid(f'key ID "{kid[:80]}" is not that of the key: expected {key.libtrust_id}')
    return key


_CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


def _jwk_number(jwk: dict[str, Any], name: str) -> int:
    return int.from_bytes(decode_base64url(required_member(jwk, name, str)))
