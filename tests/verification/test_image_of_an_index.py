"""One image of an index: signed with the index, or alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.cli.main import main
from converter.errors import NotFound, Untrusted
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json
from converter.model.reference import Location
from converter.signing import Signing, sign
from converter.stores import open_sink, open_source
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.trust import origins
from tests.trust.making import ecdsa
from tests.trust.origins import BOTH, KEY, NAME

ARM, AMD = (Wanted(keys=(KEY,), platform=f"linux/{name}") for name in ("arm64", "amd64"))


def child(path: Path, place: int) -> Descriptor:
    """What the index lists at that place."""
    with open_source(Location(transport="oci", path=str(path))) as source:
        root = source.resolve(NAME)
        return Descriptor.from_json(json.loads(source.fetch(root).read())["manifests"][place])


@pytest.fixture
def signed_alone(tmp_path: Path) -> str:
    """An index that nobody has signed, of whose images the one for arm64 is signed."""
    path = tmp_path / "source"
    reference = origins.index(path, signed=False)
    with open_sink(Location(transport="oci", path=str(path))) as sink:
        sink.name("alone", child(path, 1))
    sign(f"{reference}:alone", Signing(makers=(ecdsa(),), identity=NAME))
    return f"{reference}:{NAME}"


@pytest.mark.parametrize("platform", ["amd64", "arm64"])
def test_who_signs_an_index_signs_its_images(platform: str, tmp_path: Path) -> None:
    source = origins.index(tmp_path / "source")
    report = verify(source, Wanted(keys=(KEY,), platform=f"linux/{platform}"))
    assert (report.unmet, report.level) == ((), "P1")
    assert report.content is not None
    assert (report.content.platform, len(report.content.layers)) == (f"linux/{platform}", 3)


def test_an_index_without_that_platform(signed_alone: str, tmp_path: Path) -> None:
    nobodys = Wanted(keys=(KEY,), platform="linux/s390x")
    with pytest.raises(NotFound, match="no image for linux/s390x"):
        verify(signed_alone, nobodys)
    (fact,) = verify(origins.index(tmp_path / "signed"), nobodys).unmet
    assert "no image for linux/s390x" in fact


@pytest.mark.parametrize(
    "wanted, unmet",
    [
        pytest.param(ARM, (), id="the one that is"),
        pytest.param(AMD, ("not signed: no signature by --key k",), id="another"),
        pytest.param(BOTH, ("not signed: no signature by --key k",), id="all of them"),
    ],
)
def test_an_image_may_be_signed_alone(wanted: Wanted, unmet: tuple[str, ...], signed_alone: str) -> None:
    report = verify(signed_alone, wanted)
    assert report.unmet == unmet
    assert report.level == ("" if unmet else "P1")


def test_a_conversion_asks_for_the_image_that_it_takes(signed_alone: str, tmp_path: Path) -> None:
    converter.convert(signed_alone, f"oci:{tmp_path}/out", wanted=BOTH, platforms=["linux/arm64"])
    report = verify(f"oci:{tmp_path}/out", BOTH)
    assert (report.unmet, report.root.digest) == ((), child(tmp_path / "source", 1).digest)
    for platform in ("linux/amd64", "all"):
        with pytest.raises(Untrusted):
            converter.convert(signed_alone, f"oci:{tmp_path}/out", wanted=BOTH, platforms=[platform])


def test_an_index_that_nobody_signed_says_nothing_about_a_platform(signed_alone: str, tmp_path: Path) -> None:
    path = tmp_path / "source"
    first, second = child(path, 0), child(path, 1)
    rows = [second.to_json() | {"platform": first.to_json()["platform"]}]
    lying = dump_json({"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": rows})
    with open_sink(Location(transport="oci", path=str(path))) as sink:
        sink.name(NAME, sink.put((lying,), types.OCI_INDEX))
    with pytest.raises(Untrusted, match="the image is for linux/arm64, not for linux/amd64"):
        verify(signed_alone, AMD)


def test_an_index_may_list_an_artifact_for_a_platform(signed_alone: str, tmp_path: Path) -> None:
    path = tmp_path / "source"
    platform = child(path, 0).to_json()["platform"]
    with open_sink(Location(transport="oci", path=str(path))) as sink:
        config = sink.put((b"{}",), "application/vnd.example+json").to_json()
        artifact = dump_json({"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "config": config, "layers": []})
        row = sink.put((artifact,), types.OCI_MANIFEST).to_json() | {"platform": platform}
        listing = dump_json({"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [row]})
        sink.name(NAME, sink.put((listing,), types.OCI_INDEX))
    with pytest.raises(Untrusted, match="the index lists no image for linux/amd64, but an artifact of type"):
        verify(signed_alone, AMD)


@pytest.mark.parametrize("target, level", [("oci:{}/out", "P2"), ("aci:{}/app.aci", "P4")])
def test_the_signature_of_an_image_alone_is_kept(target: str, level: str, signed_alone: str, tmp_path: Path) -> None:
    destination = target.format(tmp_path)
    converter.convert(signed_alone, destination, platforms=["linux/arm64"], compress="gzip:9", strict=level == "P2")
    report = verify(destination, BOTH)
    assert (report.unmet, report.level) == ((), level)
    assert report.steps[0].root.digest == child(tmp_path / "source", 1).digest
    assert report.steps[0].proof.platform == "linux/arm64"


def test_the_image_for_another_platform_is_not_the_signed_one(signed_alone: str, tmp_path: Path) -> None:
    destination = f"oci:{tmp_path}/out"
    converter.convert(signed_alone, destination, platforms=["linux/amd64"], compress="gzip:9", origin="always")
    assert not verify(destination, BOTH).ok


def test_the_command_line(signed_alone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", signed_alone, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    digest = str(child(tmp_path / "source", 1).digest)
    assert [(one["kind"], one["covers"]) for one in told["signatures"]] == [("cosign", digest)]
    (tmp_path / "k.pub").write_bytes(KEY[1])
    asked = ["verify", signed_alone, "--json", "--key", f"{tmp_path}/k.pub"]
    assert main([*asked, "--platform", "linux/arm64"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == digest
    assert main(asked) == 1
