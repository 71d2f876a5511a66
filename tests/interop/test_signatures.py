"""Signatures and the common tools for them: each side accepts what the other makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.trust.makers import CosignKey
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.interop.images import Layout
from tests.interop.notary import ROLES, notary_server, root_certificate
from tests.interop.processes import Registry
from tests.interop.signers import LOCAL, Cosign, Gpg, transship
from tests.interop.tools import need, run
from tests.trust.making import Chain, pem

PAST = "20200101T000000!"
"""The mark stops the clock: with a clock that goes on, a key made slowly is from the future to the next command."""


@pytest.fixture(scope="module")
def signer(gpg: Gpg) -> str:
    """The fingerprint of a key that signs."""
    return gpg.key("signer")


class Pushed:
    """An image in the registry."""

    def __init__(self, registry: Registry, name: str, image: Layout) -> None:
        self.name = f"{registry.host}/{name}"
        self.reference = f"docker://{self.name}:1"
        run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", image.reference, self.reference)
        told = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", self.reference)
        self.by_digest = f"{self.name}@{told.strip()}"

    def verify(self, *arguments: str | Path, status: int = 0) -> dict[str, Any]:
        """What transship says of it."""
        said = transship("verify", self.reference, "--tls-verify=false", "--json", *arguments, status=status)
        told: dict[str, Any] = json.loads(said)
        return told


@pytest.fixture
def pushed(registry: Registry, small_oci: Layout, request: pytest.FixtureRequest) -> Pushed:
    """A repository of the test's own, with one image."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower()).strip("-")
    return Pushed(registry, name.replace("--", "-"), small_oci)


# -------------------------------------------------------------------------------------------------------------- cosign
def test_cosign_accepts_what_we_sign(pushed: Pushed, cosign: Cosign, tmp_path: Path) -> None:
    cosign.verify(pushed.by_digest, status=10)
    transship("sign", pushed.reference, "--tls-verify=false", "--cosign-key", cosign.secret, env=cosign.environment)
    (claim,) = json.loads(cosign.verify(pushed.by_digest))
    assert claim["critical"]["identity"]["docker-reference"] == f"{pushed.name}:1"
    assert pushed.verify("--key", cosign.public)["verified"]


def test_we_accept_what_cosign_signs(pushed: Pushed, cosign: Cosign) -> None:
    cosign.sign(pushed.by_digest)
    told = pushed.verify("--key", cosign.public)
    assert [one["kind"] for one in told["signatures"]] == ["cosign"]
    assert told["signatures"][0]["reason"] == "the name without a tag is signed"
    assert not pushed.verify("--key", cosign.public, "--identity", f"{pushed.name}-other:1", status=1)["verified"]


def test_both_signatures_stay(pushed: Pushed, cosign: Cosign) -> None:
    cosign.sign(pushed.by_digest)
    transship("sign", pushed.reference, "--tls-verify=false", "--cosign-key", cosign.secret, env=cosign.environment)
    transship("sign", pushed.reference, "--tls-verify=false", "--cosign-key", cosign.secret, env=cosign.environment)
    assert len(json.loads(cosign.verify(pushed.by_digest))) == 3
    assert [one["ok"] for one in pushed.verify("--key", cosign.public)["signatures"]] == [True] * 3


def test_what_cosign_saves_is_signed_there_too(pushed: Pushed, cosign: Cosign, tmp_path: Path) -> None:
    cosign.sign(pushed.by_digest)
    cosign.run("save", "--dir", tmp_path / "saved", *LOCAL, pushed.by_digest)
    saved, back = f"oci:{tmp_path / 'saved'}", f"{pushed.name}-back"
    transship("verify", saved, "--key", cosign.public, "--identity", f"{pushed.name}:1")
    transship("convert", saved, f"docker://{back}:1", "--tls-verify=false")
    cosign.verify(pushed.by_digest.replace(pushed.name, back))


def test_cosign_by_referrers(pushed: Pushed, cosign: Cosign) -> None:
    cosign.sign(pushed.by_digest, "--registry-referrers-mode=oci-1-1", experimental=True)
    assert [one["kind"] for one in pushed.verify("--key", cosign.public)["signatures"]] == ["cosign"]


