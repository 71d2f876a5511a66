"""podman pulls what we have signed, under its policy, and refuses what we would refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.signers import Gpg, make_cosign, transship
from tests.interop.tools import need, run

LOCAL = ("--tls-verify=false", "--quiet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """podman with storage, and a home directory, of its own."""

    home: Path

    def trust(self, rule: dict[str, Any], lookaside: Path | None = None) -> None:
        """The policy for every image, and where signatures are looked for: a folder, or else the registry."""
        (self.home / "policy.json").write_text(json.dumps({"default": [rule]}))
        where = "use-sigstore-attachments: true" if lookaside is None else f"lookaside: file://{lookaside}"
        folder = self.home / ".config/containers/registries.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tests.yaml").write_text(f"default-docker:\n  {where}\n")

    def pull(self, name: str, status: int = 0) -> str:
        """The ID of the image."""
        store = ("--root", self.home / "r", "--runroot", self.home / "rr", "--storage-driver", "vfs")
        arguments = ("pull", *LOCAL, "--signature-policy", self.home / "policy.json", name)
        return run("podman", *store, *arguments, env={"HOME": str(self.home)}, status=status).strip()


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    """A podman that has pulled nothing yet."""
    need("podman")
    (tmp_path / "home").mkdir()
    return Podman(home=tmp_path / "home")


def push(image: Layout, name: str, *options: str) -> None:
    """Put an image into the registry."""
    transship("convert", image.reference, f"docker://{name}", *LOCAL, *options)


def test_a_simple_signature_in_a_lookaside(
    registry: Registry, small_oci: Layout, podman: Podman, gpg: Gpg, tmp_path: Path
) -> None:
    name, renamed, side = f"{registry.host}/trust/app:1", f"{registry.host}/trust/app:2", tmp_path / "side"
    for one in (name, renamed):
        push(small_oci, one)
    signer = gpg.key("signer")
    keys = gpg.export(tmp_path / "keys", signer)
    podman.trust({"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(keys)}, side)
    podman.pull(name, status=125)
    signing = ("--tls-verify=false", "--gpg-key", signer, "--lookaside", side)
    transship("sign", f"docker://{name}", *signing, env=gpg.environment)
    podman.pull(name)
    podman.pull(renamed, status=125)


def test_a_signature_of_cosigns_kind_in_the_registry(
    registry: Registry, small_oci: Layout, podman: Podman, tmp_path: Path
) -> None:
    name, cosign = f"{registry.host}/trust/cosigned:1", make_cosign(tmp_path / "cosign")
    push(small_oci, name)
    podman.trust({"type": "sigstoreSigned", "keyPath": str(cosign.public)})
    podman.pull(name, status=125)
    signing = ("--tls-verify=false", "--cosign-key", cosign.secret)
    transship("sign", f"docker://{name}", *signing, env=cosign.environment)
    podman.pull(name)


def test_a_recompressed_image_has_its_id(registry: Registry, small_oci: Layout, podman: Podman) -> None:
    podman.trust({"type": "insecureAcceptAnything"})
    first, second = (f"{registry.host}/trust/{name}:1" for name in ("before", "after"))
    push(small_oci, first)
    push(small_oci, second, "--compress", "zstd")
    assert podman.pull(first) == podman.pull(second)
