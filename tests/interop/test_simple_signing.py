"""Signed messages of every shape, as containers/image's own tests have them: skopeo and we agree about each."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from converter.errors import ConverterError
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.changing import changed, without
from tests.interop.signers import Gpg, keyring
from tests.interop.tools import need, run

NAME = "registry.example/app:1"
THEN = "20200601T000000"
Claim = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Keys of every fate. ``ring`` has them all, but for the one that nobody knows."""

    gpg: Gpg
    ring: Path
    keys: dict[str, str]
    image: Path
    claim: Claim

    def signed(self, data: bytes | str, *options: str, by: str = "good") -> bytes:
        """A message by one of the keys."""
        told = data.encode() if isinstance(data, str) else data
        return self._gpg("--local-user", self.keys[by], *options, "--sign", data=told)

    def _gpg(self, *arguments: str, data: bytes) -> bytes:
        out = self.image.parent / "message"
        self.gpg.run(*arguments, "--output", out, "-", stdin=data)
        return out.read_bytes()

    def packed(self, *arguments: str, data: bytes) -> bytes:
        """A message that is packed otherwise: not signed, or not as it should be."""
        return self._gpg("--trust-model", "always", *arguments, data=data)


@pytest.fixture(scope="module")
def signers(small_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    """The keys, and an image to sign."""
    need("skopeo")
    folder = tmp_path_factory.mktemp("signers")
    with keyring() as gpg:
        yield _signers(gpg, folder, small_dir)


def _signers(gpg: Gpg, folder: Path, small_dir: Path) -> Signers:
    image = folder / "image"
    shutil.copytree(small_dir, image)
    digest = run("skopeo", "manifest-digest", image / "manifest.json").strip()
    keys = {name: gpg.key(name, "rsa2048") for name in ("good", "unknown")}
    gpg.run("--quick-add-key", keys["good"], "rsa2048", "encr", "0")
    keys["other"] = gpg.key("other")
    keys["expired"] = gpg.key("expired", "rsa2048", expire="1y", at="20200101T000000!")
    for name in ("subkey", "revoked"):
        primary = gpg.key(name, "rsa2048", at="20200101T000000!")
        gpg.run("--faked-system-time", "20200101T000000!", "--quick-add-key", primary, "rsa2048", "sign", "0")
        keys[name] = f"{gpg.fingerprints(name)[1]}!"
    ring = folder / "ring.gpg"
    known = ("good", "other", "expired", "subkey", "revoked")
    claim = {
        "critical": {
            "type": "atomic container signature",
            "image": {"docker-manifest-digest": digest},
            "identity": {"docker-reference": NAME},
        },
        "optional": {"creator": "tests", "timestamp": 1458239713},
    }
    made = Signers(gpg=gpg, ring=ring, keys=keys, image=image, claim=claim)
    # What a key signs before it is revoked may be found afterwards.
    (folder / "by-revoked").write_bytes(made.signed(json.dumps(claim), "--faked-system-time", THEN, by="revoked"))
    answers = b"key 1\nrevkey\ny\n1\n\ny\nsave\n"
    options = ("--command-fd", "0", "--pinentry-mode", "loopback", "--no-tty", "--expert")
    run("gpg", "--yes", *options, "--edit-key", "revoked", env=gpg.environment, stdin=answers)
    gpg.run("--output", ring, "--export", *known)
    return made


def altered(claim: Claim, path: str, value: object = ...) -> str:
    """The claim with one member changed, or (``...``) taken away."""
    parts = tuple(path.split("/"))
    return json.dumps(without(claim, parts) if value is ... else changed(claim, parts, value))


def both(signers: Signers, message: bytes) -> tuple[bool, bool]:
    """Whether skopeo accepts the image with that signature under a policy, and whether we do."""
    folder = Path(tempfile.mkdtemp(dir=signers.image.parent))
    image = folder / "image"
    shutil.copytree(signers.image, image)
    (image / "signature-1").write_bytes(message)
    identity = {"type": "exactReference", "dockerReference": NAME}
    rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(signers.ring), "signedIdentity": identity}
    policy = folder / "policy.json"
    policy.write_text(json.dumps({"default": [rule]}))
    words = ("skopeo", "--policy", policy, "copy", "--quiet", f"dir:{image}", f"dir:{folder}/out")
    try:
        run(*words)
        theirs = True
    except pytest.fail.Exception:
        theirs = False
    try:
        ours = verify(f"dir:{image}", Wanted(policy=policy.read_bytes(), read=lambda path: Path(path).read_bytes())).ok
    except ConverterError:
        ours = False
    shutil.rmtree(folder)
    return theirs, ours


Make = Callable[[Signers], bytes]


def claims(path: str, value: object = ...) -> Make:
    """A good signature of a claim that says something else."""
    return lambda signers: signers.signed(altered(signers.claim, path, value))


def by(name: str, *options: str) -> Make:
    """The good claim, signed by another key or in another way."""
    return lambda signers: signers.signed(json.dumps(signers.claim), *options, by=name)


def cut(edit: Callable[[bytes], bytes]) -> Make:
    """A good message that is then changed."""
    return lambda signers: edit(signers.signed(json.dumps(signers.claim), "--compress-algo", "none"))


