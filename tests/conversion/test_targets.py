"""Destinations: which images one can hold, and the names that they get."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.conversion.planning import check_capacity, check_distinct, name_for
from converter.errors import ConverterError, LossRefused, NotFound, Usage
from converter.events import Event, Finished, Planned, Warned
from converter.functions import Keywords
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.image import Image
from converter.model.platform import Platform
from converter.model.reference import FULL_NAME, REF_NAME, Location, name_at_source
from converter.stores import open_source
from tests.builders import DOCKER, OCI, Dialect, add_image, add_index, tar
from tests.builders.disk import layout, stored
from tests.builders.memory import MemoryStore
from tests.builders.saved import classic, write_tar
from tests.stores.copying import copy, sink_at, source_at
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import PLAIN
from tests.trust.origins import v1

FIXTURES = Path(__file__).parent.parent.parent / "fixtures/images/oci-image"


def room(places: list[Location], images: int) -> None:
    """Look for it as a conversion does, before it reads and once it knows how many images there are."""
    check_distinct(places)
    check_capacity(places, images)


@pytest.mark.parametrize(
    "destinations, images",
    [
        pytest.param(["docker-archive:-", "aci:/dev/stdout"], 1, id="two on standard output"),
        pytest.param(["oci:-"], 1, id="a layout on standard output"),
        pytest.param(["dir:-"], 1, id="a directory on standard output"),
        pytest.param(["bundle:/dev/stdout"], 1, id="a bundle on standard output"),
        pytest.param(["docker-archive:a:x:1", "docker-archive:b/../a:x:2"], 1, id="two in one archive"),
        pytest.param(["oci:a", "dir:a"], 1, id="two stores in one directory"),
        pytest.param(["aci:a.aci", "docker-archive:a.aci.asc"], 1, id="one in the place of another's signature"),
        pytest.param(["oci-archive:a.aci.origin", "aci:a.aci"], 1, id="one in the place of another's record"),
        pytest.param(["oci:a", "docker-archive:a/index.json"], 1, id="a file in the directory of another"),
        pytest.param(["oci:a:x"], 2, id="two images under one name"),
        pytest.param(["docker://reg.test/a:1"], 2, id="two images under one name of a registry"),
        pytest.param(["aci:a.aci"], 2, id="two images in a file for one"),
    ],
)
def test_no_target_takes_the_place_of_another(destinations: list[str], images: int) -> None:
    places = [Location.parse(one) for one in destinations]
    with pytest.raises(Usage, match=r"place of its own|needs a directory|can hold one image|leave the name out"):
        room(places, images)


@pytest.mark.parametrize(
    "destinations, images",
    [
        pytest.param(["oci:a:x", "oci:a:y"], 1, id="two names in one layout"),
        pytest.param(["docker-archive:-", "oci:a"], 1, id="one on standard output"),
        pytest.param(["docker-archive:a"], 2, id="two images in one archive"),
        pytest.param(["oci:a:x"], 1, id="one image under a name"),
    ],
)
def test_there_is_room(destinations: list[str], images: int) -> None:
    places = [Location.parse(one) for one in destinations]
    room(places, images)


@pytest.mark.parametrize("asked", ["", ":example.com/app:1"])
def test_the_only_image_of_a_layout_brings_its_name_when_it_is_not_asked_for(tmp_path: Path, asked: str) -> None:
    write_tar(tmp_path / "in.tar", classic(tags=None))
    converter.convert(f"docker-archive:{tmp_path}/in.tar", f"oci:{tmp_path}/layout:example.com/app:1")
    converter.convert(f"oci:{tmp_path}/layout{asked}", f"docker-archive:{tmp_path}/out.tar")
    with source_at("docker-archive", tmp_path / "out.tar") as source:
        assert list(source.names()) == ["example.com/app:1"]


@pytest.mark.parametrize("preserve", [True, False])
def test_schema_1_stays_schema_1_only_where_its_digest_has_to(preserve: bool, tmp_path: Path) -> None:
    done = converter.convert(v1(tmp_path / "in"), f"dir:{tmp_path / 'out'}", preserve_digests=preserve)
    before, after = ((tmp_path / place / "manifest.json").read_bytes() for place in ("in", "out"))
    assert (done.targets[0].preserved, before == after) == (preserve, preserve)


ROOT = Descriptor.of(b"", types.OCI_MANIFEST)


@pytest.mark.parametrize(
    "source, name, full",
    [
        pytest.param("docker://reg.test/app:1", "", "reg.test/app:1", id="a tag of a repository"),
        pytest.param("docker://reg.test/app", "", "reg.test/app:latest", id="the usual tag"),
        pytest.param("docker://reg.test/app", "2", "reg.test/app:2", id="each tag of a repository"),
        pytest.param("docker-daemon:app:1", "", "app:1", id="an image of the Engine"),
        pytest.param(f"docker-daemon:{ROOT.digest}", "", "", id="one by its ID"),
        pytest.param("docker-archive:in.tar", "app:1", "app:1", id="one of an archive"),
        pytest.param("docker-archive:in.tar", "@0", "", id="one without a name"),
    ],
)
@pytest.mark.parametrize("destination", ["docker-archive:out.tar", "oci:out"])
def test_an_image_keeps_the_name_it_had(source: str, name: str, full: str, destination: str) -> None:
    assert name_at_source(Location.parse(source), name, ROOT) == full
    image = Image(platform=Platform.parse("linux/amd64"))
    assert name_for(Location.parse(destination), name, full, ROOT, image) == full
    assert name_for(Location.parse(f"{destination}:other"), name, full, ROOT, image) == "other"


@pytest.mark.parametrize(
    "annotations, told",
    [
        pytest.param({REF_NAME: "1.2"}, "1.2", id="a layout's short name where there is no other"),
        pytest.param({REF_NAME: "1.2", FULL_NAME: "reg.test/app:1.2"}, "reg.test/app:1.2", id="a full name says more"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_an_image_of_a_layout_is_called_what_the_layout_calls_it(annotations: dict[str, str], told: str) -> None:
    assert name_at_source(Location.parse("oci:in:@0"), "@0", replace(ROOT, annotations=annotations)) == told


AWAY = Descriptor.of(b"packed", types.OCI_NONDISTRIBUTABLE_GZIP).to_json() | {"urls": ["https://example.com/base"]}
CHART = {"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}


@pytest.mark.parametrize(
    "change, target, field",
    [
        pytest.param({}, "docker-archive:", "", id="an image is found by docker load"),
        pytest.param(CHART, "docker-archive:", "artifact", id="an artifact is not"),
        pytest.param(CHART, "oci-archive:", "", id="but it has its place in a layout"),
        pytest.param({"layers": [AWAY]}, "docker-archive:", "layers", id="nor is a foreign layer that is elsewhere"),
        pytest.param({"layers": [AWAY]}, "oci-archive:", "", id="which no layout needs"),
    ],
)
def test_an_archive_is_said_to_hold_what_docker_load_does_not_find(
    tmp_path: Path, change: dict[str, Any], target: str, field: str
) -> None:
    result = converter.convert(changed(tmp_path, change), f"{target}{tmp_path}/out.tar:app:1")
    assert [loss.field for loss in result.losses] == ([field] if field else [])


def changed(folder: Path, change: dict[str, Any]) -> str:
    """An image in a layout, with other members in its manifest and without the bytes of ``AWAY``."""
    store = MemoryStore()
    document = json.loads(store.blobs[add_image(store, tars=[tar({"a": b"1"})]).digest])
    for name, value in change.items():
        document[name] = value if isinstance(value, list) else document[name] | value
    away = store.add(b"packed", types.OCI_NONDISTRIBUTABLE_GZIP)
    root = store.add(json.dumps(document).encode(), types.OCI_MANIFEST)
    copy(store, root, sink_at("oci", folder / "in"), "app")
    (folder / "in/blobs/sha256" / away.digest.encoded).unlink(missing_ok=True)
    return f"oci:{folder}/in:app"


@pytest.mark.parametrize("target", ["rootfs:{}/out", "bundle:{}/out", "aci:{}/out.aci"])
@pytest.mark.parametrize("copied", ["oci:{}/copied", "dir:{}/copied"])
def test_what_needs_a_foreign_layer_says_how_it_is_got(tmp_path: Path, copied: str, target: str) -> None:
    source = copied.format(tmp_path)
    converter.convert(changed(tmp_path, {"layers": [AWAY]}), source)

    with pytest.raises(ConverterError, match="download_foreign=True"):
        converter.convert(source, target.format(tmp_path))
    with (
        source_at(copied.partition(":")[0], tmp_path / "copied") as opened,
        pytest.raises(NotFound, match="--download-foreign"),
    ):
        opened.fetch(Descriptor.from_json(AWAY)).read()


@pytest.mark.parametrize("root, listed", [pytest.param(OCI, DOCKER, id="OCI"), pytest.param(DOCKER, OCI, id="Docker")])
@pytest.mark.parametrize(
    "target, to, kept",
    [
        pytest.param("dir:{}", "", True, id="stays where either may be"),
        pytest.param("dir:{}", "oci", False, id="becomes one of OCI where that is asked for"),
        pytest.param("oci:{}:app", "", False, id="becomes one of OCI in a layout"),
    ],
)
def test_an_index_that_lists_an_image_of_the_other_format(
    tmp_path: Path, root: Dialect, listed: Dialect, target: str, to: str, kept: bool
) -> None:
    store = MemoryStore()
    rows = [
        add_image(store, one, name="").to_json() | {"platform": {"os": "linux", "architecture": "amd64"}}
        for one in (root, listed)
    ]
    made = add_index(store, rows, root)
    copy(store, made, sink_at("oci", tmp_path / "in"), "app")
    result = converter.convert(f"oci:{tmp_path}/in:app", target.format(tmp_path / "out"), platforms=["all"], to=to)
    assert (result.digest == made.digest) == kept
    with open_source(Location.parse(target.format(tmp_path / "out"))) as source:
        document = json.loads(source.fetch(source.resolve("")).read())
    there = [row["mediaType"] for row in document["manifests"]]
    assert there == ([root.manifest, listed.manifest] if kept else [types.OCI_MANIFEST] * 2)


def test_a_layer_of_nothing_stays_one(tmp_path: Path) -> None:
    source = f"oci-archive:{FIXTURES / 'tar-of-nothing.tar'}"
    for number, compress in enumerate(["gzip", "none", "keep", "zstd"]):
        target = f"oci:{tmp_path / str(number)}:a"
        converter.convert(source, target, compress=compress)
        assert converter.validate_image(target).valid
        source = target


def docker_list(folder: Path, root: Dialect = DOCKER) -> str:
    """An index of one Docker image."""
    store = MemoryStore()
    row = add_image(store, DOCKER, name="").to_json() | {"platform": {"os": "linux", "architecture": "amd64"}}
    return stored(store, add_index(store, [row], root), folder / "in")


def docker_image(folder: Path) -> str:
    store = MemoryStore()
    return stored(store, add_image(store, DOCKER), folder / "in")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(docker_image, id="an image"),
        pytest.param(docker_list, id="a list"),
        pytest.param(lambda folder: docker_list(folder, OCI), id="an OCI index that lists a Docker image"),
    ],
)
@pytest.mark.parametrize("compress", ["zstd", "zstd:7"])
def test_a_docker_image_that_is_to_be_zstd_becomes_one_of_oci_and_that_is_told(
    tmp_path: Path, source: Callable[[Path], str], compress: str
) -> None:
    told: list[Event] = []
    with FakeRegistry() as registry:
        converter.convert(
            source(tmp_path),
            f"docker://{registry.host}/app:1",
            compress=compress,
            platforms="all",
            store=PLAIN,
            report=told.append,
        )
        stored_types = {media_type for media_type, _ in registry["app"].manifests.values()}
    assert stored_types <= {types.OCI_MANIFEST, types.OCI_INDEX}
    said = [event.fact for event in told if isinstance(event, Warned)]
    assert said == [f"docker://{registry.host}/app:1: written as OCI: Docker manifests cannot hold zstd layers"]


@pytest.mark.parametrize(
    "destination, told",
    [
        pytest.param("oci-archive:app.tar", "", id="a plain tar"),
        pytest.param("oci-archive:app.tar.gz:app", "a plain tar, although its name ends in .tar.gz", id="an archive"),
        pytest.param(
            "docker-archive:app.tgz", "a plain tar, although its name ends in .tgz", id="an archive of Docker"
        ),
        pytest.param("rootfs:app.tar.xz", "a directory, although its name ends in .tar.xz", id="files"),
        pytest.param("oci:app.tar.zst", "a directory, although its name ends in .tar.zst", id="a layout"),
        pytest.param("oci:out:app.tar.gz", "", id="a name in a layout"),
        pytest.param("aci:app.tar.gz", "", id="an ACI, which is compressed as its layers were"),
    ],
)
def test_it_is_told_if_an_ending_promises_an_archive_that_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destination: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    events: list[Event] = []
    converter.convert(docker_image(tmp_path), destination, squash=True, report=events.append)
    said = [event.fact for event in events if isinstance(event, Warned)]
    assert said == ([f"{destination}: written as {told}"] if told else [])


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"compress": "gzip:9"}, id="gzip at another level"),
        pytest.param({}, id="no compression"),
    ],
)
def test_a_docker_image_stays_one_where_nothing_needs_oci(tmp_path: Path, options: Keywords) -> None:
    done = converter.convert(docker_image(tmp_path), f"dir:{tmp_path / 'out'}", **options)
    assert done.targets[0].media_type == types.DOCKER_MANIFEST


@pytest.mark.parametrize("before", ["gzip", "zstd"])
def test_docker_that_is_asked_for_explicitly_is_not_given_zstd(tmp_path: Path, before: str) -> None:
    image = f"oci:{tmp_path / 'layout'}"
    converter.convert(docker_image(tmp_path), image, compress=before)
    with pytest.raises(ConverterError, match=r'cannot hold zstd layers: use to="oci" or compress="gzip"$'):
        converter.convert(image, f"dir:{tmp_path / 'out'}", to="docker", compress="zstd")


@pytest.mark.parametrize(
    "options, words, way",
    [
        pytest.param({}, (), "", id="nothing changes it"),
        pytest.param({"to": "oci"}, ("format",), "leave out to=", id="the format"),
        pytest.param({"compress": "gzip:9"}, ("compression",), "leave out compress=", id="the compression"),
        pytest.param({"compress": "zstd"}, ("format", "compression"), "leave out compress=", id="both"),
        pytest.param({"squash": True}, ("squash",), "leave out squash=True", id="one layer"),
        pytest.param({"changes": ["USER 7"]}, ("change",), "leave out changes=", id="a change"),
    ],
)
def test_why_a_digest_changes_is_told(tmp_path: Path, options: Keywords, words: tuple[str, ...], way: str) -> None:
    source = docker_image(tmp_path)
    (done,) = converter.convert(source, f"dir:{tmp_path / 'out'}", **options).targets
    assert done.changed_by == words
    assert (done.source_digest == done.digest) == (not words)
    if words:
        with pytest.raises(LossRefused, match=f"would change, by {', '.join(words)}: {way} "):
            converter.convert(source, f"dir:{tmp_path / 'other'}", **(options | {"preserve_digests": True}))


def test_an_image_taken_from_an_index_has_another_digest(tmp_path: Path) -> None:
    (done,) = converter.convert(docker_list(tmp_path), f"dir:{tmp_path / 'out'}", platforms="linux/amd64").targets
    assert done.changed_by == ("platform",)


def test_a_digest_that_a_target_changes_is_kept_by_others(tmp_path: Path) -> None:
    with pytest.raises(LossRefused, match="would change, by format: docker: or dir: can keep it"):
        converter.convert(docker_image(tmp_path), f"oci:{tmp_path / 'other'}", preserve_digests=True)


def test_the_work_of_all_targets_is_known_before_it_begins(tmp_path: Path) -> None:
    events: list[Event] = []
    source = layout(tmp_path / "in")
    converter.convert(
        source, f"oci:{tmp_path}/one", f"oci:{tmp_path}/two", f"dir:{tmp_path}/three", report=events.append
    )
    planned = [place for place, event in enumerate(events) if isinstance(event, Planned)]
    assert planned == [0, 1, 2]
    assert sum(event.blobs for event in events if isinstance(event, Planned)) == 6
    assert sum(isinstance(event, Finished) for event in events) == 6
