"""When an origin record is written, where it goes, and what is lost where no place can hold one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.errors import LossRefused
from converter.signing import Signing, sign
from converter.verification.wanted import Wanted
from tests.builders import add_image
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore
from tests.strategies.tar import File, archive
from tests.trust import origins
from tests.trust.making import ecdsa
from tests.trust.origins import BOTH, NAME, Make, asked
from tests.zoo.members import nested


@pytest.mark.parametrize(
    "options, written",
    [
        pytest.param({}, True, id="by default, of a signed image"),
        pytest.param({"origin": "always"}, True, id="always"),
        pytest.param({"origin": "never"}, False, id="never"),
        pytest.param({"remove_signatures": True}, False, id="not where signatures are left behind"),
        pytest.param({"attachments": False}, False, id="not where nothing goes along"),
    ],
)
def test_when_a_record_is_written(options: dict[str, Any], written: bool, tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"aci:{tmp_path}/app.aci", **options)
    assert (tmp_path / "app.aci.origin").exists() == written


@pytest.mark.parametrize("origin, written", [("signed", False), ("always", True)])
def test_an_image_that_nobody_signed(origin: str, written: bool, tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    converter.convert(source, f"oci:{tmp_path}/unsigned", remove_signatures=True)
    converter.convert(f"oci:{tmp_path}/unsigned", f"aci:{tmp_path}/app.aci", origin=origin)
    assert (tmp_path / "app.aci.origin").exists() == written
    assert not asked(f"aci:{tmp_path}/app.aci").ok


def test_a_record_goes_where_its_image_goes_and_leaves_with_it(tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"aci:{tmp_path}/app.aci")
    converter.convert(f"aci:{tmp_path}/app.aci", f"aci:{tmp_path}/copy.aci")
    assert asked(f"aci:{tmp_path}/copy.aci").ok
    converter.convert(
        origins.aci(tmp_path / "other.aci"), f"aci:{tmp_path}/copy.aci", compress="none", origin="never", overwrite=True
    )
    assert not (tmp_path / "copy.aci.origin").exists()


def test_a_record_goes_through_each_of_many_nested_indexes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    next(member for member in nested() if member.name == "layout: indexes wide and deep").make()
    converter.convert("oci:layout", "oci:out:app", origin="always", compress="gzip:1")
    documents = {blob.read_bytes() for blob in (tmp_path / "layout/blobs/sha256").iterdir()}
    written = {blob.read_bytes() for blob in (tmp_path / "out/blobs/sha256").iterdir()}
    assert sum(b"image.index.v1+json" in one for one in documents & written) == 7, "all indexes are in the record"


def test_the_record_is_written_the_same_twice(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    for name in ("one", "two"):
        converter.convert(source, f"aci:{tmp_path}/{name}.aci", jobs=1 if name == "one" else 4)
    assert (tmp_path / "one.aci.origin").read_bytes() == (tmp_path / "two.aci.origin").read_bytes()


def test_a_record_is_small(tmp_path: Path) -> None:
    store = MemoryStore()
    files = [File(f"usr/{number}", data=random.Random(number).randbytes(40_000)) for number in range(200)]
    root = add_image(store, tars=[archive(files), archive([File("usr/.wh.7"), File("etc", "dir")])], name="")
    source = stored(store, root, tmp_path / "source")
    sign(source, Signing(makers=(ecdsa(),)))
    converter.convert(source, f"aci:{tmp_path}/app.aci")
    assert asked(f"aci:{tmp_path}/app.aci").level == "P4"
    size = (tmp_path / "app.aci.origin").stat().st_size - 40_000  # the file that the whiteout hides, kept verbatim
    assert size < (tmp_path / "app.aci").stat().st_size / 100


@pytest.mark.parametrize("destination", ["oci:{}/out", "dir:{}/out", "docker-archive:{}/out.tar"])
def test_what_a_record_keeps_is_not_lost(destination: str, tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    done = converter.convert(source, destination.format(tmp_path), compress="zstd", strict=True)
    assert [(loss.field, loss.kept) for loss in done.losses] == [("attachments", "the origin record")]
    with pytest.raises(LossRefused, match=r"cannot hold attachments: nothing was written \(strict=True\)"):
        converter.convert(
            source, destination.format(tmp_path), compress="zstd", strict=True, origin="never", overwrite=True
        )


@pytest.mark.parametrize(
    "make, lost",
    [
        pytest.param(origins.oci, ["attachments", "origin"], id="what was signed beside it"),
        pytest.param(origins.v1, ["origin"], id="what was signed within"),
    ],
)
@pytest.mark.parametrize("destination", ["rootfs:{}/out.tar", "docker-daemon:app:1"])
def test_a_place_that_can_hold_no_record_is_a_loss(
    make: Make, lost: list[str], destination: str, tmp_path: Path
) -> None:
    done = converter.convert(make(tmp_path / "source"), destination.format(tmp_path), compress="zstd", dry_run=True)
    told = [loss for loss in done.losses if loss.field in ("attachments", "origin")]
    assert [(loss.field, loss.kept) for loss in told] == [(field, "") for field in lost]


@pytest.mark.parametrize(
    "destination, level", [("oci-archive:-", "P2"), ("docker-archive:-", "P2"), ("oci-archive:/dev/stdout", "P2")]
)
def test_an_archive_that_is_piped_has_its_record(
    destination: str, level: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    converter.convert(origins.oci(tmp_path / "source"), destination, compress="zstd")
    transport = destination.partition(":")[0]
    (tmp_path / "out.tar").write_bytes(capfdbinary.readouterr().out)
    report = asked(f"{transport}:{tmp_path}/out.tar", Wanted(keys=BOTH.keys, identity=NAME))
    assert (report.unmet, report.level) == ((), level)


def test_an_aci_that_is_piped_has_none(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    done = converter.convert(origins.oci(tmp_path / "source"), "aci:-")
    assert "standard output has no place" in next(loss.reason for loss in done.losses if loss.field == "origin")
    assert capfdbinary.readouterr().out
