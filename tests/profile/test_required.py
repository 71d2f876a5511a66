"""Signed profiles as attestations that are required: they count for the content that they state, and for no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import converter
from tests.profile.conftest import Cli, Done
from tests.trust import origins

Keys = tuple[Path, Path]
REQUIRED = ("--require", "attestation")


@pytest.fixture
def image(cli: Cli, tmp_path: Path, tree: Path, keys: Keys) -> str:
    """A layout with an image of the tree, and its profile."""
    reference = f"oci:{tmp_path}/l:app:1"
    converter.convert(f"rootfs:{tree}", reference, changes=['CMD ["/bin/app"]'])
    assert cli("profile", reference, "--sign-by", keys[0], "--attach").code == 0
    return reference


def attachments_of(layout: Path) -> list[dict[str, object]]:
    rows = json.loads((layout / "index.json").read_bytes())["manifests"]
    return [row for row in rows if row["annotations"].get("org.opencontainers.image.ref.name", "").endswith(".att")]


def move(old: Path, new: Path) -> None:
    """Copy the attestations of one layout's image to that of another, as anybody can who may write there."""
    index = json.loads((new / "index.json").read_bytes())
    (image,) = [row for row in index["manifests"] if row not in attachments_of(new)]
    for row in attachments_of(old):
        tag = f"{str(image['digest']).replace(':', '-')}.att"
        index["manifests"].append(row | {"annotations": {"org.opencontainers.image.ref.name": tag}})
    (new / "index.json").write_text(json.dumps(index))
    for blob in (old / "blobs/sha256").iterdir():
        (new / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())


def test_it_counts_for_the_image_that_it_was_made_of(cli: Cli, image: str, keys: Keys) -> None:
    done = cli("verify", image, "--key", keys[1], *REQUIRED)
    assert done.code == 0
    assert "verified" in done.stdout


@pytest.mark.parametrize(
    "place, options",
    [
        pytest.param("oci:{}/n:app:1", {"compress": "zstd"}, id="zstd"),
        pytest.param("aci:{}/a.aci", {}, id="ACI"),
        pytest.param("dir:{}/d", {"to": "docker"}, id="Docker"),
    ],
)
def test_it_counts_for_what_the_image_becomes(
    cli: Cli, tmp_path: Path, image: str, keys: Keys, place: str, options: dict[str, str]
) -> None:
    converter.convert(image, place.format(tmp_path), origin="never", **options)  # type: ignore[arg-type]
    done = cli("verify", place.format(tmp_path), "--key", keys[1], *REQUIRED)
    assert done.code == 0
    assert "the same content" in done.stdout
    assert " P1 " not in done.stdout.replace("\n", " ")  # its bytes are not those that were signed


def test_it_counts_for_an_aci_that_depends_on_others(cli: Cli, tmp_path: Path, keys: Keys) -> None:
    image = origins.oci(tmp_path / "source")
    assert cli("profile", image, "--sign-by", keys[0], "--attach").code == 0
    converter.convert(image, f"aci:{tmp_path}/top.aci", layered=True, origin="never")
    checks = (f"aci:{tmp_path}/top.aci", "--key", keys[1], *REQUIRED)
    done = cli("verify", *checks)
    assert (done.code, "the same content" in done.stdout) == (0, True)
    (below,) = tmp_path.glob("top-*.aci")
    (tmp_path / "elsewhere").mkdir()
    below.rename(tmp_path / "elsewhere" / below.name)
    lost = cli("verify", *checks)
    assert (lost.code, "--aci-path says where to look" in lost.stderr) == (1, True)
    assert cli("verify", *checks, "--aci-path", tmp_path / "elsewhere").code == 0


def test_it_is_no_signature(cli: Cli, tmp_path: Path, image: str, keys: Keys) -> None:
    converter.convert(image, f"oci:{tmp_path}/n:app:1", compress="zstd", origin="never")
    done = cli("verify", f"oci:{tmp_path}/n:app:1", "--key", keys[1])
    assert done.code == 1
    assert "--require attestation" in done.stderr


@pytest.mark.parametrize(
    "change, options",
    [
        pytest.param(lambda t: (t / "new").touch(), (), id="another file"),
        pytest.param(lambda t: (t / "bin/app").chmod(0o4755), (), id="another mode"),
        pytest.param(lambda t: None, ('CMD ["/bin/evil"]',), id="another command"),
        pytest.param(lambda t: None, ("ENV LD_PRELOAD=/evil.so",), id="another environment"),
        pytest.param(lambda t: os.setxattr(t / "bin/app", "user.more", b"1"), (), id="another attribute"),
    ],
)
def test_it_does_not_count_for_another_image_that_it_is_moved_to(
    cli: Cli,
    tmp_path: Path,
    tree: Path,
    image: str,
    keys: Keys,
    change: Callable[[Path], None],
    options: tuple[str, ...],
) -> None:
    change(tree)
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/n:app:1", changes=options or ['CMD ["/bin/app"]'])
    move(tmp_path / "l", tmp_path / "n")
    other = f"oci:{tmp_path}/n:app:1"
    done = cli("verify", other, "--key", keys[1], *REQUIRED)
    assert done.code == 1
    assert "the profile states another content" in done.stdout + done.stderr
    assert cli("verify", other, "--profile", "attached", "--key", keys[1]).code == 1


