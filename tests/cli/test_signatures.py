"""``transship sign`` and ``verify``: what a person sees, and the exit status that a script sees."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from converter.cli.main import main
from tests.builders.disk import NAME, aci, directory, layout
from tests.trust.making import ecdsa, openpgp, public_pem
from tests.trust.test_content_trust import root, targets


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--cosign-key", "--gpg-key"), id="the kind of each key is said"),
        pytest.param(("--sign-by", "--sign-by"), id="the kind of each key is found out"),
    ],
)
def test_sign_and_verify(options: tuple[str, str], keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = layout(keys / "out")
    assert main(["sign", reference, options[0], f"{keys}/cosign.key", options[1], f"{keys}/gpg.key"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2].partition(" (")[0] for line in told] == ["cosign", "simple-signing"]
    assert main(["verify", reference, "--key", f"{keys}/cosign.pub", "--keyring", f"{keys}/gpg.pub"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verified"


def test_json(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = directory(keys / "out")
    arguments = ["--gpg-key", f"{keys}/gpg.key", "--identity", NAME, "--json"]
    assert main(["sign", reference, *arguments]) == 0
    (made,) = json.loads(capsys.readouterr().out)["signatures"]
    assert (made["location"], made["identity"]) == ("signature-1", NAME)
    assert main(["verify", reference, "--keyring", f"{keys}/gpg.pub", "--identity", NAME, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["unmet"]) == (True, [])
    assert main(["inspect", reference, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signatures"] == [
        {"kind": "simple-signing", "location": "signature-1", "covers": made["covers"]}
    ]


@pytest.mark.parametrize(
    "arguments, status, fact",
    [
        pytest.param(
            ["--key", "cosign.pub"], 1, "out: not signed: no signature by --key cosign.pub\n", id="nobody signed"
        ),
        pytest.param([], 2, "no key", id="nobody is trusted"),
        pytest.param(["--key", "gpg.pub"], 1, "no public key", id="a key of another kind"),
        pytest.param(["--keyring", "cosign.pub"], 1, "no OpenPGP certificate", id="a keyring of another kind"),
        pytest.param(["--key", "cosign.pub", "--at", "noon"], 2, 'invalid time "noon"', id="a time that is none"),
        pytest.param(["--key", "/dev/zero"], 1, "bytes (limit: document)", id="a key without end"),
        pytest.param(["--policy", "/dev/zero"], 1, "bytes (limit: document)", id="a policy without end"),
        pytest.param(["--policy", "cosign.pub"], 1, "cosign.pub: invalid JSON", id="a policy that is none"),
        pytest.param(["--key", "missing.pub"], 2, "missing.pub", id="a file that is not there"),
    ],
)
def test_what_does_not_hold(
    arguments: list[str],
    status: int,
    fact: str,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(keys)
    assert main(["verify", layout(keys / "out"), *arguments]) == status
    err = capsys.readouterr().err
    assert fact in err
    assert "Traceback" not in err


def test_another_key_is_told_once(keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = layout(tmp_path / "out")
    other = tmp_path / "other.pub"
    other.write_bytes(public_pem(ecdsa(1)))
    assert main(["sign", reference, "--cosign-key", f"{keys}/cosign.key", "--identity", NAME]) == 0
    capsys.readouterr()
    assert main(["verify", reference, "--key", str(other), "--identity", NAME]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"transship: {reference}: signature was not made by --key {other}\n"
    assert shown.out.endswith(".sig)\n")


def test_a_key_is_needed(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sign", layout(keys / "out")]) == 2
    assert "add --sign-by" in capsys.readouterr().err


def test_a_conversion_may_sign_and_ask(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = layout(keys / "source"), f"oci:{keys / 'out'}:{NAME}"
    rejected, accepted = keys / "reject.json", keys / "accept.json"
    rejected.write_text('{"default":[{"type":"reject"}]}')
    accepted.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    assert main(["convert", source, out, "--policy", str(rejected)]) == 1
    assert "rejects" in capsys.readouterr().err
    signers = ["--sign-by", f"{keys}/cosign.key", "--sign-by", f"{keys}/gpg.key"]
    assert main(["convert", source, out, "--policy", str(accepted), *signers]) == 0
    assert main(["verify", out, "--key", f"{keys}/cosign.pub", "--keyring", f"{keys}/gpg.pub"]) == 0


def test_what_needs_no_signature_is_accepted_not_verified(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (keys / "accept.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    page = keys / "verify.html"
    options = ["--policy", f"{keys}/accept.json", "--report", f"{page}"]
    assert main(["verify", layout(keys / "plain"), *options]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "accepted: the policy requires no signature"
    assert "<h1>Accepted without a signature: " in page.read_text()


@pytest.mark.parametrize(
    "options, unchecked",
    [
        pytest.param(["--key", "cosign.pub"], "simple-signing", id="OpenPGP without a keyring"),
        pytest.param(["--keyring", "gpg.pub"], "cosign", id="cosign's without a key"),
    ],
)
def test_what_no_key_was_given_for_is_not_checked(
    options: list[str],
    unchecked: str,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(keys)
    reference = layout(keys / "out")
    assert main(["sign", reference, "--sign-by", "cosign.key", "--sign-by", "gpg.key"]) == 0
    capsys.readouterr()
    assert main(["verify", reference, *options]) == 0
    out = capsys.readouterr().out
    assert f"  not checked {unchecked} (" in out
    assert "not good" not in out


def test_a_key_may_come_through_a_pipe(keys: Path) -> None:
    """As a shell's ``<(…)`` is one: a key is read once."""
    source, out = layout(keys / "source"), f"oci:{keys / 'out'}:{NAME}"
    for option, name in (("--sign-by", "cosign.key"), ("--sign-by", "gpg.key")):
        assert main(["convert", source, out, option, piped(keys / name)]) == 0
    assert main(["verify", out, "--key", piped(keys / "cosign.pub"), "--keyring", piped(keys / "gpg.pub")]) == 0


