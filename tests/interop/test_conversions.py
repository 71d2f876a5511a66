"""Every pair of formats on real images: the same files and configuration, and the other tools take what was written."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.compare_images import compare_images
from converter.formats import docker_v1
from converter.model.descriptor import Digest
from converter.model.image import Image
from converter.opened_reference import open_image
from tests.interop.images import Layout
from tests.interop.services import Dockerd
from tests.interop.tools import run
from tests.strategies.tar import File, archive

SOURCES = ("small_oci", "awkward_oci", "small_archive", "small_oci_archive", "small_dir", "small_saved")
TARGETS = {
    "oci": "oci:{}:sample",
    "oci-archive": "oci-archive:{}.tar:sample",
    "docker-archive": "docker-archive:{}.tar:example/sample:1",
    "dir": "dir:{}",
    "docker dir": "dir:{}-docker",
    "aci": "aci:{}.aci",
}
PREFIXES = {
    "small_archive": "docker-archive:",
    "small_saved": "docker-archive:",
    "small_oci_archive": "oci-archive:",
    "small_dir": "dir:",
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    """The reference of one of the real images."""
    image = request.getfixturevalue(request.param)
    return image.reference if isinstance(image, Layout) else f"{PREFIXES[request.param]}{image}"


def image(reference: str) -> Image:
    item = open_image(reference)
    assert isinstance(item, Image)
    return item


def assert_same(a: str, b: str) -> None:
    """The judge: nothing differs in files or configuration."""
    assert list(compare_images(image(a), image(b))) == []


def config_digest(reference: str) -> str:
    original = image(reference).original
    assert original is not None
    assert original.config is not None
    return str(original.config.descriptor.digest)


@pytest.mark.parametrize("target", TARGETS)
def test_every_source_into_every_target_is_the_same_image(source: str, target: str, tmp_path: Path) -> None:
    destination = TARGETS[target].format(tmp_path / "out")
    result = converter.convert(source, destination, to="docker" if target == "docker dir" else "")
    assert_same(source, destination)
    if target != "aci":
        assert result.targets[0].image_id == config_digest(source)
        shown = json.loads(run("skopeo", "inspect", destination.replace(":example/sample:1", "")))
        assert shown["Architecture"] == image(source).platform.architecture


@pytest.mark.parametrize("way", ["aci", "oci", "docker-archive"])
def test_there_and_back_is_the_same_image(source: str, way: str, tmp_path: Path) -> None:
    there, back = TARGETS[way].format(tmp_path / "there"), f"oci:{tmp_path / 'back'}:sample"
    converter.convert(source, there)
    converter.convert(there, back)
    assert_same(source, back)
    before, after = image(source), image(back)
    assert after.config == before.config
    assert after.created == before.created
    assert len(after.history) == len(before.history)


def test_an_aci_that_went_to_oci_comes_back_with_its_image_id(source: str, tmp_path: Path) -> None:
    first = converter.convert(source, f"aci:{tmp_path / 'a.aci'}").targets[0].image_id
    converter.convert(f"aci:{tmp_path / 'a.aci'}", f"oci:{tmp_path / 'out'}:x")
    again = converter.convert(f"oci:{tmp_path / 'out'}:x", f"aci:{tmp_path / 'b.aci'}").targets[0].image_id
    assert first is not None
    assert again == first


@pytest.mark.parametrize(
    "destination",
    ["oci:{}/out:sample", "oci-archive:{}/out.tar:sample", "dir:{}/out"],
    ids=["oci", "oci-archive", "dir"],
)
def test_a_copy_in_its_own_format_has_the_same_manifest(small_oci: Layout, destination: str, tmp_path: Path) -> None:
    written = destination.format(tmp_path)
    foreseen = converter.convert(small_oci.reference, written, dry_run=True)
    done = converter.convert(small_oci.reference, written)
    assert done.targets[0].preserved
    assert foreseen.digest == done.digest
    assert run("skopeo", "inspect", "--raw", written) == run("skopeo", "inspect", "--raw", small_oci.reference)


def test_the_engine_loads_and_runs_what_we_write(source: str, dockerd: Dockerd, tmp_path: Path) -> None:
    if "awkward" in source:
        source = source.replace("awkward", "small")  # overlay2 cannot hold that one, whoever writes the archive
    archive = tmp_path / "out.tar"
    result = converter.convert(source, f"docker-archive:{archive}:example/loaded:1")
    assert dockerd.load(archive) == "example/loaded:1"
    loaded = json.loads(dockerd.docker("image", "inspect", "example/loaded:1"))[0]
    assert loaded["Id"] == result.targets[0].image_id
    said = dockerd.docker(
        "run", "--rm", "--network=none", "--entrypoint", "/bin/busybox", "example/loaded:1", "echo", "it runs"
    )
    assert said.strip() == "it runs"


def test_the_engine_loads_an_aci(small_archive: Path, dockerd: Dockerd, tmp_path: Path) -> None:
    converter.convert(f"docker-archive:{small_archive}", f"aci:{tmp_path / 'a.aci'}")
    converter.convert(f"aci:{tmp_path / 'a.aci'}", f"docker-archive:{tmp_path / 'b.tar'}:example/from-aci:1")
    assert dockerd.load(tmp_path / "b.tar") == "example/from-aci:1"


def test_podman_loads_what_we_write(small_oci: Layout, tmp_path: Path) -> None:
    archive = tmp_path / "out.tar"
    converter.convert(small_oci.reference, f"docker-archive:{archive}:example/podman:1")
    storage = ("--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
    assert "example/podman:1" in run("podman", *storage, "load", "--quiet", "--input", archive)


def test_umoci_unpacks_and_the_image_tool_validates_what_we_write(source: str, tmp_path: Path) -> None:
    converter.convert(source, f"oci:{tmp_path / 'out'}:sample")
    run("umoci", "unpack", "--image", f"{tmp_path / 'out'}:sample", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "bin" / "busybox").is_file()
    run("oci-image-tool", "validate", "--type", "image", "--ref", "name=sample", tmp_path / "out")


def test_several_targets_from_one_reading(small_archive: Path, tmp_path: Path) -> None:
    destinations = [TARGETS[name].format(tmp_path / name.replace(" ", "-")) for name in ("oci", "dir", "aci")]
    result = converter.convert(f"docker-archive:{small_archive}", *destinations)
    assert [target.destination for target in result.targets] == destinations
    for destination in destinations:
        assert_same(f"docker-archive:{small_archive}", destination)


def test_layered_acis_are_one_image_again(small_oci: Layout, tmp_path: Path) -> None:
    converter.convert(small_oci.reference, f"aci:{tmp_path / 'top.aci'}", layered=True)
    assert len(list(tmp_path.glob("*.aci"))) == len(image(small_oci.reference).layers)
    converter.convert(f"aci:{tmp_path / 'top.aci'}", f"oci:{tmp_path / 'out'}:x")
    assert_same(small_oci.reference, f"oci:{tmp_path / 'out'}:x")


@pytest.mark.parametrize("target", ["oci", "docker-archive", "aci"])
def test_a_real_debian_survives(debian_saved: Path, target: str, tmp_path: Path) -> None:
    destination, back = TARGETS[target].format(tmp_path / "debian"), f"oci:{tmp_path / 'back'}:x"
    converter.convert(f"docker-archive:{debian_saved}", destination)
    assert_same(f"docker-archive:{debian_saved}", destination)
    converter.convert(destination, back)
    assert_same(f"docker-archive:{debian_saved}", back)


def test_the_archive_we_write_has_no_links_and_both_kinds_of_index(small_oci: Layout, tmp_path: Path) -> None:
    converter.convert(small_oci.reference, f"docker-archive:{tmp_path / 'out.tar'}:example/sample:1")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert not any(member.issym() or member.islnk() for member in archive)
        assert {"manifest.json", "repositories", "index.json", "oci-layout"} <= set(archive.getnames())


@pytest.mark.parametrize("target", ["docker-archive", "oci-archive", "aci"])
def test_invented_times_are_the_epoch_that_is_asked_for(small_oci: Layout, target: str, tmp_path: Path) -> None:
    destination = TARGETS[target].format(tmp_path / "out")
    converter.convert(small_oci.reference, destination, epoch=1_000_000_000)
    with tarfile.open(destination.split(":")[1]) as archive:
        times = {member.name: member.mtime for member in archive}
    assert times["manifest" if target == "aci" else "oci-layout"] == 1_000_000_000


def test_an_image_of_schema_1_has_the_id_that_skopeo_gives_it(tmp_path: Path) -> None:
    old = schema_1(tmp_path / "old")
    run("skopeo", "--insecure-policy", "copy", "--format", "v2s2", old, f"dir:{tmp_path}/theirs")
    for target in ("dir:{}/docker", "oci:{}/oci:old", "docker-archive:{}/old.tar:example/old:1"):
        converter.convert(old, target.format(tmp_path), to="oci" if target.startswith("oci") else "docker")

    theirs = config_digest(f"dir:{tmp_path}/theirs")
    assert config_digest(f"dir:{tmp_path}/docker") == theirs
    assert config_digest(f"oci:{tmp_path}/oci:old") == theirs
    assert config_digest(f"docker-archive:{tmp_path}/old.tar") == theirs


def schema_1(directory: Path) -> str:
    """An image of two layers as skopeo keeps it in a directory, with all that Go escapes in its texts."""
    base, middle, top = "a" * 64, "b" * 64, "c" * 64
    author = "J\u00e4ne <jane@example.com> & \u2028 others"
    first, second = (gzip.compress(archive([File(name)]), mtime=0) for name in ("first", "second"))
    rows: list[tuple[bytes, dict[str, Any]]] = [
        (
            docker_v1.EMPTY_LAYER_BYTES,
            {
                "id": top,
                "parent": middle,
                "throwaway": True,
                "docker_version": "1.12.1",
                "unknown": {"z": 1, "a": "<>"},
                "os": "linux",
                "architecture": "amd64",
                "author": author,
                "created": "2016-09-23T23:20:45.789Z",
                "config": {"Hostname": "383850eeb47b", "Cmd": ["run"], "ExposedPorts": {"80/tcp": {}}},
                "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ", 'CMD ["run"]']},
            },
        ),
        (second, {"id": middle, "parent": base, "author": author, "created": "2016-09-22T12:00:00Z", "comment": "b"}),
        (first, {"id": base, "created": "2016-01-01T00:00:00Z", "container_config": {"Cmd": ["make", "it"]}}),
    ]
    directory.mkdir()
    for blob, _ in rows:
        (directory / Digest.of(blob).encoded).write_bytes(blob)
    manifest = {
        "schemaVersion": 1,
        "name": "library/old",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": str(Digest.of(blob))} for blob, _ in rows],
        "history": [{"v1Compatibility": json.dumps(step, ensure_ascii=False)} for _, step in rows],
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    (directory / "version").write_text("Directory Transport Version: 1.1\n")
    return f"dir:{directory}"
