"""Statements in envelopes and bundles: what is signed is type and payload together."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from converter.errors import Invalid, Untrusted
from converter.model.descriptor import Digest
from converter.trust import cosign, signature as kinds
from converter.trust.keys import Roots
from converter.trust.makers import CosignKey
from converter.trust.signature import Signature
from converter.trust.verify_signatures import check_one
from tests.trust.making import MANIFEST, NAME, Chain, der, ecdsa, pem, subject, trusted

HEX = Digest.of(MANIFEST).encoded
SLSA = "https://slsa.dev/provenance/v1"


def statement(**more: Any) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": HEX}}],
        "predicateType": SLSA,
        "predicate": {},
        **more,
    }


def envelope(
    body: object, key: CosignKey | None = None, kind: str = cosign.STATEMENT, signed_as: str = ""
) -> dict[str, Any]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = (key or ecdsa()).sign_bytes(cosign.pae(signed_as or kind, payload))
    return {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(raw).decode()}],
    }


def attestation(document: object, kind: str = kinds.ATTESTATION, media_type: str = cosign.ENVELOPE) -> Signature:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Signature(kind=kind, location="tag", covers="", data=data, media_type=media_type)


def bundled(content: dict[str, Any], material: dict[str, Any] | None = None) -> Signature:
    document = {
        "mediaType": f"{cosign.BUNDLE}.v0.3+json",
        "verificationMaterial": material or {"publicKey": {"hint": ""}},
        **content,
    }
    return attestation(document, kinds.BUNDLE, document["mediaType"])


def test_the_encoding_of_the_specification() -> None:
    assert cosign.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_statement_about_the_image() -> None:
    verdict = cosign.verify_envelope(attestation(envelope(statement())), subject(), trusted(ecdsa()))
    assert (verdict.ok, verdict.identity, verdict.reason) == (True, NAME, f"states {SLSA}")


def test_any_of_the_signatures_will_do() -> None:
    document = envelope(statement())
    document["signatures"].insert(0, {"sig": base64.b64encode(b"other").decode()})
    assert cosign.verify_envelope(attestation(document), subject(), trusted(ecdsa())).ok


@pytest.mark.parametrize(
    "document, reason",
    [
        pytest.param(envelope(statement(), ecdsa(1)), "signature was not made by", id="another key"),
        pytest.param(
            envelope(statement(), signed_as="text/plain"), "signature was not made by", id="another type signed"
        ),
        pytest.param(envelope(statement(), kind="text/plain"), 'type "text/plain"', id="no statement"),
        pytest.param(envelope(statement(_type="x")), "statement of type", id="a statement of another version"),
        pytest.param(envelope(statement(subject=[])), "about other images", id="about nothing"),
        pytest.param(
            envelope(statement(subject=[{"name": NAME, "digest": {"sha256": "0" * 64}}])),
            "about other images",
            id="about another image",
        ),
        pytest.param(
            envelope(statement(subject=[{"name": NAME, "digest": {"sha256": HEX, "sha512": "0" * 128}}])),
            "about other images",
            id="with two digests that do not agree",
        ),
        pytest.param(
            envelope(statement(subject=[{"name": NAME, "digest": {"md5": "0"}}])),
            "about other images",
            id="with a digest that nobody can compute",
        ),
        pytest.param(
            envelope(statement(subject=[{"name": "other.example/x", "digest": {"sha256": HEX}}])),
            "for the name",
            id="under another name",
        ),
        pytest.param(
            envelope(b'{"_type":"a","_type":"b"}'), "duplicate key", id="a key that stands twice in the statement"
        ),
        pytest.param(b'{"payload":"","payload":""}', "duplicate key", id="a key that stands twice in the envelope"),
        pytest.param({**envelope(statement()), "signatures": []}, "has no signature", id="no signature"),
        pytest.param({**envelope(statement()), "payload": "%"}, "base64", id="no base64"),
    ],
)
def test_a_statement_that_proves_nothing(document: object, reason: str) -> None:
    with pytest.raises((Untrusted, Invalid), match=reason):
        cosign.verify_envelope(attestation(document), subject(), trusted(ecdsa()))


def test_a_bundle_with_a_statement_that_signs() -> None:
    one = bundled({"dsseEnvelope": envelope(statement(predicateType=cosign.SIGN))})
    verdict = cosign.verify_bundle(one, subject(), trusted(ecdsa()))
    assert (verdict.ok, verdict.reason) == (True, "")
    assert cosign.bundle_predicate(one.data) == cosign.SIGN


def message(data: bytes, key: CosignKey | None = None) -> dict[str, Any]:
    return {"messageSignature": {"signature": base64.b64encode((key or ecdsa()).sign_bytes(data)).decode()}}


def test_a_bundle_over_the_manifest_itself() -> None:
    verdict = cosign.verify_bundle(bundled(message(MANIFEST)), subject(), trusted(ecdsa()))
    assert (verdict.ok, verdict.reason) == (True, "no name is signed")


def test_a_bundle_with_a_certificate() -> None:
    chain = Chain()
    material = {
        "x509CertificateChain": {"certificates": [{"rawBytes": der(chain.leaf)}, {"rawBytes": der(chain.middle)}]}
    }
    one = bundled(message(MANIFEST, chain.key), material)
    assert cosign.verify_bundle(one, subject(), trusted(roots=[Roots.load(pem(chain.root))])).signer == "CN=Signer"
    single = bundled(message(MANIFEST, chain.key), {"certificate": {"rawBytes": der(chain.leaf)}})
    assert cosign.verify_bundle(single, subject(), trusted(roots=[Roots.load(pem(chain.middle, chain.root))])).ok


@pytest.mark.parametrize(
    "one, reason",
    [
        pytest.param(bundled(message(b"{}")), "signature was not made by", id="over other bytes"),
        pytest.param(bundled({}), "messageSignature", id="over nothing"),
        pytest.param(attestation({"mediaType": "text/plain"}), "expected a sigstore bundle", id="no bundle"),
        pytest.param(
            bundled({"dsseEnvelope": {**envelope(statement()), "signatures": []}}), "expected one", id="no signature"
        ),
        pytest.param(
            bundled(message(MANIFEST), {"certificate": {"rawBytes": "AAAA"}}),
            "invalid certificate",
            id="no certificate",
        ),
        pytest.param(
            attestation({"mediaType": cosign.BUNDLE, **message(MANIFEST)}),
            "verificationMaterial: missing",
            id="nothing to verify it with",
        ),
    ],
)
def test_a_bundle_that_proves_nothing(one: Signature, reason: str) -> None:
    keys = () if reason in ("invalid certificate", "verificationMaterial: missing") else (ecdsa(),)
    with pytest.raises((Untrusted, Invalid), match=reason):
        cosign.verify_bundle(one, subject(), trusted(*keys))


def test_a_bundle_of_an_attestation_stays_one() -> None:
    one = bundled({"dsseEnvelope": envelope(statement())})
    assert cosign.bundle_predicate(one.data) == SLSA
    (verdict,) = check_one(one, subject(), trusted(ecdsa()))
    assert verdict.ok
