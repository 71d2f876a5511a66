"""``transship verify`` of converted images: the steps back to what was signed, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.cli.main import main
from tests.trust import origins
from tests.trust.making import ecdsa, public_pem


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """An ACI and its record, and the key of who signed what it was."""
    (tmp_path / "k.pub").write_bytes(public_pem(ecdsa()))
    arguments = ["--quiet", "--platform", "linux/amd64", origins.index(tmp_path / "source"), f"aci:{tmp_path}/app.aci"]
    assert main(["convert", *arguments]) == 0
    return tmp_path


def test_the_way_back_for_people(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", f"aci:{converted}/app.aci", "--key", f"{converted}/k.pub"]) == 0
    told = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert told[1:] == ["digest", "name", "origin", "good", "P4", "P4", "level", "verified"]


def test_the_way_back_for_programs(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--key", f"{converted}/k.pub", "--require", "origin", "--json"]
    assert main(["verify", f"aci:{converted}/app.aci", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["level"], told["platform"]) == (True, "P4", "linux/amd64")
    assert [step["media_type"] for step in told["origin"]] == ["application/vnd.oci.image.index.v1+json"]


@pytest.mark.parametrize("asked", [["--require", "signature"], ["--identity", "registry.example/other:1"]])
def test_what_does_not_hold(asked: list[str], converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", f"aci:{converted}/app.aci", "--key", f"{converted}/k.pub", *asked]) == 1
    assert "verified" not in capsys.readouterr().out


def test_the_record_is_to_be_kept_beside_the_aci(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aci, key = tmp_path / "app.aci", tmp_path / "k.pub"
    key.write_bytes(public_pem(ecdsa()))
    assert main(["convert", origins.oci(tmp_path / "source"), f"aci:{aci}"]) == 0
    assert f"  also   {aci}.origin: keep it beside app.aci" in capsys.readouterr().out.splitlines()
    aci.rename(tmp_path / "moved.aci")
    assert main(["verify", f"aci:{tmp_path}/moved.aci", "--key", str(key)]) == 1
    assert "no moved.aci.origin beside it, where" in capsys.readouterr().err


def test_no_record_is_written_where_nobody_wants_one(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    assert main(["convert", "--quiet", "--origin", "never", source, f"aci:{tmp_path}/app.aci"]) == 0
    assert not (tmp_path / "app.aci.origin").exists()
