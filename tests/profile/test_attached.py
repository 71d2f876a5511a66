"""Profiles that are stored with an image: where they are, and which of them count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.model.descriptor import Digest
from converter.profile.statement import PREDICATE
from tests.profile.conftest import Cli

Keys = tuple[Path, Path]


@pytest.fixture
def image(tmp_path: Path, tree: Path) -> str:
    """A layout with an image of the tree."""
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app:1", changes=['CMD ["/bin/app"]'])
    return f"oci:{tmp_path}/l:app:1"


def index_of(layout: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return rows


def blob(layout: Path, digest: str) -> bytes:
    return layout.joinpath("blobs", *digest.split(":")).read_bytes()


def test_an_attached_profile_lies_where_cosign_looks_for_attestations(
    cli: Cli, tmp_path: Path, image: str, keys: Keys
) -> None:
    done = cli("profile", image, "--sign-by", keys[0], "--attach")
    assert done.code == 0
    one, other = index_of(tmp_path / "l")
    tag = f"{Digest.parse(one['digest']).dashed}.att"
    assert done.stdout == f"attached to {one['digest']}: attestation ({tag})\n"
    assert other["annotations"]["org.opencontainers.image.ref.name"] == tag
    (layer,) = json.loads(blob(tmp_path / "l", other["digest"]))["layers"]
    assert layer["mediaType"] == "application/vnd.dsse.envelope.v1+json"
    assert layer["annotations"] == {"dev.cosignproject.cosign/signature": "", "predicateType": PREDICATE}


def test_a_second_profile_is_kept_beside_the_first(
    cli: Cli, tmp_path: Path, image: str, pair: Callable[[str], Keys]
) -> None:
    for name in ("one", "other"):
        assert cli("profile", image, "--sign-by", pair(name)[0], "--attach").code == 0
    for name in ("one", "other"):
        done = cli("verify", image, "--profile", "attached", "--key", tmp_path / f"{name}.pub")
        assert (done.code, done.stdout.splitlines()[-1]) == (0, "same content")


def test_every_key_that_is_given_has_to_have_signed(
    cli: Cli, tmp_path: Path, image: str, pair: Callable[[str], Keys]
) -> None:
    one, other = pair("one"), pair("other")
    assert cli("profile", image, "--sign-by", one[0], "--attach").code == 0
    both = ("verify", image, "--profile", "attached", "--key", one[1], "--key", other[1])
    assert cli(*both).code == 2
    assert cli("profile", image, "--sign-by", other[0], "--attach").code == 0
    assert cli(*both).code == 0


def test_a_profile_in_a_directory_is_a_file_there(cli: Cli, tmp_path: Path, image: str, keys: Keys) -> None:
    converter.convert(image, f"dir:{tmp_path}/d")
    assert cli("profile", f"dir:{tmp_path}/d", "--sign-by", keys[0], "--attach").code == 0
    assert (tmp_path / "d/signature-1").exists()
    assert cli("verify", f"dir:{tmp_path}/d", "--profile", "attached", "--key", keys[1]).code == 0


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("oci-archive:{}/a.tar", id="an archive"),
        pytest.param("aci:{}/a.aci", id="an ACI"),
        pytest.param("rootfs:{}/r", id="a tree"),
    ],
)
def test_nothing_is_attached_where_nothing_can_be_added(
    cli: Cli, tmp_path: Path, image: str, keys: Keys, place: str
) -> None:
    converter.convert(image, place.format(tmp_path))
    done = cli("profile", place.format(tmp_path), "--sign-by", keys[0], "--attach")
    assert done.code == 1
    assert "nothing can be attached there" in done.stderr


def test_attaching_needs_a_key(cli: Cli, image: str) -> None:
    assert cli("profile", image, "--attach").code == 2


def test_what_another_key_signed_or_nobody_attached_does_not_count(
    cli: Cli, image: str, pair: Callable[[str], Keys]
) -> None:
    right, wrong = pair("right"), pair("wrong")
    done = cli("verify", image, "--profile", "attached", "--key", right[1])
    assert (done.code, done.stdout) == (2, "")
    assert "nothing is attached that states one" in done.stderr
    assert cli("profile", image, "--sign-by", wrong[0], "--attach").code == 0
    done = cli("verify", image, "--profile", "attached", "--key", right[1])
    assert (done.code, done.stdout) == (2, "")
    assert "signature was not made by" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--sign-by"]], ids=["text", "statement", "envelope"])
def test_a_profile_is_written_to_a_file_which_is_replaced_only_when_asked(
    cli: Cli, tmp_path: Path, image: str, keys: Keys, options: list[object]
) -> None:
    file = tmp_path / "app.profile"
    command = ("profile", image, "-o", file, *options, *([keys[0]] if "--sign-by" in options else []))
    assert cli(*command).stdout == ""
    assert cli("verify", image, "--profile", file).code == 0
    before = file.read_bytes()
    assert cli(*command).code == 1
    assert file.read_bytes() == before
    assert cli(*command, "--overwrite").code == 0


@pytest.fixture
def stated(cli: Cli, image: str, keys: Keys) -> str:
    """The same layout, with an attached profile."""
    assert cli("profile", image, "--sign-by", keys[0], "--attach").code == 0
    return image


PLACES = (
    pytest.param("oci:{}/new:app:1", {"compress": "zstd"}, id="a layout, as zstd"),
    pytest.param("oci:{}/new:app:1", {}, id="a layout, unchanged"),
    pytest.param("dir:{}/d", {"to": "docker"}, id="a directory, as Docker"),
    pytest.param("docker-archive:{}/d.tar:app:1", {"to": "docker", "compress": "none"}, id="an archive"),
    pytest.param("oci-archive:{}/o.tar:app:1", {"compress": "gzip:1"}, id="an OCI archive"),
    pytest.param("aci:{}/app.aci", {}, id="an ACI"),
    pytest.param("aci:{}/app.aci", {"layered": True}, id="a layered ACI"),
)


@pytest.mark.parametrize("place, options", PLACES)
@pytest.mark.parametrize("origin", ["never", "signed"])
def test_a_profile_goes_along_and_is_verified_without_an_origin_record(
    cli: Cli, tmp_path: Path, stated: str, keys: Keys, place: str, options: dict[str, Any], origin: str
) -> None:
    there = place.format(tmp_path)
    done = converter.convert(stated, there, origin=origin, **options)
    assert [loss for loss in done.losses if loss.field == "attachments"] == []
    found = cli("verify", there, "--profile", "attached", "--key", keys[1], "--json")
    assert found.code == 0
    assert [one["key"] for one in json.loads(found.stdout)["signers"]] == [f"--key {keys[1]}"]


def test_it_goes_along_from_place_to_place(cli: Cli, tmp_path: Path, stated: str, keys: Keys) -> None:
    route = ("aci:{}/app.aci", "dir:{}/d", "oci:{}/other:app:1", "docker-archive:{}/a.tar:app:1", "oci:{}/back:app:1")
    for compress, place in zip(("gzip", "none", "zstd", "none", "gzip"), route, strict=True):
        converter.convert(stated, place.format(tmp_path), origin="never", compress=compress)
        stated = place.format(tmp_path)
    assert cli("verify", stated, "--profile", "attached", "--key", keys[1]).code == 0


def test_converting_again_attaches_no_second_copy(tmp_path: Path, stated: str) -> None:
    for _ in range(2):
        converter.convert(stated, f"oci:{tmp_path}/new:app:1", compress="zstd", origin="never")
    tags = [row["annotations"].get("org.opencontainers.image.ref.name", "") for row in index_of(tmp_path / "new")]
    assert sum(tag.endswith(".att") for tag in tags) == 1


@pytest.mark.parametrize(
    "place, signed",
    [
        pytest.param("oci:{}/new:app:1", "sha256-{}.att", id="in a layout"),
        pytest.param("dir:{}/d", "signature", id="in a directory"),
    ],
)
def test_what_two_attachments_state_goes_along_once(tmp_path: Path, stated: str, place: str, signed: str) -> None:
    layout = tmp_path / "l"
    image, attached = index_of(layout)
    subject = {key: image[key] for key in ("mediaType", "digest", "size")}
    again = json.dumps({**json.loads(blob(layout, attached["digest"])), "subject": subject}).encode()
    (layout / "blobs" / "sha256" / Digest.of(again).encoded).write_bytes(again)
    row = {"mediaType": attached["mediaType"], "digest": str(Digest.of(again)), "size": len(again)}
    index = json.loads((layout / "index.json").read_bytes())
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [image, attached, row]}))
    (done,) = converter.convert(stated, place.format(tmp_path), compress="zstd").targets
    assert done.digest is not None
    assert [one["location"] for one in done.signatures] == [signed.format(done.digest.encoded)]


def test_a_changed_configuration_leaves_it_behind(cli: Cli, tmp_path: Path, stated: str, keys: Keys) -> None:
    done = converter.convert(stated, f"oci:{tmp_path}/new:app:1", changes=["USER 5"], origin="never")
    assert [loss.field for loss in done.losses if loss.field == "attachments"] == ["attachments"]
    assert cli("verify", f"oci:{tmp_path}/new:app:1", "--profile", "attached", "--key", keys[1]).code == 2


def test_where_it_has_no_place_it_is_a_loss(tmp_path: Path, stated: str) -> None:
    done = converter.convert(stated, f"rootfs:{tmp_path}/r", origin="never")
    assert "attachments" in [loss.field for loss in done.losses]


def test_inspect_shows_the_content_digest_that_is_stated(cli: Cli, image: str, stated: str) -> None:
    told = json.loads(cli("profile", image, "--json").stdout)["subject"]
    content, manifest = (one["digest"]["sha256"] for one in told[:2])
    assert f"sha256:{content} is stated of sha256:{manifest}" in cli("inspect", stated).stdout
    (signature,) = json.loads(cli("inspect", stated, "--json").stdout)["signatures"]
    assert signature["content"] == f"sha256:{content}"