@pytest.mark.parametrize(
    "options", [pytest.param((), id="a tag"), pytest.param(("--new-bundle-format",), id="a bundle")]
)
def test_what_cosign_attests(options: tuple[str, ...], pushed: Pushed, cosign: Cosign, tmp_path: Path) -> None:
    predicate = tmp_path / "predicate.json"
    predicate.write_text('{"checked": true}')
    arguments = ("--key", cosign.secret, "--tlog-upload=false", "--yes", *LOCAL, "--predicate", predicate)
    cosign.run("attest", *arguments, *options, pushed.by_digest, experimental=True)
    told = pushed.verify("--key", cosign.public, "--require", "attestation")
    assert [one["kind"] for one in told["signatures"]] == ["attestation"]
    assert not pushed.verify("--key", cosign.public, status=1)["verified"], "to attest is not to sign"


def test_a_signature_of_cosigns_by_certificate(pushed: Pushed, cosign: Cosign, tmp_path: Path) -> None:
    secret = CosignKey.load(cosign.secret.read_bytes(), cosign.environment["COSIGN_PASSWORD"].encode())
    chain = Chain(secret, email="me@example.org")
    leaf, others, root = tmp_path / "leaf.pem", tmp_path / "chain.pem", tmp_path / "root.pem"
    leaf.write_bytes(pem(chain.leaf))
    others.write_bytes(pem(chain.middle, chain.root))
    root.write_bytes(pem(chain.root))
    cosign.sign(pushed.by_digest, "--certificate", str(leaf), "--certificate-chain", str(others))
    told = pushed.verify("--certificate-chain", root)
    assert told["signatures"][0]["signer"] == "me@example.org"
    assert pushed.verify("--certificate-chain", root, "--certificate-identity", "me@example.org")["verified"]
    for wrong in (("--at", "2020-01-01"), ("--certificate-identity", "you@example.org")):
        assert not pushed.verify("--certificate-chain", root, *wrong, status=1)["verified"]


def test_cosigns_signatures_survive_a_copy(pushed: Pushed, cosign: Cosign, tmp_path: Path) -> None:
    cosign.sign(pushed.by_digest)
    transship("convert", pushed.reference, f"oci:{tmp_path / 'out'}:{pushed.name}:1", "--src-tls-verify=false")
    back = f"docker://{pushed.name}-back:1"
    transship("convert", f"oci:{tmp_path / 'out'}", back, "--dest-tls-verify=false")
    cosign.verify(pushed.by_digest.replace("@", "-back@"))
    arguments = ("--tls-verify=false", "--key", cosign.public)
    transship("verify", back, *arguments, "--identity", f"{pushed.name}:1")
    transship("verify", back, *arguments, status=1)


# -------------------------------------------------------------------------------------------------------------- skopeo
def policy(path: Path, *rows: dict[str, Any]) -> Path:
    """A policy that asks the same of every image."""
    path.write_text(json.dumps({"default": list(rows)}))
    return path


def signed_by(keys: Path, name: str) -> dict[str, Any]:
    """The requirement of a simple signature for an exact name."""
    return {
        "type": "signedBy",
        "keyType": "GPGKeys",
        "keyPath": str(keys),
        "signedIdentity": {"type": "exactReference", "dockerReference": name},
    }


def skopeo(path: Path, source: str, target: Path, *options: str | Path, status: int = 0) -> None:
    """Copy under a policy."""
    shutil.rmtree(target, ignore_errors=True)
    run(
        "skopeo",
        "--policy",
        path,
        *options,
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        source,
        f"dir:{target}",
        status=status,
    )


