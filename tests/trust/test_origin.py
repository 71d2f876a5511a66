"""Every pair of formats: sign, convert, verify; the level is that of the table in docs/signatures.md."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.model.content import Known
from converter.model.image import Image
from converter.verification.proof import Proof
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders.acis import aci_tar, manifest
from tests.strategies.tar import File
from tests.trust import attacked, origins
from tests.trust.origins import BOTH, NAME, OPENPGP, PACKINGS, Make, asked

PAIRS = [
    pytest.param(origins.oci, "oci:{}/out", {"compress": "zstd"}, "P2", id="oci to oci, recompressed"),
    pytest.param(origins.oci, "oci-archive:{}/out.tar", {"compress": "none"}, "P2", id="oci to oci, unpacked"),
    pytest.param(
        origins.docker, "oci:{}/out", {"to": "oci", "compress": "zstd"}, "P2", id="docker to oci, recompressed"
    ),
    pytest.param(
        origins.docker, "docker-archive:{}/out.tar", {"compress": "none"}, "P2", id="docker to docker, recompressed"
    ),
    pytest.param(
        origins.v1, "oci:{}/out:" + NAME, {"compress": "zstd"}, "P5", id="schema 1 to oci, recompressed: carried"
    ),
    pytest.param(origins.docker, "dir:{}/out", {"to": "oci"}, "P2", id="docker to a directory of skopeo's, as oci"),
    pytest.param(origins.docker, "aci:{}/out.aci", {"compress": "none"}, "P4", id="docker to aci"),
    pytest.param(origins.oci, "oci:{}/out", {"squash": True}, "P4", id="oci squashed"),
    pytest.param(
        origins.index, "oci:{}/out", {"platforms": ["linux/arm64"]}, "P1", id="one image of a signed index, as it is"
    ),
    pytest.param(
        origins.index,
        "oci:{}/out",
        {"platforms": ["linux/arm64"], "compress": "zstd"},
        "P2",
        id="one image of a signed index, recompressed",
    ),
    pytest.param(origins.index, "aci:{}/out.aci", {"platforms": ["linux/amd64"]}, "P4", id="a signed index to aci"),
    pytest.param(
        origins.index,
        "docker-archive:{}/out.tar",
        {"platforms": ["all"], "to": "docker"},
        "P2",
        id="a signed index to a list of docker's",
    ),
    pytest.param(
        origins.index, "oci:{}/out", {"platforms": ["linux/arm64", "linux/amd64"], "squash": True}, "P4", id="squashed"
    ),
]
"""Those that the tables of docs/signatures.md do not have, which test_pairs.py tries."""


@pytest.mark.parametrize("make, target, options, level", PAIRS)
def test_the_level_of_a_pair(make: Make, target: str, options: dict[str, Any], level: str, tmp_path: Path) -> None:
    destination = target.format(tmp_path)
    converter.convert(make(tmp_path / "source"), destination, **options)
    wanted = BOTH
    if make is origins.v1:
        wanted = Wanted(keys=BOTH.keys, identity="library/app:1")
    elif target.startswith("dir:"):
        wanted = Wanted(keys=BOTH.keys, identity=NAME)
    report = asked(destination, wanted)
    assert report.unmet == ()
    assert (report.level, report.content is not None) == (level, True)
    assert not any(step.proof.uncovered for step in report.steps)


@pytest.mark.parametrize(
    "options, level, told",
    [
        pytest.param(
            {"rkt_dev_links": True}, "P5", "the links below /dev, which the record asks for", id="links for rkt"
        ),
        pytest.param({"epoch": 9}, "P4", "the time of what no signed layer has, which the record says", id="a time"),
    ],
)
def test_what_only_the_record_asks_for_is_told(options: dict[str, Any], level: str, told: str, tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"aci:{tmp_path}/app.aci", **options)
    report = asked(f"aci:{tmp_path}/app.aci")
    assert (report.unmet, report.level, report.steps[0].proof.uncovered) == ((), level, (told,))


@pytest.mark.parametrize("packing", [pytest.param(packed, id=name) for name, packed in PACKINGS.items()])
@pytest.mark.parametrize("target", ["oci:{}/out", "docker-archive:{}/out.tar"])
def test_an_aci_is_made_again_of_its_layer(packing: Callable[[bytes], bytes], target: str, tmp_path: Path) -> None:
    source, destination = origins.aci(tmp_path / "app.aci", packing), target.format(tmp_path)
    converter.convert(source, destination, to="docker" if "docker" in target else "oci")
    (tmp_path / "app.aci").unlink()
    report = asked(destination, OPENPGP)
    assert (report.unmet, report.level) == ((), "P4")


@pytest.mark.parametrize(
    "packing, target, options, level",
    [
        pytest.param(origins.in_two_members, "oci:{}/out", {}, "P5", id="packed by nobody known, to oci: carried"),
        pytest.param(
            lambda data: origins.raw_deflate(data, 7, 3), "oci:{}/out", {}, "P5", id="packed by another zlib: carried"
        ),
        pytest.param(PACKINGS["zlib 9"], "aci:{}/out.aci", {"compress": "none"}, "P1", id="the tar stays"),
        pytest.param(PACKINGS["xz"], "aci:{}/out.aci", {"compress": "gzip:6"}, "P1", id="the tar stays, packed anew"),
        pytest.param(origins.in_two_members, "aci:{}/out.aci", {"compress": "gzip"}, "P5", id="the ACI is carried"),
        pytest.param(PACKINGS["zlib 9"], "oci:{}/out", {"compress": "zstd"}, "P4", id="to oci, as zstd"),
    ],
)
def test_an_aci_by_its_compressor(
    packing: Callable[[bytes], bytes], target: str, options: dict[str, Any], level: str, tmp_path: Path
) -> None:
    destination = target.format(tmp_path)
    converter.convert(origins.aci(tmp_path / "app.aci", packing), destination, **options)
    report = asked(destination, OPENPGP)
    assert (report.unmet, report.level) == ((), level)


@pytest.mark.parametrize("target", ["oci:{}/out", "docker-archive:{}/out.tar", "aci:{}/out.aci"])
def test_who_signed_an_image_did_not_sign_another_configuration(target: str, tmp_path: Path) -> None:
    destination = target.format(tmp_path)
    converter.convert(origins.oci(tmp_path / "source"), destination, changes='ENTRYPOINT ["/other"]')
    report = asked(destination)
    assert not report.ok
    assert 'the layers are as signed, the configuration is not: ENTRYPOINT ["/other"]' in report.unmet[0]


def test_chains_lead_back_to_what_was_signed(tmp_path: Path) -> None:
    way = [
        origins.docker(tmp_path / "source"),
        f"aci:{tmp_path}/app.aci",
        f"oci:{tmp_path}/back",
        f"docker-archive:{tmp_path}/out.tar",
    ]
    for source, target in pairwise(way):
        converter.convert(source, target, compress="gzip", to="docker" if "docker" in target else "")
    report = asked(way[-1])
    assert (report.unmet, report.level) == ((), "P4")
    assert [step.root.media_type.rpartition(".")[2] for step in report.steps] == ["v1+json", "aci", "v2+json"]
    assert [len(step.verdicts) for step in report.steps] == [0, 0, 1]


@pytest.mark.parametrize(
    "make, way, wanted, levels",
    [
        pytest.param(origins.docker, ["aci:{}/1.aci", "oci:{}/2"], BOTH, ["P4", "P4"], id="docker to aci to oci"),
        pytest.param(
            origins.aci, ["oci:{}/1", "docker-archive:{}/2.tar"], OPENPGP, ["P2", "P4"], id="aci to oci to docker"
        ),
        pytest.param(
            origins.oci,
            ["docker-archive:{}/1.tar", "oci:{}/2", "aci:{}/3.aci"],
            BOTH,
            ["P4", "P2", "P2"],
            id="oci to docker to oci to aci",
        ),
        pytest.param(
            origins.v1,
            ["docker-archive:{}/1.tar", "oci:{}/2", "aci:{}/3.aci"],
            Wanted(keys=BOTH.keys, identity="library/app:1"),
            ["P4", "P2", "P3"],
            id="schema 1 to docker to oci to aci",
        ),
        pytest.param(
            origins.aci,
            ["docker-archive:{}/1.tar", "oci:{}/2", "aci:{}/3.aci"],
            OPENPGP,
            ["P4", "P2", "P4"],
            id="aci to docker to oci to aci",
        ),
    ],
)
def test_each_step_of_a_chain_is_proven(
    make: Make, way: list[str], wanted: Wanted, levels: list[str], tmp_path: Path
) -> None:
    places = [make(tmp_path / "source"), *(place.format(tmp_path) for place in way)]
    for source, target in pairwise(places):
        converter.convert(
            source, target, to={"docker-archive": "docker", "oci": "oci", "aci": "aci"}[target.partition(":")[0]]
        )
    report = asked(places[-1], wanted)
    assert (report.unmet, report.level) == ((), max(levels))
    assert [step.proof.level for step in report.steps] == levels


@pytest.mark.parametrize(
    "target, level",
    [
        pytest.param("oci:{}/out", "P2", id="as it is"),
        pytest.param("aci:{}/app.aci", "P4", id="as an ACI"),
    ],
)
def test_an_image_of_an_index_that_was_converted(target: str, level: str, tmp_path: Path) -> None:
    middle, destination = f"oci:{tmp_path}/middle", target.format(tmp_path)
    converter.convert(origins.index(tmp_path / "source"), middle, platforms=["all"], compress="gzip:9")
    converter.convert(middle, destination, platforms=["linux/arm64"])
    report = asked(destination)
    assert (report.unmet, report.level, len(report.steps)) == ((), level, 2)
    assert [step.proof.platform for step in report.steps] == ["linux/arm64"] * 2


def test_indexes_that_name_one_another_often_are_read_once(tmp_path: Path) -> None:
    source, destination = origins.index(tmp_path / "source", nested=6), f"oci:{tmp_path}/out"
    converter.convert(source, destination, platforms=["linux/arm64"], compress="zstd")
    assert asked(destination).level == "P2"


def test_one_image_of_an_index_is_proven_alone(tmp_path: Path) -> None:
    destination = f"oci:{tmp_path}/out"
    converter.convert(origins.index(tmp_path / "source"), destination, platforms=["all"], compress="zstd")
    report = verify(destination, Wanted(keys=BOTH.keys, platform="linux/arm64"))
    assert (report.unmet, report.level, report.content and len(report.content.layers)) == ((), "P2", 3)


def test_what_changes_twice_keeps_both_records(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    converter.convert(source, f"oci:{tmp_path}/one", compress="zstd")
    converter.convert(f"oci:{tmp_path}/one", f"oci:{tmp_path}/two", compress="gzip")
    converter.convert(f"oci:{tmp_path}/two", f"oci:{tmp_path}/three")
    report = asked(f"oci:{tmp_path}/three")
    assert (report.unmet, report.level, len(report.steps)) == ((), "P2", 2)


def test_what_is_packed_again_and_comes_out_as_it_was_keeps_what_speaks_of_it(tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"oci:{tmp_path}/one", compress="gzip:9")
    result = converter.convert(f"oci:{tmp_path}/one", f"oci:{tmp_path}/two", compress="gzip:9")
    assert (result.losses, result.targets[0].preserved) == ((), True)
    report = asked(f"oci:{tmp_path}/two")
    assert (report.unmet, report.level, len(report.steps)) == ((), "P2", 1)


def test_the_chain_as_json(tmp_path: Path) -> None:
    converter.convert(origins.index(tmp_path / "source"), f"aci:{tmp_path}/app.aci", platforms=["linux/arm64"])
    told = asked(f"aci:{tmp_path}/app.aci").to_json()
    (step,) = told["origin"]
    assert (told["level"], step["level"], step["platform"]) == ("P4", "P4", "linux/arm64")
    assert [row["level"] for row in step["layers"]] == ["P4"]
    assert step["signatures"][0]["ok"]


@pytest.mark.parametrize("packing", [pytest.param(packed, id=name) for name, packed in PACKINGS.items()])
def test_an_aci_comes_back_as_the_file_it_was(packing: Callable[[bytes], bytes], tmp_path: Path) -> None:
    source = origins.aci(tmp_path / "app.aci", packing)
    converter.convert(source, f"oci:{tmp_path}/out")
    converter.convert(f"oci:{tmp_path}/out", f"aci:{tmp_path}/back.aci")
    for suffix in ("", ".asc"):
        assert (tmp_path / f"back.aci{suffix}").read_bytes() == (tmp_path / f"app.aci{suffix}").read_bytes()
    assert asked(f"aci:{tmp_path}/back.aci", OPENPGP).level == "P1"


def test_an_aci_that_is_packed_anew_on_its_way_back_keeps_its_origin(tmp_path: Path) -> None:
    converter.convert(origins.aci(tmp_path / "app.aci"), f"oci:{tmp_path}/out")
    converter.convert(f"oci:{tmp_path}/out", f"aci:{tmp_path}/back.aci", compress="none")
    assert asked(f"aci:{tmp_path}/back.aci", OPENPGP).level == "P4"


def blobs_of(folder: Path, reference: str) -> list[Path]:
    """The files of the layers of an image in a layout."""
    item = converter.open_image(reference)
    assert isinstance(item, Image)
    digests = [layer.content.descriptor.digest for layer in item.layers if isinstance(layer.content, Known)]
    return [folder / "blobs" / digest.algorithm / digest.encoded for digest in digests]


def test_the_layers_of_a_signed_image_are_read(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    first, second = blobs_of(tmp_path / "source", source)
    assert [row.level for row in content_of(source).layers] == ["P1", "P1"]
    first.unlink()
    assert content_of(source).uncovered == ("layer[0] of image 0 is not here: only its digest is signed",)
    assert len(content_of(source).layers) == 1
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    report = asked(source)
    assert (report.ok, report.level) == (False, "")
    assert "layer[1]: digest mismatch" in report.unmet[0]


def content_of(reference: str) -> Proof:
    """How the content of an image is proven that ``verify`` accepts."""
    report = asked(reference)
    assert report.content is not None
    return report.content


def test_a_signature_beside_a_manifest_alone_says_so(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    item = converter.open_image(source)
    assert isinstance(item, Image)
    assert item.original is not None
    assert item.original.config is not None
    digest = item.original.config.descriptor.digest
    (tmp_path / "source/blobs/sha256" / digest.encoded).unlink()
    assert content_of(source).uncovered[0].startswith("the content is not all here: ")


def test_annotations_that_came_later_are_told(tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"oci:{tmp_path}/out", compress="zstd")
    target = attacked.opened(tmp_path, BOTH)
    note = {"org.example.team": "blue"}
    target.layout.document(target.layout.image, lambda said: said.update(annotations=note))
    target.layout.adopt(target.layout.image, {})
    report = asked(target.write())
    assert (report.unmet, report.level) == ((), "P2")
    assert report.steps[0].proof.uncovered == ("the manifest's /annotations",)


def test_the_platform_of_an_aci_that_tells_none_is_open(tmp_path: Path) -> None:
    tar = aci_tar(manifest(name="registry.example/app", labels=[]))
    source = origins.aci(tmp_path / "app.aci", tar=tar)
    converter.convert(source, f"oci:{tmp_path}/out", platforms=["linux/arm64"])
    report = asked(f"oci:{tmp_path}/out", OPENPGP)
    assert (report.unmet, report.level) == ((), "P4")
    assert report.steps[0].proof.uncovered == ("the platform, which the signed ACI does not say",)


def test_an_aci_with_a_whitelist_is_carried(tmp_path: Path) -> None:
    tar = aci_tar(
        manifest(name="registry.example/app", pathWhitelist=["/etc/a"]),
        [File("rootfs/etc", "dir"), File("rootfs/etc/a", data=b"a"), File("rootfs/etc/b", data=b"b")],
    )
    converter.convert(origins.aci(tmp_path / "app.aci", tar=tar), f"oci:{tmp_path}/out")
    report = asked(f"oci:{tmp_path}/out", OPENPGP)
    assert (report.unmet, report.level) == ((), "P5")