def piped(path: Path) -> str:
    """A pipe that holds what a small file does."""
    reading, writing = os.pipe()
    os.write(writing, path.read_bytes())
    os.close(writing)
    return f"/dev/fd/{reading}"


def test_rkts_store(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = aci(keys / "app.aci")
    assert main(["sign", reference, "--gpg-key", f"{keys}/gpg.key"]) == 0
    certificate = openpgp().extract_certificate()
    store = keys / "trustedkeys/root.d"
    store.mkdir(parents=True)
    (store / certificate.fingerprint).write_text(str(certificate))
    assert main(["verify", reference, "--trust-store", str(store.parent)]) == 0
    converted = f"oci:{keys}/converted:registry.example/team/app:1"
    assert main(["convert", reference, converted]) == 0
    of_what_it_was = ["--trust-store", str(store.parent), "--identity", "registry.example/app"]
    assert main(["verify", converted, *of_what_it_was]) == 0
    (store / certificate.fingerprint).write_text("")
    assert main(["verify", reference, "--trust-store", str(store.parent)]) == 1
    assert main(["verify", converted, *of_what_it_was]) == 1
    assert "Traceback" not in capsys.readouterr().err
    policy = keys / "policy.json"
    signed_by = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": f"{keys}/gpg.pub"}
    policy.write_text(json.dumps({"default": [signed_by]}))
    assert main(["verify", reference, "--policy", str(policy)]) == 1
    assert f"(default: no scope for {reference}; openpgp does not count for it)" in capsys.readouterr().err


def test_documents_beside_an_image(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, folder = layout(keys / "out"), keys / "metadata"
    folder.mkdir()
    assert main(["inspect", reference, "--content-trust", str(folder)]) == 2
    assert "has no root.json" in capsys.readouterr().err
    (folder / "root.json").write_bytes(root())
    (folder / "targets.json").write_bytes(targets(manifest=b"another's"))
    assert main(["inspect", reference, "--content-trust", str(folder)]) == 0
    assert "content-trust of sha256:" in capsys.readouterr().out
    assert main(["convert", reference, f"dir:{keys / 'copy'}", "--content-trust", str(folder)]) == 2
    assert "expected root.json, and targets with its digest" in capsys.readouterr().err
