"""What cosign, skopeo and gpg have signed is proven after a conversion, and comes back as they know it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.signers import Cosign, Gpg, transship
from tests.interop.tools import need, run

NAME = "registry.example/app:1"


def asked(reference: str, *arguments: str | Path, status: int = 0) -> dict[str, Any]:
    """What ``transship verify`` says."""
    told: dict[str, Any] = json.loads(transship("verify", reference, "--json", *arguments, status=status))
    return told


@pytest.fixture(scope="module")
def signed(registry: Registry, small_oci: Layout, cosign: Cosign) -> str:
    """An image in a registry that cosign has signed; its name."""
    name = f"{registry.host}/origin/app"
    run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", small_oci.reference, f"docker://{name}:1")
    told = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}:1")
    cosign.sign(f"{name}@{told.strip()}")
    return f"{name}:1"


@pytest.mark.parametrize(
    "target, options, level",
    [
        pytest.param("aci:{}/app.aci", (), "P4", id="an ACI"),
        pytest.param("docker-archive:{}/app.tar:" + NAME, ("--to", "docker"), "P2", id="an archive of docker's"),
        pytest.param("oci:{}/app:" + NAME, ("--compress", "zstd"), "P2", id="a layout, recompressed"),
        pytest.param("oci-archive:{}/app.tar:" + NAME, ("--squash",), "P4", id="a layout, squashed"),
    ],
)
def test_what_cosign_signed(
    target: str, options: tuple[str, ...], level: str, signed: str, cosign: Cosign, tmp_path: Path
) -> None:
    destination = target.format(tmp_path)
    transship("convert", f"docker://{signed}", destination, "--tls-verify=false", "--quiet", *options)
    told = asked(destination, "--key", cosign.public, "--identity", signed)
    assert (told["verified"], told["level"]) == (True, level)
    assert not asked(destination, "--key", cosign.public, "--identity", f"other.{signed}", status=1)["verified"]


def test_a_record_is_a_referrer_in_a_registry(signed: str, cosign: Cosign, tmp_path: Path) -> None:
    other = signed.replace("/app:", "/other:")
    local = ("--tls-verify=false", "--quiet")
    transship("convert", f"docker://{signed}", f"docker://{other}", *local, "--compress", "gzip:9")
    asked_for = ("--tls-verify=false", "--key", cosign.public, "--identity", signed)
    assert asked(f"docker://{other}", *asked_for)["level"] == "P2"
    transship("convert", f"docker://{other}", f"aci:{tmp_path}/app.aci", *local)
    told = asked(f"aci:{tmp_path}/app.aci", *asked_for[1:])
    assert (told["level"], len(told["origin"])) == ("P4", 2)


@pytest.mark.parametrize("image", ["small_oci", "awkward_oci"])
def test_every_kind_of_entry_and_change(
    image: str, cosign: Cosign, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    layout: Layout = request.getfixturevalue(image)
    source = f"oci:{tmp_path}/source:{NAME}"
    transship("convert", layout.reference, source, "--quiet")
    transship("sign", source, "--cosign-key", cosign.secret, env=cosign.environment)
    for target, options in ((f"aci:{tmp_path}/app.aci", ()), (f"oci:{tmp_path}/one:{NAME}", ("--squash",))):
        transship("convert", source, target, "--quiet", *options)
        told = asked(target, "--key", cosign.public)
        assert (told["verified"], told["level"], told["origin"][0]["uncovered"]) == (True, "P4", [])


def test_what_skopeo_signed_by_name(small_oci: Layout, gpg: Gpg, tmp_path: Path) -> None:
    key = gpg.key("skopeo", "rsa2048")
    run("skopeo", "copy", "--quiet", "--format", "v2s2", small_oci.reference, f"dir:{tmp_path}/dir")
    manifest, signature = tmp_path / "dir/manifest.json", tmp_path / "dir/signature-1"
    run("skopeo", "standalone-sign", manifest, NAME, key, "--output", signature, env=gpg.environment)
    ring = gpg.export(tmp_path / "ring.asc", "skopeo")
    for target in (f"oci:{tmp_path}/oci:{NAME}", f"aci:{tmp_path}/app.aci"):
        transship("convert", f"dir:{tmp_path}/dir", target, "--quiet", "--compress", "gzip:6")
        assert asked(target, "--keyring", ring, "--identity", NAME)["verified"]
    signature.unlink()
    transship("convert", f"dir:{tmp_path}/dir", f"oci:{tmp_path}/bare:{NAME}", "--quiet", "--compress", "gzip:6")
    assert not asked(f"oci:{tmp_path}/bare:{NAME}", "--keyring", ring, status=1)["verified"]


@pytest.mark.parametrize("packed", [("gzip", "-9"), ("gzip", "-1"), ("bzip2",), ("xz", "-T1"), ("xz", "-T1", "-3e")])
def test_an_aci_that_gpg_signed_is_made_again(
    packed: tuple[str, ...], small_oci: Layout, gpg: Gpg, tmp_path: Path
) -> None:
    need("sq", "xz", "bzip2", "gzip")
    key = gpg.key(f"aci-{'-'.join(packed)}")
    plain, file = tmp_path / "plain.aci", tmp_path / "app.aci"
    transship("convert", small_oci.reference, f"aci:{plain}", "--quiet", "--compress", "none")
    run(packed[0], *packed[1:], "-k", plain)
    next(path for path in tmp_path.iterdir() if path.name.startswith("plain.aci.")).rename(file)
    gpg.sign(file, key)
    ring = gpg.export(tmp_path / "ring.asc", key)

    transship("convert", f"aci:{file}", f"oci:{tmp_path}/oci", "--quiet")
    assert asked(f"oci:{tmp_path}/oci", "--keyring", ring, "--map-identity")["level"] == "P4"
    transship("convert", f"oci:{tmp_path}/oci", f"aci:{tmp_path}/back.aci", "--quiet")
    back, beside = tmp_path / "back.aci", tmp_path / "back.aci.asc"
    assert back.read_bytes() == file.read_bytes()
    gpg.run("--verify", beside, back)
    run("sq", "verify", "--signer-file", ring, "--signature-file", beside, back)