@pytest.mark.parametrize("by", ["a file", "an ID"])
def test_skopeo_accepts_our_simple_signature(by: str, small_dir: Path, gpg: Gpg, signer: str, tmp_path: Path) -> None:
    image, keys = tmp_path / "image", gpg.export(tmp_path / "keys", signer)
    shutil.copytree(small_dir, image)
    secret = str(gpg.export_secret(tmp_path / "secret", signer)) if by == "a file" else signer
    name = "registry.example/app:1"
    good, bad = signed_by(keys, name), signed_by(keys, "registry.example/app:2")
    skopeo(policy(tmp_path / "p", good), f"dir:{image}", tmp_path / "out", status=1)
    transship("sign", f"dir:{image}", "--gpg-key", secret, "--identity", name, env=gpg.environment)
    skopeo(policy(tmp_path / "p", good), f"dir:{image}", tmp_path / "out")
    skopeo(policy(tmp_path / "p", bad), f"dir:{image}", tmp_path / "out", status=1)
    transship("verify", f"dir:{image}", "--policy", policy(tmp_path / "p", good))
    transship("verify", f"dir:{image}", "--policy", policy(tmp_path / "p", bad), status=1)
    manifest = image / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    skopeo(policy(tmp_path / "p", good), f"dir:{image}", tmp_path / "out", status=1)
    transship("verify", f"dir:{image}", "--policy", policy(tmp_path / "p", good), status=1)


def test_we_accept_what_skopeo_signs(small_oci: Layout, gpg: Gpg, signer: str, tmp_path: Path) -> None:
    image, keys = tmp_path / "image", gpg.export(tmp_path / "keys", signer)
    run(
        *("skopeo", "copy", "--quiet", "--sign-by", signer, "--sign-identity", "registry.example/app:1"),
        *(small_oci.reference, f"dir:{image}"),
        env=gpg.environment,
    )
    arguments = ("verify", f"dir:{image}", "--keyring", keys, "--identity")
    transship(*arguments, "registry.example/app:1")
    transship(*arguments, "registry.example/app:2", status=1)
    transship(*arguments, "registry.example/other:1", status=1)
    transship("verify", f"dir:{image}", "--keyring", keys, status=1)
    converter.convert(f"dir:{image}", f"oci:{tmp_path / 'out'}:registry.example/app:1")
    transship("verify", f"oci:{tmp_path / 'out'}", "--keyring", keys)


def test_skopeo_finds_our_signature_in_a_lookaside(pushed: Pushed, gpg: Gpg, signer: str, tmp_path: Path) -> None:
    keys, side, settings = gpg.export(tmp_path / "keys", signer), tmp_path / "side", tmp_path / "registries.d"
    settings.mkdir()
    (settings / "side.yaml").write_text(f"default-docker:\n  lookaside: file://{side}\n")
    rules = policy(tmp_path / "p", {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(keys)})
    options = ("--registries.d", settings)
    skopeo(rules, pushed.reference, tmp_path / "out", *options, status=1)
    transship(
        *("sign", pushed.reference, "--tls-verify=false", "--gpg-key", signer, "--lookaside", side),
        env=gpg.environment,
    )
    skopeo(rules, pushed.reference, tmp_path / "out", *options)
    transship("verify", pushed.reference, "--tls-verify=false", "--policy", rules, "--lookaside", side)
    run(
        "skopeo",
        "copy",
        "--quiet",
        *("--src-tls-verify=false", "--dest-tls-verify=false"),
        pushed.reference,
        f"docker://{pushed.name}:2",
    )
    renamed = f"docker://{pushed.name}:2"
    skopeo(rules, renamed, tmp_path / "out", *options, status=1)
    transship("verify", renamed, "--tls-verify=false", "--policy", rules, "--lookaside", side, status=1)


def test_skopeo_and_we_exchange_sigstore_signatures(small_dir: Path, cosign: Cosign, tmp_path: Path) -> None:
    image, name = tmp_path / "image", "registry.example/app:1"
    shutil.copytree(small_dir, image)
    rule = {
        "type": "sigstoreSigned",
        "keyPath": str(cosign.public),
        "signedIdentity": {"type": "exactReference", "dockerReference": name},
    }
    transship("sign", f"dir:{image}", "--cosign-key", cosign.secret, "--identity", name, env=cosign.environment)
    skopeo(policy(tmp_path / "p", rule), f"dir:{image}", tmp_path / "out")
    assert (tmp_path / "out/signature-1").is_file()
    password = tmp_path / "password"
    password.write_text(cosign.environment["COSIGN_PASSWORD"])
    theirs = tmp_path / "theirs"
    run(
        *("skopeo", "copy", "--quiet", "--sign-by-sigstore-private-key", cosign.secret, "--sign-passphrase-file"),
        *(password, "--sign-identity", name, f"dir:{small_dir}", f"dir:{theirs}"),
    )
    transship("verify", f"dir:{theirs}", "--policy", policy(tmp_path / "p", rule))
    transship("verify", f"dir:{theirs}", "--key", cosign.public, "--identity", "registry.example/app:2", status=1)


