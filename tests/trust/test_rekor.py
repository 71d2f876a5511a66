"""An entry of Rekor is about this signature, by this key, over this payload, and signed by a log that one trusts."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from converter.errors import Invalid, Untrusted
from converter.trust import cosign, rekor
from converter.trust.keys import Key, Roots
from converter.trust.makers import CosignKey
from converter.trust.signature import Signature
from tests.changing import changed
from tests.trust.making import MANIFEST, NOW, Chain, claim, ecdsa, pem, public_pem, subject, trusted
from tests.trust.test_dsse import bundled, envelope, statement

LOG, OTHER_LOG, SIGNER = ecdsa(400), ecdsa(401), ecdsa()
LOGS = [Key(LOG.public.public)]
SIGNED = SIGNER.sign(claim(), 1)
PAYLOAD, ANNOTATIONS = SIGNED.data, SIGNED.annotations
RAW = base64.b64decode(ANNOTATIONS[cosign.SIGNATURE])


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def record(pem_of_maker: bytes = public_pem(SIGNER), raw: bytes = RAW, payload: bytes = PAYLOAD) -> dict[str, Any]:
    """What is logged of a signature."""
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
        "signature": {"content": text(raw), "publicKey": {"content": text(pem_of_maker)}},
    }
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}


def entry(body: dict[str, Any] | None = None, by: CosignKey = LOG, **more: Any) -> str:
    """What the log gives for it."""
    payload = {
        "body": text(json.dumps(body or record()).encode()),
        "integratedTime": int(NOW.timestamp()) - 60,
        "logIndex": 1,
        "logID": "c0d23d6a",
        **more,
    }
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    # Stored as cosign does: in another order than it is signed in.
    return json.dumps({"SignedEntryTimestamp": text(by.sign_bytes(canonical)), "Payload": payload})


def signature(found: str | None, **more: str) -> Signature:
    told = {**ANNOTATIONS, **({} if found is None else {rekor.ENTRY: found}), **more}
    return Signature(kind="cosign", location="", covers="", data=PAYLOAD, annotations=told)


def test_a_signature_that_was_logged() -> None:
    assert cosign.verify(signature(entry()), subject(), trusted(SIGNER, logs=LOGS)).ok
    several = [Key(OTHER_LOG.public.public), *LOGS]
    assert cosign.verify(signature(entry()), subject(), trusted(SIGNER, logs=several)).ok


@pytest.mark.parametrize(
    "found, note",
    [
        pytest.param(None, "", id="there is no entry"),
        pytest.param("broken", "the entry of Rekor is not checked (--rekor-key)", id="there is one, whatever it is"),
    ],
)
def test_nobody_asks_without_a_log(found: str | None, note: str) -> None:
    verdict = cosign.verify(signature(found), subject(), trusted(SIGNER))
    assert (verdict.ok, verdict.reason) == (True, note)


@pytest.mark.parametrize(
    "found, reason",
    [
        pytest.param(None, "the annotation .* is missing", id="no entry"),
        pytest.param("broken", "invalid JSON", id="no JSON"),
        pytest.param("{}", "Payload: missing", id="nothing in it"),
        pytest.param(entry(by=OTHER_LOG), "not signed by a trusted log", id="another log's"),
        pytest.param(
            entry().replace('"logIndex": 1', '"logIndex": 2'), "not signed by a trusted log", id="changed afterwards"
        ),
        pytest.param(entry(x=1), 'unknown member "x"', id="an unknown member"),
        pytest.param(entry(logID=1), "logID: expected", id="a member of another type"),
        pytest.param(entry(integratedTime=True), "integratedTime: expected", id="a time that is none"),
        pytest.param(entry(integratedTime=2**60), "2\\^53", id="a number that JSON does not keep"),
        pytest.param(entry(integratedTime=2**52), "seconds after 1970", id="a year that no calendar has"),
        pytest.param(entry(integratedTime=int(NOW.timestamp()) + 60), "seconds after 1970", id="logged later"),
        pytest.param(entry(body={"kind": "intoto", "apiVersion": "0.0.2"}), 'kind "intoto"', id="another kind"),
        pytest.param(entry(changed(record(), ("apiVersion",), "0.0.2")), '"0.0.2"', id="another version"),
        pytest.param(
            entry(changed(record(), ("spec", "data", "hash", "algorithm"), "sha512")), "sha512", id="another hash"
        ),
        pytest.param(entry(record(payload=b"other")), "another payload", id="another payload"),
        pytest.param(entry(record(raw=b"other")), "another signature", id="another signature"),
        pytest.param(entry(record(public_pem(ecdsa(1)))), "another key", id="another key"),
        pytest.param(entry(record(public_pem(SIGNER) * 2)), "not a single block", id="two keys"),
        pytest.param(entry(record(b"key")), "not a single block", id="no key"),
    ],
)
def test_a_signature_that_was_not(found: str | None, reason: str) -> None:
    with pytest.raises((Untrusted, Invalid), match=reason):
        cosign.verify(signature(found), subject(), trusted(SIGNER, logs=LOGS))


def test_a_certificate_holds_at_the_time_of_the_entry() -> None:
    """As Fulcio's do, which are for minutes."""
    start = NOW - timedelta(days=40)
    leaf = pem(Chain(SIGNER, start=start, days=10).leaf)
    asked = trusted(logs=LOGS, roots=[Roots.load(leaf)])

    def logged(time: datetime) -> Signature:
        found = entry(record(leaf), integratedTime=int(time.timestamp()))
        return signature(found, **{cosign.CERTIFICATE: leaf.decode()})

    assert cosign.verify(logged(start + timedelta(days=1)), subject(), asked).ok
    with pytest.raises(Untrusted, match="valid from"):
        cosign.verify(logged(start + timedelta(days=11)), subject(), asked)


