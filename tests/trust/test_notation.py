"""Notary Project signatures in both envelopes: a certificate up to a given root, then the descriptor."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from converter.errors import ConverterError, Untrusted
from converter.trust import notation, signature as kinds
from converter.trust.keys import Roots
from converter.trust.makers import CosignKey
from converter.trust.signature import Signature, Trusted
from tests.trust.making import MANIFEST, NOW, Chain, der, ecdsa, pem, rsa_key, subject, trusted

SCHEME, EXPIRY, TIME, AUTHENTIC = (
    f"io.cncf.notary.{name}" for name in ("signingScheme", "expiry", "signingTime", "authenticSigningTime")
)
TARGET = subject().descriptor.to_json()
Change = Callable[[dict[Any, Any]], None]


def unchanged(_: dict[Any, Any]) -> None:
    """As notation writes it."""


def setting(name: Any, value: Any) -> Change:
    return lambda headers: headers.update({name: value})


def without(name: Any) -> Change:
    return lambda headers: headers.pop(name)


def expiring(value: Any) -> Change:
    return lambda headers: headers.update({EXPIRY: value, "crit": [SCHEME, EXPIRY]})


def by_authority(headers: dict[Any, Any]) -> None:
    """By one whose word for the time is taken."""
    headers.pop(TIME)
    headers.update({SCHEME: f"{headers[SCHEME]}.signingAuthority", AUTHENTIC: NOW, "crit": [SCHEME, AUTHENTIC]})


def raw(key: CosignKey, data: bytes) -> bytes:
    if isinstance(key.private, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return key.private.sign(data, pss, hashes.SHA256())
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def payload(target: object = TARGET) -> bytes:
    return json.dumps({"targetArtifact": target}).encode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def expiry_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def jws(chain: Chain, body: bytes = b"", change: Change = unchanged) -> Signature:
    headers: dict[Any, Any] = {
        "alg": "PS256" if isinstance(chain.key.private, rsa.RSAPrivateKey) else "ES256",
        "cty": notation.PAYLOAD,
        "crit": [SCHEME],
        SCHEME: "notary.x509",
        TIME: NOW.isoformat(),
    }
    change(headers)
    headers = {name: expiry_text(value) for name, value in headers.items()}
    protected, text = b64(json.dumps(headers).encode()), b64(body or payload())
    document = {
        "payload": text,
        "protected": protected,
        "header": {"x5c": list(map(der, chain.sent))},
        "signature": b64(raw(chain.key, f"{protected}.{text}".encode())),
    }
    return made(json.dumps(document).encode(), notation.JWS)


def cose(chain: Chain, body: bytes = b"", change: Change = unchanged, head: bytes = b"") -> Signature:
    headers: dict[Any, Any] = {
        "alg": -37 if isinstance(chain.key.private, rsa.RSAPrivateKey) else -7,
        "cty": notation.PAYLOAD,
        "crit": [SCHEME],
        SCHEME: "notary.x509",
        TIME: NOW,
    }
    change(headers)
    labels = {"alg": 1, "crit": 2, "cty": 3}
    told = {labels.get(name, name): value for name, value in headers.items()}
    protected = head or cbor2.dumps(told, datetime_as_timestamp=True)
    content = body or payload()
    signature = raw(chain.key, cbor2.dumps(["Signature1", protected, b"", content]))
    certificates = [one.public_bytes(Encoding.DER) for one in chain.sent]
    envelope = cbor2.CBORTag(18, [protected, {33: certificates}, content, signature])
    return made(cbor2.dumps(envelope), notation.COSE)


def made(data: bytes, media_type: str) -> Signature:
    return Signature(kind=kinds.NOTATION, location="referrer", covers="", data=data, media_type=media_type)


def trusting(chain: Chain, **more: Any) -> Trusted:
    return trusted(roots=[Roots.load(pem(chain.root), source="chain")], **more)


BOTH = pytest.mark.parametrize("envelope", [pytest.param(jws, id="JWS"), pytest.param(cose, id="COSE")])


@BOTH
@pytest.mark.parametrize("key", [pytest.param(ecdsa(), id="ECDSA"), pytest.param(None, id="RSA")])
def test_a_good_signature(envelope: Callable[..., Signature], key: CosignKey | None) -> None:
    chain = Chain(key or rsa_key())
    verdict = notation.verify(envelope(chain), subject(), trusting(chain))
    assert (verdict.ok, verdict.signer, verdict.key) == (True, "CN=Signer", "chain")
    assert verdict.reason == "no name is signed"


@BOTH
def test_a_name_that_is_asked_for_is_not_there(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    with pytest.raises(Untrusted, match="names no image"):
        notation.verify(envelope(chain), subject(), trusting(chain, strict_name=True))


@BOTH
@pytest.mark.parametrize(
    "body, change, reason",
    [
        pytest.param(payload({**TARGET, "size": 1}), unchanged, "with 1 bytes", id="another size"),
        pytest.param(payload({**TARGET, "mediaType": "text/plain"}), unchanged, "and type", id="another media type"),
        pytest.param(
            payload({**TARGET, "digest": f"sha256:{'0' * 64}"}),
            unchanged,
            "another manifest: expected",
            id="another digest",
        ),
        pytest.param(b'{"targetArtifact":{},"targetArtifact":{}}', unchanged, "duplicate key", id="a key twice"),
        pytest.param(payload()[:-1] + b',"x":1}', unchanged, 'unknown member "x"', id="an unknown member"),
        pytest.param(b"", setting("cty", "text/plain"), "content type", id="another content type"),
        pytest.param(
            b"", setting("crit", [SCHEME, "x"]), 'unknown critical attribute "x"', id="an unknown critical one"
        ),
        pytest.param(b"", setting("crit", []), "crit", id="nothing critical"),
        pytest.param(b"", setting("crit", [SCHEME, EXPIRY]), "no value", id="a critical one that is not there"),
        pytest.param(b"", setting(SCHEME, "mine"), "signing scheme", id="another scheme"),
        pytest.param(b"", expiring(NOW), "expired", id="expired"),
        pytest.param(b"", expiring("soon"), "with its zone", id="an expiry that is no time"),
        pytest.param(b"", setting(EXPIRY, NOW), "must be critical", id="an expiry that one may pass over"),
        pytest.param(b"", without(TIME), "the scheme", id="no time of signing"),
        pytest.param(b"", setting(AUTHENTIC, NOW), "the scheme", id="two times of signing"),
        pytest.param(
            b"", setting(SCHEME, "notary.x509.signingAuthority"), "the scheme", id="another's time of signing"
        ),
    ],
)
def test_a_bad_one(envelope: Callable[..., Signature], body: bytes, change: Change, reason: str) -> None:
    chain = Chain()
    with pytest.raises(ConverterError, match=reason):
        notation.verify(envelope(chain, body, change), subject(), trusting(chain))


@BOTH
def test_it_holds_until_it_expires(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    one = envelope(chain, b"", expiring(NOW + timedelta(hours=1)))
    assert notation.verify(one, subject(), trusting(chain)).ok


@BOTH
def test_by_a_signing_authority(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    assert notation.verify(envelope(chain, b"", by_authority), subject(), trusting(chain)).ok


@BOTH
def test_of_another_image(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    with pytest.raises(Untrusted, match="another manifest: expected"):
        notation.verify(envelope(chain), subject(MANIFEST[:-1] + b" "), trusting(chain))


@BOTH
def test_under_another_root(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    with pytest.raises(Untrusted, match="not signed by a trusted root"):
        notation.verify(envelope(chain), subject(), trusted(roots=[Roots.load(pem(Chain(ecdsa(90)).leaf))]))
    with pytest.raises(Untrusted, match="--certificate-chain"):
        notation.verify(envelope(chain), subject(), trusted())


@BOTH
def test_a_flipped_bit(envelope: Callable[..., Signature]) -> None:
    chain = Chain()
    data = envelope(chain, payload({**TARGET, "annotations": {"a": "b" * 20}})).data
    needle = b64(b"b" * 15).encode() if envelope is jws else b"bbbbbbbbbb"
    assert needle in data
    changed = data.replace(needle, bytes([needle[0] ^ 1]) + needle[1:])
    media_type = notation.JWS if envelope is jws else notation.COSE
    with pytest.raises(ConverterError, match=r"was not made by|JSON"):
        notation.verify(made(changed, media_type), subject(), trusting(chain))


@pytest.mark.parametrize(
    "change", [pytest.param(setting("alg", "RS256"), id="PKCS #1"), pytest.param(setting("alg", "ES384"), id="ES384")]
)
def test_an_algorithm_that_is_not_allowed(change: Change) -> None:
    chain = Chain(rsa_key())
    with pytest.raises(ConverterError, match="algorithm"):
        notation.verify(jws(chain, b"", change), subject(), trusting(chain))


DUPLICATE = bytes([0xA2, 0x01, 0x26, 0x01, 0x26])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(cbor2.dumps([b"", {}, b"", b""]), id="no tag"),
        pytest.param(cbor2.dumps(cbor2.CBORTag(18, [b""])), id="too few parts"),
        pytest.param(cose(Chain(), head=DUPLICATE).data, id="a label that stands twice"),
        pytest.param(cose(Chain()).data + b"\0", id="something after the end"),
        pytest.param(cose(Chain(), b"", without("alg")).data, id="no algorithm"),
        pytest.param(cose(Chain(), b"", setting("alg", 5)).data, id="a shared secret"),
        pytest.param(cose(Chain(), b"", setting("alg", {})).data, id="an algorithm that is a map"),
        pytest.param(cose(Chain(), b"", setting("alg", 1 << 20_000)).data, id="an algorithm of six thousand digits"),
        pytest.param(cose(Chain(), b"", setting("alg", -7.0)).data, id="an algorithm with a fraction"),
        pytest.param(cbor2.dumps(cbor2.CBORTag(18, [b"\xbf\xff", {}, b"", b""])), id="a map without an end"),
        pytest.param(b"\x81" * 5000 + b"\0", id="nested without end"),
    ],
)
def test_no_envelope_in_cbor(data: bytes) -> None:
    with pytest.raises(ConverterError):
        notation.verify(made(data, notation.COSE), subject(), trusting(Chain()))