def refused(done: Done) -> bool:
    return done.code in {1, 2} and "verified" not in done.stdout and "same content" not in done.stdout


def test_it_does_not_count_with_another_key_or_once_removed(
    cli: Cli, tmp_path: Path, image: str, pair: Callable[[str], Keys]
) -> None:
    other, converted = pair("other"), f"oci:{tmp_path}/n:app:1"
    converter.convert(image, converted, compress="zstd", origin="never")
    assert refused(cli("verify", converted, "--key", other[1], *REQUIRED))
    assert refused(cli("verify", converted, "--profile", "attached", "--key", other[1]))
    converter.convert(image, f"oci:{tmp_path}/bare:app:1", compress="zstd", attachments=False)
    bare = f"oci:{tmp_path}/bare:app:1"
    assert refused(cli("verify", bare, "--key", tmp_path / "key.pub", *REQUIRED))
    assert refused(cli("verify", bare, "--profile", "attached", "--key", tmp_path / "key.pub"))


def test_what_it_leaves_out_is_told(cli: Cli, tmp_path: Path, tree: Path, keys: Keys) -> None:
    reference = f"oci:{tmp_path}/l:app:1"
    converter.convert(f"rootfs:{tree}", reference)
    assert cli("profile", reference, "--ignore", "/bin", "--sign-by", keys[0], "--attach").code == 0
    (tree / "bin/app").write_text("other")
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/n:app:1")
    move(tmp_path / "l", tmp_path / "n")
    other = f"oci:{tmp_path}/n:app:1"
    assert "the same content, without /bin" in cli("verify", other, "--key", keys[1], *REQUIRED).stdout
    assert "/bin," in cli("verify", other, "--profile", "attached", "--key", keys[1]).stdout


def test_a_path_is_ignored_that_is_left_out_by_default_but_not_by_the_profile(cli: Cli, tmp_path: Path) -> None:
    for name in ("before", "after"):
        hosts = tmp_path / name / "etc/hosts"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(name)
        converter.convert(f"rootfs:{tmp_path / name}", f"oci:{tmp_path}/l:{name}")
    stated = tmp_path / "profile.json"
    assert cli("profile", f"oci:{tmp_path}/l:before", "--no-default-ignore", "--json", "-o", stated).code == 0
    compared = ("verify", f"oci:{tmp_path}/l:after", "--profile", stated)
    assert (cli(*compared).code, cli(*compared, "--ignore", "/etc/hosts").code) == (1, 0)


@pytest.mark.parametrize(
    "requirement, code",
    [
        pytest.param({"type": "sigstoreSigned", "keyPath": "key.pub"}, 0, id="its key"),
        pytest.param({"type": "sigstoreSigned", "keyPath": "other.pub"}, 2, id="another key"),
        pytest.param({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "key.pub"}, 2, id="OpenPGP"),
        pytest.param({"type": "reject"}, 2, id="nothing is accepted"),
        pytest.param({"type": "insecureAcceptAnything"}, 0, id="anything is accepted"),
    ],
)
def test_a_policy_says_who_has_to_have_signed(
    cli: Cli,
    tmp_path: Path,
    image: str,
    pair: Callable[[str], Keys],
    monkeypatch: pytest.MonkeyPatch,
    requirement: dict[str, str],
    code: int,
) -> None:
    pair("other")
    monkeypatch.chdir(tmp_path)
    converted = f"oci:{tmp_path}/n:app:1"
    converter.convert(image, converted, compress="zstd", origin="never")
    Path("policy.json").write_text(json.dumps({"default": [requirement]}))
    assert cli("verify", converted, "--profile", "attached", "--policy", "policy.json").code == code
    if requirement["type"] == "sigstoreSigned":
        assert (cli("verify", converted, "--policy", "policy.json", *REQUIRED).code == 0) == (code == 0)
        assert cli("verify", converted, "--policy", "policy.json").code == 1


def test_a_policy_applies_to_a_bare_path_as_to_the_transport_it_is(
    cli: Cli, tmp_path: Path, image: str, keys: Keys
) -> None:
    converter.convert(image, f"oci-archive:{tmp_path}/a.tar", origin="never")
    signed = {"type": "sigstoreSigned", "keyPath": str(keys[1])}
    policy = tmp_path / "policy.json"
    checked = ("verify", tmp_path / "a.tar", "--profile", "attached", "--policy", policy)
    for transport, code in (("oci-archive", 0), ("docker-archive", 2)):
        rules = {"default": [{"type": "reject"}], "transports": {transport: {"": [signed]}}}
        policy.write_text(json.dumps(rules))
        assert cli(*checked).code == code
