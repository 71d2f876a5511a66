"""Dependencies of an ACI are found next to it without --aci-path: those named by image ID, and a layered one's."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.conversion.find_dependencies import Library, names_in
from converter.errors import Invalid, NotFound
from converter.model.image import Dependency
from converter.model.reference import Location
from converter.stores import StoreOptions
from converter.stores.aci_file import AciFile
from converter.streams.blocks import Blocks
from tests.builders.acis import aci_tar, manifest
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
    with pytest.raises(Invalid, match="image ID mismatch"):
        converter.convert(f"aci:{layered}", f"oci:{tmp_path}/out")


def test_one_beside_it_that_nothing_pins_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "app-0123456789ab.aci").write_bytes(aci_tar(manifest(name="base"), [File("rootfs/a")]))
    above = manifest(name="app", dependencies=[{"imageName": "base"}])
    (tmp_path / "app.aci").write_bytes(aci_tar(above, [File("rootfs/b")]))
    with pytest.raises(NotFound, match="aci_paths="):
        converter.convert(f"aci:{tmp_path}/app.aci", f"oci:{tmp_path}/out")
    converter.convert(f"aci:{tmp_path}/app.aci", f"oci:{tmp_path}/out", aci_paths=[tmp_path])


def store(data: bytes, folder: Path) -> Path:
    """Put an ACI where rkt's store has it: unpacked, under the first half of its image ID."""
    key = hashlib.sha512(data).hexdigest()[:64]
    described, stored = (folder / kind / "sha512" / key[:2] / f"sha512-{key}" for kind in ("imageManifest", "blob"))
    for path, content in ((described, b"{}"), (stored, data)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return stored


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(lambda data: {"labels": [{"name": "os", "value": "linux"}]}, id="by its name and a label"),
        pytest.param(
            lambda data: {"imageID": f"sha512-{hashlib.sha512(data).hexdigest()}", "size": 1},
            id="by its image ID, with the size of the packed file",
        ),
    ],
)
def test_in_the_store_of_rkt_a_dependency_is_found(wanted: Callable[[bytes], dict[str, Any]], tmp_path: Path) -> None:
    base = aci_tar(manifest(name="base"), [File("rootfs/a")])
    store(base, tmp_path / "cas")
    above = manifest(name="app", dependencies=[{"imageName": "base", **wanted(base)}])
    app = store(aci_tar(above, [File("rootfs/b")]), tmp_path / "cas")

    for number, reference in enumerate((f"aci:{app}", str(app))):
        done = converter.convert(reference, f"oci:{tmp_path}/out{number}", aci_paths=[tmp_path / "cas"])
        assert len(done.targets[0].layers) == 2


def test_a_file_is_read_for_its_names_once_and_again_if_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reads = tmp_path / "app.aci", []
    read = AciFile.unverified

    def counted(self: AciFile) -> Blocks:
        reads.append(self)
        return read(self)

    monkeypatch.setattr(AciFile, "unverified", counted)

    path.write_bytes(aci_tar(manifest(name="example.com/app"), [File("rootfs/a")], last=True))
    found = [names_in(path), names_in(path)]
    path.write_bytes(aci_tar(manifest(name="example.com/other")))

    assert found == [("example.com/app", "example.com/app:latest")] * 2
    assert names_in(path) == ("example.com/other", "example.com/other:latest")
    assert len(reads) == 2


def test_of_the_acis_in_a_folder_only_those_of_the_name_stay_open(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.aci").write_bytes(aci_tar(manifest(name=f"base-{number}")))
    before = len([*Path("/proc/self/fd").iterdir()])
    with ExitStack() as files:
        library = Library([tmp_path], files, StoreOptions(), image=Location.parse("aci:app.aci"))
        assert library.find(Dependency(name="base-4")) is not None
        assert len([*Path("/proc/self/fd").iterdir()]) == before + 1