def other(*arguments: str) -> Make:
    """The good claim in a message of another kind."""
    return lambda signers: signers.packed(*arguments, data=json.dumps(signers.claim).encode())


SHAPES = [
    pytest.param(by("good"), True, id="a good one"),
    pytest.param(by("good", "--compress-algo", "none"), True, id="not compressed"),
    pytest.param(by("good", "--compress-algo", "bzip2"), True, id="compressed with bzip2"),
    pytest.param(by("good", "--textmode"), True, id="as text"),
    pytest.param(by("good", "--digest-algo", "SHA512"), True, id="another digest"),
    pytest.param(by("other"), True, id="by another key of the ring"),
    pytest.param(claims("optional", {}), True, id="nothing optional"),
    pytest.param(claims("optional/unexpected", 1), True, id="more that is optional"),
    pytest.param(lambda signers: (signers.image.parent / "by-revoked").read_bytes(), False, id="by a revoked subkey"),
    pytest.param(by("expired", "--faked-system-time", THEN), False, id="by a key that has expired"),
    pytest.param(by("unknown"), False, id="by a key that nobody knows"),
    pytest.param(
        by("subkey", "--faked-system-time", THEN, "--default-sig-expire", "1d"),
        False,
        id="a signature that has expired",
    ),
    pytest.param(by("good", "--local-user", "other"), False, id="two signatures in one message"),
    pytest.param(lambda signers: signers.signed("This is not JSON\n"), False, id="no JSON"),
    pytest.param(lambda signers: signers.signed("1"), False, id="no object"),
    pytest.param(claims("critical"), False, id="nothing critical"),
    pytest.param(claims("critical", 1), False, id="critical: a number"),
    pytest.param(claims("optional"), False, id="no optional"),
    pytest.param(claims("optional", 1), False, id="optional: a number"),
    pytest.param(claims("unexpected", 1), False, id="an unknown member"),
    pytest.param(claims("critical/type"), False, id="no type"),
    pytest.param(claims("critical/type", 1), False, id="type: a number"),
    pytest.param(claims("critical/type", "unexpected"), False, id="another type"),
    pytest.param(claims("critical/unexpected", 1), False, id="an unknown critical member"),
    pytest.param(claims("critical/image"), False, id="no image"),
    pytest.param(claims("critical/image", 1), False, id="image: a number"),
    pytest.param(claims("critical/image/docker-manifest-digest"), False, id="no digest"),
    pytest.param(claims("critical/image/docker-manifest-digest", 1), False, id="digest: a number"),
    pytest.param(
        claims("critical/image/docker-manifest-digest", f"sha256:{'0' * 64}"), False, id="another digest of it"
    ),
    pytest.param(claims("critical/image/unexpected", 1), False, id="an unknown member of the image"),
    pytest.param(claims("critical/identity"), False, id="no identity"),
    pytest.param(claims("critical/identity", 1), False, id="identity: a number"),
    pytest.param(claims("critical/identity/docker-reference"), False, id="no name"),
    pytest.param(claims("critical/identity/docker-reference", 1), False, id="name: a number"),
    pytest.param(claims("critical/identity/docker-reference", "registry.example/app:2"), False, id="another tag"),
    pytest.param(claims("critical/identity/docker-reference", "registry.example/app"), False, id="no tag"),
    pytest.param(claims("critical/identity/unexpected", 1), False, id="an unknown member of the identity"),
    pytest.param(claims("optional/creator", 1), False, id="creator: a number"),
    pytest.param(claims("optional/timestamp", "unexpected"), False, id="timestamp: a text"),
    pytest.param(claims("optional/timestamp", 0.5), False, id="timestamp: half a second"),
    pytest.param(cut(lambda data: data.replace(b"registry.example", b"registry.exampie")), False, id="changed"),
    pytest.param(cut(lambda data: data[:-5]), False, id="cut off"),
    pytest.param(cut(lambda data: data + data), False, id="twice"),
    pytest.param(lambda _: b"invalid signature", False, id="no message"),
    pytest.param(lambda _: b"", False, id="empty"),
    pytest.param(other("--store"), False, id="a message that nobody signed"),
    pytest.param(other("--recipient", "good", "--encrypt"), False, id="encrypted"),
    pytest.param(other("--detach-sign", "--local-user", "good"), False, id="the signature alone"),
    pytest.param(other("--clear-sign", "--local-user", "good"), False, id="in clear"),
]


@pytest.mark.parametrize("make, accepted", SHAPES)
def test_skopeo_and_we_agree(make: Make, accepted: bool, signers: Signers) -> None:
    assert both(signers, make(signers)) == (accepted, accepted)


def test_a_subkey_signs_for_its_key(signers: Signers) -> None:
    _, ours = both(signers, by("subkey")(signers))
    assert ours, "skopeo 1.18 does not, later ones do"


@pytest.mark.parametrize("options", [(), ("--default-sig-expire", "1y")])
def test_what_can_be_forged_is_refused(options: tuple[str, ...], signers: Signers) -> None:
    assert both(signers, by("good", "--digest-algo", "SHA1", *options)(signers)) == (True, False)
