"""Docker Engines, real ones, and podman's service, which answers to the same requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import converter
from converter.errors import NotFound, Unreachable
from converter.model.reference import Location
from converter.stores import open_source
from converter.stores.options import StoreOptions
from tests.interop import services
from tests.interop.images import Layout
from tests.interop.services import Dockerd


@pytest.fixture(scope="module", params=["dockerd", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    if request.param == "dockerd":
        yield request.getfixturevalue("dockerd")
        return
    with services.podman(tmp_path_factory.mktemp("podman")) as service:
        yield service


def test_an_engine_loads_and_saves(engine: Dockerd, small_oci: Layout, tmp_path: Path) -> None:
    options = StoreOptions(docker_host=engine.host)
    there = converter.convert(small_oci.reference, "docker-daemon:ours:1", target_store=options).targets[0]
    assert engine.docker("inspect", "--format", "{{.Id}}", "ours:1").strip() == str(there.image_id)
    back = converter.convert("docker-daemon:ours:1", f"oci:{tmp_path}/back:1", store=options).targets[0]
    assert back.image_id == there.image_id


def test_an_engine_lists_its_images_each_of_which_can_be_moved(
    engine: Dockerd, small_oci: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from converter.cli.main import main

    monkeypatch.setenv("DOCKER_HOST", engine.host)

    for name in ("listed/app:1", "listed/app:2"):
        assert main(["convert", small_oci.reference, f"docker-daemon:{name}", "--quiet", "--no-cache"]) == 0
    with open_source(Location.parse("docker-daemon:"), StoreOptions(docker_host=engine.host)) as source:
        listed = [name for name in source.names() if "listed/" in name]
        assert [name.removeprefix("docker.io/") for name in listed] == ["listed/app:1", "listed/app:2"]
        with pytest.raises(NotFound, match="as docker-daemon:NAME"):
            source.resolve("")

    command = ["sync", "docker-daemon:", f"oci:{tmp_path}/all", "--rename", "{repository}:{tag}"]
    assert main([*command, "--quiet", "--no-cache"]) == 0
    moved = {one["annotations"]["org.opencontainers.image.ref.name"] for one in index(tmp_path / "all")}
    assert {"listed/app:1", "listed/app:2"} <= moved


@pytest.mark.parametrize("reference", ["docker-daemon:x", "docker-daemon:"])
def test_an_engine_that_is_not_there(reference: str, tmp_path: Path) -> None:
    for host in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        with pytest.raises(Unreachable, match=r"cannot connect to .* \(DOCKER_HOST"):
            open_source(Location.parse(reference), StoreOptions(docker_host=host))


def index(layout: Path) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found
