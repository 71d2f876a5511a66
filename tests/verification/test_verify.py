"""Everything required must hold: a good signature by each key, over these bytes, for this name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.errors import ConverterError, Invalid, Untrusted, Usage
from converter.model import media_types as types
from converter.model.image import Attachment
from converter.model.reference import Location
from converter.signing import Signing, sign
from converter.stores import open_sink, open_source
from converter.trust.makers import GpgFile
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders.disk import NAME, aci, directory, layout
from tests.trust.making import NOW, ecdsa, openpgp, public_pem
from tests.trust.test_dsse import envelope
from tests.trust.test_libtrust import signed as schema1

KEY, OTHER_KEY = ("--key k", public_pem(ecdsa())), ("--key other", public_pem(ecdsa(1)))
RING = ("keyring r", bytes(openpgp().extract_certificate()))
OTHER_RING = ("--keyring other", bytes(openpgp("other").extract_certificate()))
COSIGN, GPG = ecdsa(), GpgFile(bytes(openpgp()))
LATER = NOW + timedelta(minutes=5)


def wanted(**more: Any) -> Wanted:
    return Wanted(**{"keys": (KEY,), "at": LATER, **more})


@pytest.fixture
def signed(tmp_path: Path) -> str:
    """A layout, signed by both keys."""
    reference = layout(tmp_path / "signed")
    sign(reference, Signing(makers=(COSIGN, GPG)))
    return reference


@pytest.mark.parametrize(
    "asked, ok",
    [
        pytest.param({}, True, id="by the key"),
        pytest.param({"keyrings": (RING,)}, True, id="by the key and the keyring"),
        pytest.param({"keys": (), "keyrings": (RING,)}, True, id="by the keyring"),
        pytest.param({"keys": (OTHER_KEY,)}, False, id="by another key"),
        pytest.param({"keys": (KEY, OTHER_KEY)}, False, id="by two keys, of which one has not"),
        pytest.param({"keyrings": (OTHER_RING,)}, False, id="by another keyring too"),
        pytest.param({"identity": NAME}, True, id="for the name"),
        pytest.param({"identity": "registry.example/app:2"}, False, id="for another tag"),
        pytest.param({"identity": "registry.example/other:1"}, False, id="for another name"),
        pytest.param({"identity": "registry.example/other:1", "map_identity": True}, True, id="for any name"),
        pytest.param({"require": frozenset(("signature",))}, True, id="a signature"),
        pytest.param({"require": frozenset(("attestation",))}, False, id="an attestation"),
        pytest.param({"keys": (), "keyrings": (RING,), "at": NOW - timedelta(days=1)}, False, id="before it was made"),
    ],
)
def test_what_is_asked_for(signed: str, asked: dict[str, Any], ok: bool) -> None:
    report = verify(signed, wanted(**asked))
    assert report.ok is ok, report.unmet
    if not ok:
        with pytest.raises(Untrusted):
            report.require()


def test_the_document_of_json(signed: str) -> None:
    told = verify(signed, wanted()).to_json()
    assert (told["verified"], told["identity"], told["unmet"]) == (True, NAME, [])
    assert [one["kind"] for one in told["signatures"]] == ["cosign", "simple-signing"]
    assert set(told["signatures"][0]) == {
        "kind", "location", "covers", "ok", "signer", "key", "identity", "reason",
    }  # fmt: skip


def test_somebody_has_to_be_trusted(signed: str) -> None:
    with pytest.raises(Usage, match="--key"):
        verify(signed, Wanted())
    with pytest.raises(Usage, match="without a zone"):
        verify(signed, wanted(at=NOW.replace(tzinfo=None)))
    with pytest.raises(Usage, match="--require"):
        verify(signed, wanted(require=frozenset(("luck",))))


def test_an_image_that_nobody_signed(tmp_path: Path) -> None:
    report = verify(layout(tmp_path / "plain"), wanted())
    assert report.unmet == ("not signed: no signature by --key k",)


def test_a_twin_with_another_manifest(tmp_path: Path) -> None:
    reference = directory(tmp_path / "dir")
    sign(reference, Signing(makers=(COSIGN, GPG), identity=NAME))
    asked = wanted(keyrings=(RING,), identity=NAME)
    assert verify(reference, asked).ok
    manifest = tmp_path / "dir/manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    report = verify(reference, asked)
    assert not report.ok
    assert all("signature of another manifest" in one.reason for one in report.verdicts)


def test_a_twin_under_another_name(signed: str, tmp_path: Path) -> None:
    renamed = f"oci:{tmp_path / 'renamed'}"
    converter.convert(signed, f"{renamed}:registry.example/evil:1")
    report = verify(renamed, wanted())
    assert [one.reason for one in report.verdicts if one.key == KEY[0] or not one.ok]
    assert not report.ok


def test_a_stripped_twin(signed: str, tmp_path: Path) -> None:
    converter.convert(signed, f"oci:{tmp_path / 'stripped'}:{NAME}", remove_signatures=True)
    assert not verify(f"oci:{tmp_path / 'stripped'}", wanted()).ok


def attest(reference: str, predicate: str) -> None:
    """Attach an attestation as cosign does."""
    location = Location.parse(reference)
    with open_source(location) as source:
        root = source.resolve("")
    body = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "registry.example/app", "digest": {"sha256": root.digest.encoded}}],
        "predicateType": predicate,
        "predicate": {},
    }
    with open_sink(location) as sink:
        layer = sink.put((json.dumps(envelope(body)).encode(),), "application/vnd.dsse.envelope.v1+json")
        config = sink.put((b"{}",), types.OCI_CONFIG)
        document = {
            "schemaVersion": 2,
            "mediaType": types.OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json()],
        }
        entry = sink.put((json.dumps(document).encode(),), types.OCI_MANIFEST)
        sink.attach(Attachment(subject=root.digest, descriptor=entry, tag=f"sha256-{root.digest.encoded}.att"))


def test_an_attestation_approves_nothing_unless_the_caller_says_so(tmp_path: Path) -> None:
    reference = layout(tmp_path / "attested")
    attest(reference, "https://slsa.dev/provenance/v1")
    report = verify(reference, wanted())
    assert [one.ok for one in report.verdicts] == [True]
    assert report.unmet == ("no signature by --key k, only attestations (--require attestation accepts them)",)
    assert verify(reference, wanted(require=frozenset(("attestation",)))).ok
    assert not verify(reference, wanted(require=frozenset(("attestation", "signature")))).ok


def test_the_name_of_an_aci_is_within_and_its_version(tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    sign(reference, Signing(makers=(GPG,)))
    asked = wanted(keys=(), keyrings=(RING,))
    name = verify(reference, asked).identity
    assert verify(reference, replace(asked, identity=name)).ok
    assert verify(reference, replace(asked, identity=f"{name}:1")).ok
    assert not verify(reference, replace(asked, identity=f"{name}:2")).ok
    assert not verify(reference, replace(asked, identity="other.example/app")).ok
    assert verify(reference, replace(asked, identity="other.example/app", map_identity=True)).ok


@pytest.mark.parametrize(
    "identity, ok",
    [
        pytest.param("localhost:5000/app:1", True, id="as in the registry"),
        pytest.param("localhost:5000/app", True, id="without a tag"),
        pytest.param("localhost_5000/app:1", True, id="as in the ACI"),
        pytest.param("localhost:5000/app:2", False, id="another tag"),
        pytest.param("localhost:5001/app:1", False, id="another port"),
        pytest.param("localhost:5000/app@sha256:" + "0" * 64, False, id="a digest, which no ACI has"),
        pytest.param("localhost:5000/App", False, id="no name"),
    ],
)
def test_an_aci_of_an_image_from_a_registry_with_a_port(identity: str, ok: bool, tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci", "localhost:5000/app:1")
    sign(reference, Signing(makers=(GPG,)))
    assert verify(reference, wanted(keys=(), keyrings=(RING,), identity=identity)).ok is ok


@pytest.mark.parametrize(
    "prefix, ok",
    [
        pytest.param("root.d", True, id="a key for everything"),
        pytest.param("prefix.d/{name}", True, id="a key for the name"),
        pytest.param("prefix.d/other.example", False, id="a key for other names"),
    ],
)
def test_rkts_keys(prefix: str, ok: bool, tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    sign(reference, Signing(makers=(GPG,)))
    certificate = openpgp().extract_certificate()
    name = verify(reference, wanted(keys=(), keyrings=(RING,))).identity
    files = {f"{prefix.format(name=name)}/{certificate.fingerprint}": str(certificate).encode()}
    report = verify(reference, wanted(keys=(), trust_stores=(("--trust-store d", files),)))
    assert report.ok is ok


def policy(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"default": [{"type": "reject"}], "transports": {"oci": {"": list(rows)}}}).encode()


EXACT = {"signedIdentity": {"type": "exactReference", "dockerReference": NAME}}
SIGNED_BY = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/ring", **EXACT}
SIGSTORE = {"type": "sigstoreSigned", "keyPath": "/key", **EXACT}
FILES = {"/ring": RING[1], "/key": KEY[1], "/other": OTHER_KEY[1], "/others": OTHER_RING[1], "/empty": b""}


@pytest.mark.parametrize(
    "rows, ok",
    [
        pytest.param([{"type": "insecureAcceptAnything"}], True, id="anything"),
        pytest.param([{"type": "reject"}], False, id="nothing"),
        pytest.param([SIGNED_BY], True, id="signed by"),
        pytest.param([SIGSTORE], True, id="sigstore"),
        pytest.param([SIGNED_BY, SIGSTORE], True, id="both"),
        pytest.param([SIGNED_BY, {"type": "reject"}], False, id="signed and rejected"),
        pytest.param([{**SIGNED_BY, "keyPath": "/others"}], False, id="by others"),
        pytest.param([{**SIGNED_BY, "keyPath": "/empty"}], False, id="by a keyring without keys"),
        pytest.param([{**SIGSTORE, "keyPath": "/other"}], False, id="by another key"),
        pytest.param(
            [{**SIGNED_BY, "signedIdentity": {"type": "exactReference", "dockerReference": "h.io/x:1"}}],
            False,
            id="for another name",
        ),
        pytest.param([{**SIGNED_BY, "signedIdentity": {"type": "matchExact"}}], True, id="for the layout's own name"),
        pytest.param([{**SIGSTORE, "rekorPublicKeyPath": "/other"}], False, id="and logged, which it is not"),
        pytest.param([{**SIGNED_BY, "keyType": "signedByGPGKeys"}], False, id="by keys that the keys have signed"),
        pytest.param([{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}], False, id="a base"),
    ],
)
def test_a_policy(signed: str, rows: list[dict[str, Any]], ok: bool) -> None:
    report = verify(signed, wanted(keys=(), policy=policy(*rows), read=FILES.__getitem__))
    assert report.ok is ok, report.unmet


@pytest.mark.parametrize(
    "transport, path",
    [
        pytest.param("oci", "layout", id="a layout"),
        pytest.param("oci-archive", "layout.tar", id="an archive of a layout"),
        pytest.param("dir", "dir", id="a directory of skopeo's"),
        pytest.param("docker-archive", "saved.tar", id="an archive of docker save"),
        pytest.param("aci", "app.aci", id="an ACI"),
    ],
)
def test_a_policy_applies_to_a_bare_path_as_to_its_transport(transport: str, path: str, tmp_path: Path) -> None:
    image = layout(tmp_path / "made")
    converter.convert(image, f"{transport}:{tmp_path / path}")
    reject, accept = [{"type": "reject"}], [{"type": "insecureAcceptAnything"}]
    for own, others in ((reject, accept), (accept, reject)):
        rules = json.dumps({"default": others, "transports": {transport: {"": own}}}).encode()
        asked = wanted(keys=(), policy=rules)
        assert verify(str(tmp_path / path), asked).ok is (own == accept)
        convert = partial(converter.convert, str(tmp_path / path), f"oci:{tmp_path / own[0]['type']}", wanted=asked)
        if own == accept:
            convert()
        else:
            with pytest.raises(Untrusted):
                convert()


@pytest.mark.parametrize(
    "scopes, applied",
    [
        pytest.param({}, "default: no scope for {}", id="the default"),
        pytest.param({"aci": {"": [{"type": "reject"}]}}, 'scope "" of aci', id="the empty scope"),
    ],
)
def test_who_is_rejected_reads_which_scope_applied(scopes: dict[str, Any], applied: str, tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    rules = json.dumps({"default": [{"type": "reject"}], "transports": scopes}).encode()
    (fact,) = verify(reference, wanted(keys=(), policy=rules)).unmet
    assert fact == f"the policy's requirement[0] (reject) rejects the image ({applied.format(reference)})"


def test_the_policy_for_acis_in_the_docs_accepts_an_aci_made_from_what_a_vendor_signed(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/signatures.md").read_text()
    (rules,) = (one for one in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if '"transports"' in one)
    image = layout(tmp_path / "made")
    asked = wanted(keys=(), policy=rules.encode(), read={"/etc/vendor/cosign.pub": KEY[1]}.__getitem__)
    converter.convert(image, f"aci:{tmp_path}/unsigned.aci")
    assert not verify(f"aci:{tmp_path}/unsigned.aci", asked).ok
    sign(image, Signing(makers=(COSIGN,), identity=NAME))
    converter.convert(image, f"aci:{tmp_path}/signed.aci")
    assert verify(f"aci:{tmp_path}/signed.aci", asked).ok
    assert not verify(image, asked).ok


def test_a_policy_that_takes_anything_is_not_all_that_was_asked(signed: str, tmp_path: Path) -> None:
    anything = policy({"type": "insecureAcceptAnything"})
    asked = wanted(keys=(), policy=anything, require=frozenset(("signature",)))
    assert verify(layout(tmp_path / "plain"), asked).unmet == ("no valid signature (--require signature)",)
    good = policy(SIGNED_BY)
    assert verify(signed, replace(asked, policy=good, read=FILES.__getitem__)).ok


def test_no_policy_mends_a_manifest_that_its_own_signature_disowns(tmp_path: Path) -> None:
    tampered = schema1(ecdsa()).replace(b"library/app", b"library/bpp")
    for data, good in ((schema1(ecdsa()), True), (tampered, False)):
        (tmp_path / "manifest.json").write_bytes(data)
        anything = b'{"default":[{"type":"insecureAcceptAnything"}]}'
        report = verify(f"dir:{tmp_path}", wanted(keys=(), policy=anything))
        assert any("signature within the manifest does not match" in fact for fact in report.unmet) is not good


def test_an_invalid_policy_stops_everything(signed: str) -> None:
    with pytest.raises(Invalid):
        verify(signed, wanted(policy=b'{"default":[{"type":"reject"}],"x":1}'))


def test_a_conversion_asks_first(signed: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(Untrusted):
        converter.convert(signed, f"oci:{out}", wanted=wanted(keys=(OTHER_KEY,)))
    assert not out.exists()
    converter.convert(signed, f"oci:{out}", wanted=wanted())
    assert verify(f"oci:{out}", wanted()).ok


def test_a_key_that_is_none(signed: str) -> None:
    with pytest.raises(ConverterError):
        verify(signed, wanted(keys=(("--key x", b"text"),)))
