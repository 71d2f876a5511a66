"""Schema 1: the signature within shows that the manifest is whole; who signed, only a key that is named can tell."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from converter.errors import ConverterError, Invalid, Untrusted
from converter.model import media_types as types
from converter.model.document import signed_payload
from converter.trust import libtrust, stored_signatures
from converter.trust.identity import ANY, IdentityRule
from converter.trust.keys import Roots
from converter.trust.makers import CosignKey
from converter.trust.signature import Signature, Subject
from converter.trust.verify_signatures import check_one
from tests.trust.making import Chain, der, ecdsa, pem, subject, trusted

BODY = {"schemaVersion": 1, "name": "library/app", "tag": "1", "fsLayers": [], "history": []}
NAME = "docker.io/library/app:1"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: CosignKey) -> dict[str, str]:
    public: Any = key.private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": b64(numbers.n.to_bytes(256)), "e": b64(numbers.e.to_bytes(3))}
    numbers = public.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "kid": key.public.libtrust_id,
        "x": b64(numbers.x.to_bytes(32)),
        "y": b64(numbers.y.to_bytes(32)),
    }


def raw(key: CosignKey, data: bytes) -> bytes:
    signature = key.sign_bytes(data)
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(signature)
        return r.to_bytes(32) + s.to_bytes(32)
    return signature


def signed(
    key: CosignKey, payload: bytes | None = None, body: bytes | None = None, header: dict[str, Any] | None = None
) -> bytes:
    """A manifest as libtrust writes it: ``payload`` is signed, ``body`` stands in the file."""
    payload = payload or json.dumps(BODY, indent=3).encode()
    body = body or payload
    tail = payload[-2:]
    protected = b64(json.dumps({"formatLength": len(payload) - 2, "formatTail": b64(tail), "time": "now"}).encode())
    told = header or {"jwk": jwk(key), "alg": "ES256" if "crv" in jwk(key) else "RS256"}
    row = {"header": told, "signature": b64(raw(key, f"{protected}.{b64(payload)}".encode())), "protected": protected}
    return body[:-2] + b',\n   "signatures": ' + json.dumps([row]).encode() + body[-2:]


def found(manifest: bytes, name: str | None = NAME) -> tuple[Subject, Signature]:
    about = subject(manifest, name, types.DOCKER_SCHEMA1_SIGNED)
    (one,) = stored_signatures.embedded_signatures(manifest, about.descriptor)
    return about, one


@pytest.mark.parametrize("key", [pytest.param(ecdsa(), id="ECDSA"), pytest.param("rsa", id="RSA")])
def test_a_key_that_is_named(key: CosignKey | str) -> None:
    from tests.trust.making import rsa_key

    one = key if isinstance(key, CosignKey) else rsa_key()
    about, signature = found(signed(one))
    verdict = libtrust.verify(signature, about, trusted(one))
    assert (verdict.ok, verdict.identity, verdict.key) == (True, "library/app:1", "--key 0")
    assert verdict.signer == one.public.libtrust_id


def test_a_key_that_nobody_named_is_no_proof() -> None:
    about, signature = found(signed(ecdsa()))
    with pytest.raises(Untrusted, match="nobody vouches for"):
        libtrust.verify(signature, about, trusted(ecdsa(1)))
    (verdict,) = check_one(signature, about, trusted(ecdsa(1)))
    assert (verdict.ok, verdict.broken) == (False, False)


def test_a_certificate_chain_in_the_header() -> None:
    chain = Chain()
    header = {"alg": "ES256", "x5c": [der(chain.leaf), der(chain.middle)]}
    about, signature = found(signed(chain.key, header=header))
    verdict = libtrust.verify(signature, about, trusted(roots=[Roots.load(pem(chain.root), source="chain")]))
    assert (verdict.ok, verdict.key) == (True, "chain")


@pytest.mark.parametrize(
    "name, rule, good",
    [
        pytest.param("docker.io/library/app:2", IdentityRule(), False, id="another tag"),
        pytest.param("docker.io/library/other:1", IdentityRule(), False, id="another name"),
        pytest.param("docker.io/library/other:1", IdentityRule(kind=ANY), True, id="any name"),
    ],
)
def test_the_name_within_counts(name: str, rule: IdentityRule, good: bool) -> None:
    about, signature = found(signed(ecdsa()), name)
    (verdict,) = check_one(signature, about, trusted(ecdsa(), rule=rule))
    assert verdict.ok is good


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(signed(ecdsa()).replace(b"library/app", b"library/bpp"), id="a byte of the manifest"),
        pytest.param(signed(ecdsa(), header={"jwk": jwk(ecdsa(1)), "alg": "ES256"}), id="another key in the header"),
        pytest.param(signed(ecdsa(), header={"jwk": jwk(ecdsa()), "alg": "ES512"}), id="another algorithm"),
        pytest.param(signed(ecdsa(), header={"jwk": jwk(ecdsa()), "alg": "none"}), id="no algorithm"),
        pytest.param(
            signed(ecdsa(), header={"jwk": {**jwk(ecdsa()), "kid": "AAAA"}, "alg": "ES256"}), id="a key ID of another"
        ),
        pytest.param(
            signed(ecdsa(), header={"jwk": {**jwk(ecdsa()), "x": b64(b"\1" * 32)}, "alg": "ES256"}),
            id="a point that is not on the curve",
        ),
        pytest.param(signed(ecdsa(), header={"jwk": {"kty": "oct", "k": ""}, "alg": "HS256"}), id="a shared secret"),
    ],
)
def test_a_broken_signature_breaks_the_manifest(manifest: bytes) -> None:
    about, signature = found(manifest)
    (verdict,) = check_one(signature, about, trusted(ecdsa()))
    assert (verdict.ok, verdict.broken) == (False, True)


def test_what_is_read_is_what_is_signed() -> None:
    """A file around a short formatLength could say anything, and still have the digest of what was signed."""
    payload = json.dumps(BODY).encode()
    protected = b64(json.dumps({"formatLength": 1, "formatTail": b64(payload[1:])}).encode())
    signature = b64(raw(ecdsa(), f"{protected}.{b64(payload)}".encode()))
    row = {"header": {"jwk": jwk(ecdsa()), "alg": "ES256"}, "signature": signature, "protected": protected}
    evil = json.dumps({**BODY, "name": "library/evil", "signatures": [row]}).encode()
    with pytest.raises(Invalid, match="differs from its signed payload"):
        signed_payload(evil)
    about, one = found(evil)
    with pytest.raises(ConverterError):
        libtrust.verify(one, about, trusted(ecdsa()))
