"""Documents of Docker Content Trust go along with an image, byte for byte, to every target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import converter
from converter.errors import Usage
from converter.model.reference import Location
from converter.stores import open_source
from converter.trust import stored_signatures
from converter.trust.signature import CONTENT_TRUST
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders.disk import NAME, layout
from tests.trust.making import public_pem
from tests.trust.test_content_trust import ROOT, TARGETS, root, targets

WANTED = Wanted(keys=(("--key root.pem", public_pem(ROOT)),), identity=NAME)


@pytest.fixture
def image(tmp_path: Path) -> str:
    return layout(tmp_path / "source")


def published(reference: str, **more: Any) -> dict[str, bytes]:
    """What notary would publish of the image; a snapshot is in nobody's way."""
    location = Location.parse(reference)
    with open_source(location) as source:
        manifest = source.fetch(source.resolve("")).read()
    files = {"root.json": root(), "targets.json": targets(manifest=manifest, **more)}
    return {**files, "snapshot.json": b'{"signed": {}}'}


def kept(reference: str) -> list[dict[str, bytes]]:
    """The documents that are with an image itself."""
    location = Location.parse(reference)
    with open_source(location) as source:
        top = source.resolve(location.name)
        found = stored_signatures.find_signatures(
            source.attachments(top.digest), source.fetch, source.fetch(top).read(), top
        )
    return [dict(one.files) for one in found if one.kind == CONTENT_TRUST]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("oci:{}:app:1", id="to a layout"),
        pytest.param("oci-archive:{}.tar:app:1", id="to an archive"),
        pytest.param("docker-archive:{}.tar:app:1", id="to docker's archive"),
        pytest.param("dir:{}", id="to a directory"),
    ],
)
def test_an_image_that_stays_has_its_documents(image: str, target: str, tmp_path: Path) -> None:
    files = published(image)
    destination = target.format(tmp_path / "out")
    done = converter.convert(image, destination, to="oci", content_trust=files, strict=True)
    assert [one["kind"] for one in done.targets[0].signatures] == [CONTENT_TRUST]
    assert kept(destination) == [files]
    assert verify(destination, WANTED).ok


@pytest.mark.parametrize(
    "options, target",
    [
        pytest.param({"to": "docker"}, "dir:{}", id="another manifest"),
        pytest.param({"compress": "zstd"}, "oci:{}:app:1", id="packed in another way"),
        pytest.param({}, "aci:{}.aci", id="an ACI"),
    ],
)
def test_an_image_that_changes_keeps_them_in_its_record(
    image: str, options: dict[str, Any], target: str, tmp_path: Path
) -> None:
    destination = target.format(tmp_path / "out")
    converter.convert(image, destination, content_trust=published(image), **options)
    report = verify(destination, WANTED)
    assert report.ok
    assert [verdict.signature.kind for verdict in report.steps[0].verdicts] == [CONTENT_TRUST]
    assert not verify(destination, Wanted(keys=(("--key targets.pem", public_pem(TARGETS)),), identity=NAME)).ok


def test_they_go_on_with_the_image(image: str, tmp_path: Path) -> None:
    files = published(image)
    converter.convert(image, f"dir:{tmp_path / 'one'}", content_trust=files)
    converter.convert(f"dir:{tmp_path / 'one'}", f"oci:{tmp_path / 'two'}:app:1")
    assert kept(f"oci:{tmp_path / 'two'}") == [files]
    converter.convert(f"oci:{tmp_path / 'two'}", f"aci:{tmp_path / 'three.aci'}")
    assert verify(f"aci:{tmp_path / 'three.aci'}", WANTED).ok


def test_twice_the_same_is_once(image: str, tmp_path: Path) -> None:
    files = published(image)
    for _ in range(2):
        converter.convert(image, f"oci:{tmp_path / 'out'}:app:1", content_trust=files)
    assert len(kept(f"oci:{tmp_path / 'out'}")) == 1


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {other: data for other, data in files.items() if other != name}


@pytest.mark.parametrize(
    "change, message",
    [
        pytest.param(lambda files: without(files, "root.json"), "say nothing about this image", id="no root"),
        pytest.param(lambda files: without(files, "targets.json"), "say nothing about this image", id="no targets"),
        pytest.param(
            lambda files: {**files, "targets.json": targets()}, "say nothing about this image", id="another image's"
        ),
    ],
)
def test_documents_that_are_not_about_the_image(image: str, change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(Usage, match=message):
        converter.convert(image, f"dir:{tmp_path / 'out'}", content_trust=change(published(image)))
    assert not (tmp_path / "out").exists()


def test_of_several_images_each_has_its_own(image: str, tmp_path: Path) -> None:
    converter.convert(image, f"oci:{tmp_path / 'both'}:{NAME}")
    converter.convert(image, f"oci:{tmp_path / 'both'}:registry.example/other:1", compress="none", origin="never")
    files = published(image)
    converter.convert(f"oci:{tmp_path / 'both'}", f"oci:{tmp_path / 'out'}", all_images=True, content_trust=files)
    assert kept(f"oci:{tmp_path / 'out'}:{NAME}") == [files]
    assert kept(f"oci:{tmp_path / 'out'}:registry.example/other:1") == []


@pytest.mark.parametrize(
    "options",
    [pytest.param({"remove_signatures": True}, id="no signatures"), pytest.param({"attachments": False}, id="nothing")],
)
def test_they_may_be_left_behind(image: str, options: dict[str, Any], tmp_path: Path) -> None:
    converter.convert(image, f"dir:{tmp_path / 'out'}", content_trust=published(image), **options)
    assert kept(f"dir:{tmp_path / 'out'}") == []