def row(found: str, **more: Any) -> dict[str, Any]:
    """An entry as a bundle has it: numbers as texts, the log's ID as bytes."""
    said = json.loads(found)
    payload = said["Payload"]
    return {
        "logIndex": str(payload["logIndex"]),
        "logId": {"keyId": text(bytes.fromhex(payload["logID"]))},
        "integratedTime": str(payload["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": said["SignedEntryTimestamp"]},
        "canonicalizedBody": payload["body"],
        **more,
    }


MANIFEST_RAW = SIGNER.sign_bytes(MANIFEST)
STATED = envelope(statement(predicateType=cosign.SIGN), SIGNER)
STATED_RAW = base64.b64decode(STATED["signatures"][0]["sig"])


def of_envelope(raw: bytes = STATED_RAW, payload: bytes = base64.b64decode(STATED["payload"])) -> dict[str, Any]:
    """What is logged of an envelope."""
    spec = {
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": text(raw), "verifier": text(public_pem(SIGNER))}],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


OF_MANIFEST = record(raw=MANIFEST_RAW, payload=MANIFEST)
BYTES = {"messageSignature": {"signature": text(MANIFEST_RAW)}}
STATEMENT = {"dsseEnvelope": STATED}


@pytest.mark.parametrize(
    "content, entries",
    [
        pytest.param(BYTES, [row(entry(OF_MANIFEST))], id="bytes"),
        pytest.param(STATEMENT, [row(entry(of_envelope()))], id="a statement"),
        pytest.param(BYTES, [row(entry(OF_MANIFEST, by=OTHER_LOG)), row(entry(OF_MANIFEST))], id="by one of two logs"),
    ],
)
def test_a_bundle_that_was_logged(content: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    found = bundled(content, {"publicKey": {"hint": ""}, "tlogEntries": entries})
    assert cosign.verify_bundle(found, subject(), trusted(SIGNER, logs=LOGS)).ok
    unasked = cosign.verify_bundle(found, subject(), trusted(SIGNER))
    assert (unasked.ok, "the entry of Rekor is not checked" in unasked.reason) == (True, True)


@pytest.mark.parametrize(
    "content, entries, reason",
    [
        pytest.param(BYTES, [], "the bundle has no entry", id="no entry"),
        pytest.param(BYTES, [row(entry(OF_MANIFEST, by=OTHER_LOG))], "not signed by a trusted log", id="another log's"),
        pytest.param(
            BYTES, [row(entry(OF_MANIFEST), logIndex="2")], "not signed by a trusted log", id="changed afterwards"
        ),
        pytest.param(
            BYTES, [row(entry(OF_MANIFEST), integratedTime=1)], "integratedTime: expected", id="a bare number"
        ),
        pytest.param(BYTES, [row(entry(OF_MANIFEST), integratedTime="-1")], "2\\^53", id="a time before 1970"),
        pytest.param(BYTES, [row(entry(OF_MANIFEST), inclusionPromise={})], "signedEntryTimestamp", id="no promise"),
        pytest.param(BYTES, [row(entry())], "another payload", id="another signature's"),
        pytest.param(BYTES, [row(entry(of_envelope()))], 'kind "dsse"', id="an envelope's"),
        pytest.param(STATEMENT, [row(entry(OF_MANIFEST))], 'kind "hashedrekord"', id="not an envelope's"),
        pytest.param(STATEMENT, [row(entry(of_envelope(payload=b"x")))], "another payload", id="another envelope's"),
        pytest.param(STATEMENT, [row(entry(of_envelope(raw=b"x")))], "another signature", id="another signer's"),
    ],
)
def test_a_bundle_that_was_not(content: dict[str, Any], entries: list[dict[str, Any]], reason: str) -> None:
    found = bundled(content, {"publicKey": {"hint": ""}, "tlogEntries": entries})
    with pytest.raises((Untrusted, Invalid), match=reason):
        cosign.verify_bundle(found, subject(), trusted(SIGNER, logs=LOGS))