# ------------------------------------------------------------------------------------------------------------ ACI, gpg
@pytest.fixture
def app(small_oci: Layout, tmp_path: Path) -> Path:
    """An ACI that nobody has signed."""
    converter.convert(small_oci.reference, f"aci:{tmp_path / 'app.aci'}")
    return tmp_path / "app.aci"


@pytest.mark.parametrize("algorithm", ["rsa2048", "nistp384"])
def test_gpg_and_sq_accept_our_signature_of_an_aci(algorithm: str, app: Path, gpg: Gpg, tmp_path: Path) -> None:
    need("sq")
    signer = gpg.key(f"by-{algorithm}", algorithm)
    keys, beside = gpg.export(tmp_path / "keys", signer), tmp_path / "app.aci.asc"
    for secret in (str(gpg.export_secret(tmp_path / "secret", signer)), signer):
        transship("sign", f"aci:{app}", "--gpg-key", secret, env=gpg.environment)
        gpg.run("--verify", beside, app)
        run("sq", "--home", tmp_path / "sq", "verify", "--signer-file", keys, "--signature-file", beside, app)
        transship("verify", f"aci:{app}", "--keyring", keys)
    transship("sign", f"aci:{app}", "--gpg-key", gpg.key(f"second-{algorithm}", algorithm), env=gpg.environment)
    gpg.run("--verify", beside, app)
    with app.open("r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    gpg.run("--verify", beside, app, status=1)
    transship("verify", f"aci:{app}", "--keyring", keys, status=1)


@pytest.mark.parametrize(
    "algorithm", ["rsa2048", "dsa2048", "ed25519", "nistp256", "nistp521", "brainpoolP256r1", "secp256k1"]
)
def test_we_accept_what_gpg_signs(algorithm: str, app: Path, gpg: Gpg, tmp_path: Path) -> None:
    gpg.sign(app, gpg.key(f"k-{algorithm}", algorithm))
    transship("verify", f"aci:{app}", "--keyring", gpg.export(tmp_path / "keys", f"k-{algorithm}"))


def test_a_key_on_a_curve_that_gpg_alone_knows(app: Path, gpg: Gpg, monkeypatch: pytest.MonkeyPatch) -> None:
    name = gpg.key("brainpool", "brainpoolP384r1")
    gpg.sign(app, name)
    keys = gpg.export(app.with_name("keys"), name)
    with app.open("ab") as file:
        file.write(bytes(512))
    refused(app, keys, "does not match this file")
    monkeypatch.setattr("converter.trust.openpgp.gpg_available", lambda: False)
    judged = verify(f"aci:{app}", Wanted(keyrings=(("keys", keys.read_bytes()),)))
    assert "a key on a curve that needs gpg" in judged.unmet[0]


def test_a_signature_of_text_does_not_say_which_line_ends_a_file_has(app: Path, gpg: Gpg, signer: str) -> None:
    """sq, unlike gpg, takes a carriage return for a line feed: such a signature holds for either file."""
    need("sq")
    keys = gpg.export(app.with_name("keys"), signer)
    gpg.sign(app, signer, options=("--textmode",))
    refused(app, keys, "signature of text")
    secret, beside = gpg.export_secret(app.with_name("secret"), signer), app.with_name("app.aci.asc")
    beside.unlink()
    run("sq", "sign", "--signer-file", secret, "--mode", "text", "--signature-file", beside, app)
    refused(app, keys, "signature of text")


def test_one_of_several_signers_will_do(app: Path, gpg: Gpg, signer: str, tmp_path: Path) -> None:
    other = gpg.key("second")
    gpg.sign(app, other, signer)
    for name in (signer, other):
        told = transship("verify", f"aci:{app}", "--json", "--keyring", gpg.export(tmp_path / "keys", name))
        assert sorted(one["ok"] for one in json.loads(told)["signatures"]) == [False, True]


def refused(app: Path, keys: Path, fact: str, *options: str) -> None:
    """Verification says no, with that reason."""
    told = json.loads(transship("verify", f"aci:{app}", "--json", "--keyring", keys, *options, status=1))
    assert any(fact in one["reason"] for one in told["signatures"]), told


def test_a_key_that_has_expired(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    name = gpg.key("expired", expire="1y", at=PAST)
    gpg.sign(app, name, options=("--faked-system-time", "20200601T000000!"))
    keys = gpg.export(tmp_path / "keys", name)
    refused(app, keys, "expired at")
    transship("verify", f"aci:{app}", "--keyring", keys, "--at", "2020-07-01T00:00:00Z")
    refused(app, keys, "made at", "--at", "2020-05-01T00:00:00Z")


def test_a_signature_that_is_still_to_be_made(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    name = gpg.key("future", at="20500101T000000")
    gpg.sign(app, name, options=("--faked-system-time", "20500601T000000!"))
    keys = gpg.export(tmp_path / "keys", name)
    refused(app, keys, "did not exist at")
    refused(app, keys, "made at 2050-06-01T00:00:00Z, after 20", "--at", "2050-07-01T00:00:00Z")


def test_a_subkey_that_has_expired(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    primary = gpg.key("subexpired", at=PAST)
    gpg.run("--faked-system-time", PAST, "--quick-add-key", primary, "ed25519", "sign", "1y")
    subkey = gpg.fingerprints(primary)[1]
    gpg.sign(app, f"{subkey}!", options=("--faked-system-time", "20200601T000000!"))
    keys = gpg.export(tmp_path / "keys", primary)
    refused(app, keys, "expired at")
    transship("verify", f"aci:{app}", "--keyring", keys, "--at", "2020-07-01T00:00:00Z")


def revoke(gpg: Gpg, primary: str, *commands: str) -> None:
    """Revoke by gpg's dialogue."""
    answers = "\n".join((*commands, "save", "")).encode()
    options = ("--command-fd", "0", "--pinentry-mode", "loopback", "--no-tty", "--expert")
    run("gpg", "--yes", *options, "--edit-key", primary, env=gpg.environment, stdin=answers)


@pytest.mark.parametrize(
    "reason, then_ok",
    [
        pytest.param("1", False, id="compromised: it never held"),
        pytest.param("3", True, id="no longer used: it held before"),
    ],
)
def test_a_subkey_that_was_revoked(reason: str, then_ok: bool, app: Path, gpg: Gpg, tmp_path: Path) -> None:
    primary = gpg.key(f"subrevoked{reason}", at=PAST)
    gpg.run("--faked-system-time", PAST, "--quick-add-key", primary, "ed25519", "sign", "0")
    subkey = gpg.fingerprints(primary)[1]
    gpg.sign(app, f"{subkey}!", options=("--faked-system-time", "20200601T000000!"))
    keys = gpg.export(tmp_path / "keys", primary)
    transship("verify", f"aci:{app}", "--keyring", keys)
    revoke(gpg, primary, "key 1", "revkey", "y", reason, "", "y")
    keys = gpg.export(tmp_path / "keys", primary)
    refused(app, keys, "is revoked")
    transship("verify", f"aci:{app}", "--keyring", keys, "--at", "2020-07-01", status=0 if then_ok else 1)


def test_a_key_that_was_revoked(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    primary = gpg.key("revoked")
    gpg.sign(app, primary)
    certificate = (gpg.home / "openpgp-revocs.d" / f"{primary}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    gpg.run("--import", stdin=certificate.encode())
    refused(app, gpg.export(tmp_path / "keys", primary), "is revoked")


def test_a_signature_that_has_expired(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    primary = gpg.key("brief", at=PAST)
    options = ("--faked-system-time", "20200601T000000!", "--default-sig-expire", "1m")
    gpg.sign(app, primary, options=options)
    keys = gpg.export(tmp_path / "keys", primary)
    refused(app, keys, "signature expired at")
    transship("verify", f"aci:{app}", "--keyring", keys, "--at", "2020-06-15T00:00:00Z")


def test_a_key_that_was_prolonged(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    """Of what the owner said of the key before, gpg leaves nothing."""
    primary = gpg.key("prolonged", expire="1y", at=PAST)
    gpg.sign(app, primary, options=("--faked-system-time", "20200601T000000!"))
    gpg.run("--faked-system-time", "20200801T000000!", "--quick-set-expire", primary, "1y")
    refused(app, gpg.export(tmp_path / "keys", primary), "expired at")
    gpg.run("--quick-set-expire", primary, "0")
    keys = gpg.export(tmp_path / "keys", primary)
    transship("verify", f"aci:{app}", "--keyring", keys)
    transship("verify", f"aci:{app}", "--keyring", keys, "--at", "2020-07-01")


@pytest.mark.parametrize(
    "name, algorithm, options, fact",
    [
        pytest.param("short", "rsa1024", (), "1024 bits", id="a key that can be broken"),
        pytest.param("old", "rsa2048", ("--cert-digest-algo", "SHA1"), "with SHA-1", id="a key that can be exchanged"),
    ],
)
@pytest.mark.parametrize("expire", [pytest.param((), id="for ever"), pytest.param(("10y",), id="until it expires")])
def test_a_weak_key(
    name: str,
    algorithm: str,
    options: tuple[str, ...],
    fact: str,
    expire: tuple[str, ...],
    app: Path,
    gpg: Gpg,
    tmp_path: Path,
) -> None:
    user = f"{name}{''.join(expire)} <weak@example.org>"
    gpg.run(*options, "--quick-generate-key", user, algorithm, "sign,cert", "0")
    primary = gpg.fingerprints(user)[0]
    gpg.sign(app, primary, options=("--default-sig-expire", *expire) if expire else ())
    keys = gpg.export(tmp_path / "keys", primary)
    refused(app, keys, fact)
    transship("verify", f"aci:{app}", "--keyring", keys, "--allow-weak-digest")


def test_a_digest_that_can_be_forged(app: Path, gpg: Gpg, tmp_path: Path) -> None:
    primary = gpg.key("weak", "rsa2048")
    gpg.sign(app, primary, options=("--digest-algo", "SHA1"))
    keys = gpg.export(tmp_path / "keys", primary)
    refused(app, keys, "SHA-1")
    transship("verify", f"aci:{app}", "--keyring", keys, "--allow-weak-digest")
    app.write_bytes(app.read_bytes() + b"\0")
    refused(app, keys, "SHA-1", "--allow-weak-digest")


# -------------------------------------------------------------------------------------------------------------- notary
def test_what_notary_publishes(small_dir: Path, tmp_path: Path) -> None:
    need("notary")
    name, manifest = "registry.example/app", small_dir / "manifest.json"
    metadata = tmp_path / "published"
    metadata.mkdir()
    with notary_server(metadata) as url:
        options = ("notary", "--server", url, "--trustDir", str(tmp_path / "trust"))
        for command in (("init", name), ("add", name, "1", str(manifest)), ("publish", name)):
            run(*options, *command, env={f"NOTARY_{role}_PASSPHRASE": "a password" for role in ROLES})
    key = tmp_path / "root.pem"
    key.write_bytes(root_certificate((metadata / "root.json").read_bytes()))
    arguments = ("verify", f"dir:{small_dir}", "--content-trust", metadata, "--key", key, "--identity")
    transship(*arguments, f"{name}:1")
    transship(*arguments, f"{name}:2", status=1)
    aci = f"aci:{tmp_path / 'app.aci'}"
    transship("convert", f"dir:{small_dir}", aci, "--content-trust", metadata)
    transship("verify", aci, "--key", key, "--identity", f"{name}:1")
    transship("verify", aci, "--key", key, "--identity", f"{name}:2", status=1)
    targets = metadata / "targets.json"
    targets.write_bytes(targets.read_bytes().replace(b'"1":{', b'"2":{'))
    transship(*arguments, f"{name}:2", status=1)
