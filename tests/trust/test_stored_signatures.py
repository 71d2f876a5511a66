"""Signatures are found by their content, wherever they are stored."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pysequoia import SignatureMode, sign

from converter.errors import LimitExceeded
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment
from converter.trust import cosign, notation, stored_signatures
from converter.trust.identity import ATOMIC
from converter.trust.signature import Signature
from converter.trust.verify_signatures import SIGNATURE_KINDS, verify_signatures
from tests.builders.memory import MemorySource, MemoryStore
from tests.trust.making import MANIFEST, NOW, claim, ecdsa, keyring, openpgp, subject, trusted
from tests.trust.test_content_trust import targets
from tests.trust.test_dsse import SLSA, bundled, envelope, message, statement

ROOT = subject().descriptor
HEX = ROOT.digest.encoded
SIMPLE = sign(openpgp().signer(), claim().render(ATOMIC, "test", 1), armor=False)
DETACHED = sign(openpgp().signer(), MANIFEST, mode=SignatureMode.DETACHED)
SIGN_BUNDLE = bundled({"dsseEnvelope": envelope(statement(predicateType=cosign.SIGN))}).data
SLSA_BUNDLE = bundled({"dsseEnvelope": envelope(statement(predicateType=SLSA))}).data
MESSAGE_BUNDLE = bundled(message(MANIFEST)).data
BUNDLE = f"{cosign.BUNDLE}.v0.3+json"
SIGSTORE = ecdsa().sign(claim(), 1).to_file()


def kinds_in_the_schema() -> list[str]:
    schema = json.loads(Path(__file__).parents[2].joinpath("schemas/image.json").read_text())
    return list(schema["$defs"]["signature"]["properties"]["kind"]["enum"])


def test_the_schema_names_every_kind() -> None:
    assert {*kinds_in_the_schema()} == {*SIGNATURE_KINDS}


def found(data: bytes, media_type: str, tag: str = "", *, in_manifest: bool = True) -> list[tuple[str, str]]:
    store = MemoryStore()
    entry = store.add(data, media_type)
    if in_manifest:
        body = {"schemaVersion": 2, "layers": [entry.to_json()]}
        entry = store.add(json.dumps(body).encode(), types.OCI_MANIFEST)
    attachment = Attachment(subject=ROOT.digest, descriptor=entry, tag=tag)
    signatures = stored_signatures.find_signatures([attachment], MemorySource(store).fetch, MANIFEST, ROOT)
    assert all(one.covers == str(ROOT.digest) for one in signatures)
    return [(one.kind, one.location) for one in signatures]


@pytest.mark.parametrize(
    "data, media_type, tag, kind",
    [
        pytest.param(b"{}", cosign.PAYLOAD, f"sha256-{HEX}.sig", "cosign", id="cosign's tag"),
        pytest.param(
            json.dumps(envelope({})).encode(), cosign.ENVELOPE, f"sha256-{HEX}.att", "attestation", id="attested"
        ),
        pytest.param(SIGN_BUNDLE, BUNDLE, f"sha256-{HEX}", "cosign-bundle", id="a bundle that signs"),
        pytest.param(MESSAGE_BUNDLE, BUNDLE, f"sha256-{HEX}", "cosign-bundle", id="a bundle over bytes"),
        pytest.param(SLSA_BUNDLE, BUNDLE, f"sha256-{HEX}", "attestation", id="a bundle that attests"),
        pytest.param(b"broken", BUNDLE, "x", "attestation", id="a bundle that cannot be read approves nothing"),
        pytest.param(b"{}", notation.JWS, "x", "notation", id="notation's JWS"),
        pytest.param(b"", notation.COSE, "x", "notation", id="notation's COSE"),
        pytest.param(SIMPLE, types.DIR_SIGNATURE, "x", "simple-signing", id="a simple signature in an artifact"),
    ],
)
def test_what_lies_in_a_manifest(data: bytes, media_type: str, tag: str, kind: str) -> None:
    assert found(data, media_type, tag) == [(kind, tag)]


@pytest.mark.parametrize(
    "data, media_type, expected",
    [
        pytest.param(SIMPLE, types.DIR_SIGNATURE, [("simple-signing", "signature-1")], id="a simple signature"),
        pytest.param(
            stored_signatures.SIMPLE_FILE + SIMPLE,
            types.DIR_SIGNATURE,
            [("simple-signing", "signature-1")],
            id="a simple signature that says so",
        ),
        pytest.param(b"\0other\n" + SIMPLE, types.DIR_SIGNATURE, [], id="a format that nobody knows"),
        pytest.param(SIGSTORE, types.DIR_SIGNATURE, [("cosign", "signature-1")], id="cosign's, wrapped by skopeo"),
        pytest.param(b"\0sigstore-json\n{", types.DIR_SIGNATURE, [("cosign", "signature-1")], id="a broken wrapping"),
        pytest.param(DETACHED, types.PGP_SIGNATURE, [("openpgp", ".asc beside the file")], id="beside an ACI"),
        pytest.param(targets(), "application/json", [("content-trust", "targets")], id="content trust"),
        pytest.param(b"text", "text/plain", [], id="anything else"),
    ],
)
def test_what_lies_as_a_file(data: bytes, media_type: str, expected: list[tuple[str, str]]) -> None:
    tag = "targets" if expected and expected[0][0] == "content-trust" else ""
    assert found(data, media_type, tag, in_manifest=False) == expected


@pytest.mark.parametrize("kind", kinds_in_the_schema())
def test_every_kind_that_the_schema_names_gets_a_verdict(kind: str) -> None:
    (verdict,) = verify_signatures([Signature(kind=kind, location="", covers="", data=b"")], subject(), trusted())
    assert not verdict.ok


def test_a_list_of_parts_is_no_signature() -> None:
    assert found(b"{}", "text/spdx", f"sha256-{HEX}.sbom") == []
    assert found(b"{}", "text/spdx", "") == []


def test_the_index_of_referrers_is_looked_into() -> None:
    store = MemoryStore()
    layer = store.add(b"{}", notation.JWS)
    manifest = store.add(json.dumps({"layers": [layer.to_json()]}).encode(), types.OCI_MANIFEST)
    index = store.add(json.dumps({"manifests": [manifest.to_json()] * 2}).encode(), types.OCI_INDEX)
    attachment = Attachment(subject=ROOT.digest, descriptor=index, tag=f"sha256-{HEX}")
    signatures = stored_signatures.find_signatures([attachment], MemorySource(store).fetch, MANIFEST, ROOT)
    assert [one.kind for one in signatures] == ["notation", "notation"]


@pytest.mark.parametrize(
    "data, times, limit",
    [
        pytest.param(b"{}", 600, "signatures", id="by their number"),
        pytest.param(b" " * 4_000_000, 12, "evidence", id="by their size"),
    ],
)
def test_a_flood_of_signatures_is_refused(data: bytes, times: int, limit: str) -> None:
    store = MemoryStore()
    layer: dict[str, Any] = store.add(data, notation.JWS).to_json()
    body = json.dumps({"layers": [layer] * times}).encode()
    entry = store.add(body, types.OCI_MANIFEST)
    twice = [Attachment(subject=ROOT.digest, descriptor=entry, tag=tag) for tag in "ab"]
    with pytest.raises(LimitExceeded, match=f"limit: {limit}"):
        stored_signatures.find_signatures(twice, MemorySource(store).fetch, MANIFEST, ROOT)


def test_a_manifest_of_schema_1_has_few_signatures() -> None:
    data = json.dumps({"schemaVersion": 1, "signatures": [{}] * 65}).encode()
    with pytest.raises(LimitExceeded, match="limit: signers"):
        list(stored_signatures.embedded_signatures(data, Descriptor.of(data, types.DOCKER_SCHEMA1_SIGNED)))


def test_a_manifest_of_schema_1_without_signatures() -> None:
    root = Descriptor.of(b"{}", types.DOCKER_SCHEMA1_SIGNED)
    assert list(stored_signatures.embedded_signatures(b"{}", root)) == []
    assert list(stored_signatures.embedded_signatures(b"{", root)) == []


@pytest.mark.parametrize(
    "tag, listed",
    [
        pytest.param(f"sha256-{HEX}.sig", ["cosign"], id="where signatures lie"),
        pytest.param(f"sha256-{HEX}.att", ["attestation"], id="where attestations lie"),
        pytest.param("", [], id="anywhere"),
    ],
)
@pytest.mark.parametrize("data", [b"{", b'{"layers":[{}]}', b'{"layers":{},"layers":{}}', b'{"layers":1}'])
def test_what_is_broken_stands_in_nobodys_way(data: bytes, tag: str, listed: list[str]) -> None:
    store = MemoryStore()
    broken = Attachment(subject=ROOT.digest, descriptor=store.add(data, types.OCI_MANIFEST), tag=tag)
    good = Attachment(subject=ROOT.digest, descriptor=store.add(SIMPLE, types.DIR_SIGNATURE))
    found = stored_signatures.find_signatures([broken, good], MemorySource(store).fetch, MANIFEST, ROOT)
    assert [one.kind for one in found] == [*listed, "simple-signing"]
    verdicts = verify_signatures(
        found, subject(), trusted(ecdsa(), keyrings=[keyring(openpgp())], at=NOW + timedelta(minutes=5))
    )
    assert [one.ok for one in verdicts] == [False] * len(listed) + [True]
