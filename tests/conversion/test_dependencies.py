"""What an ACI depends on is found beside it by itself where an image ID names it, and where a layered one has it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import converter
from converter.errors import Invalid, NotFound
from tests.formats.aci_archives import aci_tar, manifest
from tests.strategies.tar import File
from tests.trust import origins


@pytest.fixture
def layered(tmp_path: Path) -> Path:
    """An ACI, with the one below it beside it."""
    path = tmp_path / "app.aci"
    converter.convert(origins.oci(tmp_path / "source"), f"aci:{path}", layered=True)
    return path


@pytest.mark.parametrize("reference", ["aci:{}", "{}"])
def test_a_layered_aci_is_read_back_as_it_lies(reference: str, layered: Path, tmp_path: Path) -> None:
    done = converter.convert(reference.format(layered), f"oci:{tmp_path}/out")
    assert len(done.targets[0].layers) == 2


def test_another_one_beside_it_is_refused(layered: Path, tmp_path: Path) -> None:
    (below,) = tmp_path.glob("app-*.aci")
    below.write_bytes(gzip.compress(gzip.decompress(below.read_bytes()) + bytes(512)))
    with pytest.raises(Invalid, match="got an image of"):
        converter.convert(f"aci:{layered}", f"oci:{tmp_path}/out")


def test_one_beside_it_that_nothing_pins_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "app-0123456789ab.aci").write_bytes(aci_tar(manifest(name="base"), [File("rootfs/a")]))
    above = manifest(name="app", dependencies=[{"imageName": "base"}])
    (tmp_path / "app.aci").write_bytes(aci_tar(above, [File("rootfs/b")]))
    with pytest.raises(NotFound, match="--aci-path"):
        converter.convert(f"aci:{tmp_path}/app.aci", f"oci:{tmp_path}/out")
    converter.convert(f"aci:{tmp_path}/app.aci", f"oci:{tmp_path}/out", aci_paths=[tmp_path])
