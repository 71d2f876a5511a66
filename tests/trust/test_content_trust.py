"""Docker Content Trust: a root signed by a trusted key, targets signed as the root says, a tag in them."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from converter.errors import ConverterError
from converter.model.reference import TITLE
from converter.trust import content_trust
from converter.trust.makers import CosignKey
from converter.trust.signature import CONTENT_TRUST, Signature
from converter.trust.verify_signatures import check_one
from tests.trust.making import MANIFEST, NOW, certificate, ecdsa, pem, subject, trusted

ROOT, TARGETS = ecdsa(200), ecdsa(201)
LATER = (NOW + timedelta(days=1)).isoformat()


def entry(key: CosignKey, kind: str = "ecdsa") -> tuple[str, dict[str, Any]]:
    public = pem(certificate("repo", key)) if kind == "ecdsa-x509" else key.public.der
    row = {"keytype": kind, "keyval": {"private": None, "public": base64.b64encode(public).decode()}}
    return hashlib.sha256(content_trust.canonical_json(row).encode()).hexdigest(), row


ROOT_ENTRY, TARGETS_ENTRY = entry(ROOT, "ecdsa-x509"), entry(TARGETS)
SAME_KEY = entry(TARGETS, "ecdsa-x509")
"""The key for targets under another ID."""


def document(body: dict[str, Any], *keys: CosignKey) -> bytes:
    rows = []
    for key in keys:
        r, s = decode_dss_signature(key.sign_bytes(content_trust.canonical_json(body).encode()))
        raw = r.to_bytes(32) + s.to_bytes(32)
        rows.append({"keyid": "", "method": "ecdsa", "sig": base64.b64encode(raw).decode()})
    return json.dumps({"signed": body, "signatures": rows}).encode()


def root(*keys: CosignKey, expires: str = LATER, threshold: int = 1, **more: Any) -> bytes:
    roles = {
        "root": {"keyids": [ROOT_ENTRY[0]], "threshold": 1},
        "targets": {"keyids": [TARGETS_ENTRY[0]], "threshold": threshold},
    }
    body = {
        "_type": "Root",
        "expires": expires,
        "keys": dict([ROOT_ENTRY, TARGETS_ENTRY]),
        "roles": roles,
        "version": 1,
    }
    return document({**body, **more}, *(keys or (ROOT,)))


def with_one_key_twice() -> bytes:
    """A root that wants two signatures of targets, and has one key under two IDs."""
    one = {"keyids": [ROOT_ENTRY[0]], "threshold": 1}
    two = {"keyids": [TARGETS_ENTRY[0], SAME_KEY[0]], "threshold": 2}
    return root(keys=dict([ROOT_ENTRY, TARGETS_ENTRY, SAME_KEY]), roles={"root": one, "targets": two})


def targets(*keys: CosignKey, manifest: bytes = MANIFEST, expires: str = LATER, tag: str = "1", **more: Any) -> bytes:
    hashes = {name: base64.b64encode(hashlib.new(name, manifest).digest()).decode() for name in ("sha256", "sha512")}
    row = {"hashes": {**hashes, **more}, "length": len(manifest)}
    body = {"_type": "Targets", "expires": expires, "targets": {tag: row}, "version": 1}
    return document(body, *(keys or (TARGETS,)))


def about(data: bytes, root_data: bytes = root()) -> Signature:
    name = "targets.json"
    files = {name: data, "root.json": root_data}
    told = {TITLE: name}
    return Signature(kind=CONTENT_TRUST, location=name, covers="", data=data, annotations=told, files=files)


def test_a_tag_that_is_signed() -> None:
    verdict = content_trust.verify(about(targets()), subject(), trusted(ROOT))
    assert (verdict.ok, verdict.identity, verdict.key) == (True, ":1", "--key 0")


@pytest.mark.parametrize(
    "root_data, targets_data, reason",
    [
        pytest.param(root(ecdsa(1)), targets(), "root has 0 good signatures", id="a root that nobody signed"),
        pytest.param(root(), targets(ecdsa(1)), "targets has 0 good signatures", id="targets by another key"),
        pytest.param(root(), targets(ROOT), "targets has 0 good signatures", id="targets by the root's key"),
        pytest.param(root(threshold=2), targets(), "at least 2 are required", id="too few signatures"),
        pytest.param(root(threshold=2), targets(TARGETS, TARGETS), "at least 2 are required", id="one signature twice"),
        pytest.param(with_one_key_twice(), targets(TARGETS, TARGETS), "targets has 1 good", id="one key under two IDs"),
        pytest.param(root(threshold=0), targets(ROOT), "at least 1 are required", id="none, where none is wanted"),
        pytest.param(root(threshold=-1), targets(ROOT), "at least 1 are required", id="none, where fewer are wanted"),
        pytest.param(root(), targets(manifest=b"{}"), "another manifest", id="another manifest"),
        pytest.param(root(), targets(sha512="AAAA"), "another manifest", id="digests that do not agree"),
        pytest.param(root(), targets(tag="2"), 'tag "1" is not among', id="another tag"),
        pytest.param(root(expires=NOW.isoformat()), targets(), "expired", id="a root that expired"),
        pytest.param(root(), targets(expires=NOW.isoformat()), "expired", id="targets that expired"),
        pytest.param(root(), targets(expires="soon"), "with its zone", id="a time that is none"),
        pytest.param(root(_type="Targets"), targets(), "of type", id="another document for the root"),
        pytest.param(root(), root(TARGETS), "of type", id="another document for targets"),
        pytest.param(
            root(keys={"0" * 64: ROOT_ENTRY[1]}, roles={"root": {"keyids": ["0" * 64], "threshold": 1}}),
            targets(),
            "the hash of its key",
            id="a key under another's name",
        ),
        pytest.param(b'{"signed":{},"signed":{}}', targets(), "duplicate key", id="a member that stands twice"),
        pytest.param(b"", targets(), "the document is empty", id="no root"),
    ],
)
def test_a_tag_that_is_not(root_data: bytes, targets_data: bytes, reason: str) -> None:
    with pytest.raises(ConverterError, match=reason):
        content_trust.verify(about(targets_data, root_data), subject(), trusted(ROOT))


DELEGATE = ecdsa(202)


def delegating(name: str = "targets/releases", path: str = "") -> bytes:
    entry_of = entry(DELEGATE)
    roles = [{"name": name, "keyids": [entry_of[0]], "threshold": 1, "paths": [path]}]
    body = {
        "_type": "Targets",
        "expires": LATER,
        "targets": {},
        "delegations": {"keys": dict([entry_of]), "roles": roles},
        "version": 1,
    }
    return document(body, TARGETS)


@pytest.mark.parametrize(
    "above, data, good",
    [
        pytest.param(delegating(), targets(DELEGATE), True, id="a delegate"),
        pytest.param(delegating(), targets(), False, id="the delegate's document by another key"),
        pytest.param(delegating("targets/other"), targets(DELEGATE), False, id="another delegate"),
        pytest.param(delegating(path="2"), targets(DELEGATE), False, id="a delegate for other tags"),
        pytest.param(targets(DELEGATE), targets(DELEGATE), False, id="a delegate by nobody's word"),
        pytest.param(b"", targets(DELEGATE), False, id="no targets above"),
    ],
)
def test_others_may_be_given_the_word(above: bytes, data: bytes, good: bool) -> None:
    files = {"root.json": root(), "targets.json": above, "targets/releases.json": data}
    found = content_trust.stored_targets(files, "")
    (one,) = (each for each in found if each.location == "targets/releases.json")
    (verdict,) = check_one(one, subject(), trusted(ROOT))
    assert verdict.ok is good


def test_the_root_needs_a_key_one_knows() -> None:
    with pytest.raises(ConverterError, match="--key"):
        content_trust.verify(about(targets()), subject(), trusted(TARGETS))


def test_an_image_without_a_tag() -> None:
    with pytest.raises(ConverterError, match="--identity"):
        content_trust.verify(about(targets()), subject(name=None), trusted(ROOT))


@pytest.mark.parametrize(
    "value, text",
    [
        pytest.param({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}', id="sorted"),
        pytest.param('"\\\n\u00e9', '"\\"\\\\\n\u00e9"'.encode(), id="two escapes and no more"),
    ],
)
def test_the_canonical_form(value: Any, text: bytes) -> None:
    assert content_trust.canonical_json(value).encode() == text


def test_a_fraction_has_no_canonical_form() -> None:
    with pytest.raises(ConverterError):
        content_trust.canonical_json(1.5)


def test_what_documents_look_like() -> None:
    assert content_trust.is_targets(targets())
    assert not content_trust.is_targets(root())
    assert not content_trust.is_targets(b"{}")
