"""Configurations are read as Go reads them, keep their bytes, and are written anew only where OCI has it otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from converter import formats
from converter.formats import container_config, docker, oci
from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.document import dump_json
from converter.model.image import History, Image, Original, RunConfig
from converter.model.platform import Platform
from converter.model.settings import DEFAULTS
from converter.plan import Write
from converter.ports import Format
from converter.transform.changes import apply_changes
from tests.builders import DOCKER, OCI, Dialect, add_image
from tests.builders.memory import MemorySource, MemoryStore

ANY: frozenset[str] = frozenset()
LINUX = {"architecture": "amd64", "os": "linux"}
DIALECTS = [pytest.param(OCI, oci, id="oci"), pytest.param(DOCKER, docker, id="docker")]


def image(store: MemoryStore) -> Image:
    source = MemorySource(store)
    item = formats.decode(source.fetch(source.resolve("app:1")), source.fetch)
    assert isinstance(item, Image)
    return item


def written_again(found: Image, own: Format) -> bytes:
    """The configuration of an image that nobody changed, in its own format."""
    plan = own.encode(found, ANY, DEFAULTS)
    assert isinstance(plan, Write)
    node = plan.inputs[0]
    assert isinstance(node, Write)
    return node.render(())


def original(found: Image) -> bytes:
    assert found.original is not None
    assert found.original.config is not None
    return found.original.config.read()


@pytest.mark.parametrize(
    "dialect, given, read",
    [
        pytest.param(DOCKER, {"Cmd": "a b"}, {"cmd": ("a b",)}, id="a command that is a string is a list of one"),
        pytest.param(DOCKER, {"Entrypoint": ""}, {"entrypoint": ("",)}, id="so is an entry point, even if empty"),
        pytest.param(DOCKER, {"Shell": "/bin/sh"}, {"shell": ("/bin/sh",)}, id="so is a shell"),
        pytest.param(OCI, {"Shell": "/bin/sh"}, {"shell": ("/bin/sh",)}, id="a shell is so in an OCI image, too"),
        pytest.param(DOCKER, {"Cmd": ["a", None]}, {"cmd": ("a", "")}, id="a null in a command is an empty argument"),
        pytest.param(OCI, {"Cmd": ["a", None]}, {"cmd": ("a", "")}, id="it is so in an OCI image, too"),
        pytest.param(OCI, {"Env": ["A=b", None]}, {"env": ("A=b", "")}, id="a null is a variable without a name"),
        pytest.param(DOCKER, {"OnBuild": [None]}, {"on_build": ("",)}, id="a null is an empty trigger"),
        pytest.param(OCI, {"Healthcheck": 5}, {"healthcheck": None}, id="a number is no health check"),
        pytest.param(OCI, {"OnBuild": "RUN make"}, {"on_build": None}, id="a string is no list of triggers"),
        pytest.param(OCI, {"Shell": ["/bin/sh", 5]}, {"shell": None}, id="a shell has no numbers"),
        pytest.param(OCI, {"Shell": {}}, {"shell": None}, id="an object is no shell"),
    ],
)
def test_a_configuration_is_read_as_go_reads_it(
    dialect: Dialect, given: Mapping[str, Any], read: Mapping[str, Any]
) -> None:
    store = MemoryStore()
    add_image(store, dialect, config={**LINUX, "config": given})
    found = image(store)
    assert found.config == RunConfig(**read)
    assert written_again(found, oci if dialect is OCI else docker) == original(found)


@pytest.mark.parametrize("dialect, own", DIALECTS)
def test_nulls_are_empty_features_and_steps(dialect: Dialect, own: Format) -> None:
    store = MemoryStore()
    add_image(store, dialect, config={**LINUX, "os.features": [None], "history": [None, {}]})
    found = image(store)
    assert (found.platform.os_features, found.history) == (("",), (History(), History()))
    assert written_again(found, own) == original(found)


def from_docker(image: Image, config: bytes) -> Image:
    """The image as if it had been read from Docker's format, with this configuration."""
    manifest = known_bytes(b"{}", types.DOCKER_MANIFEST)
    return replace(
        image, original=Original(format="docker", manifest=manifest, config=known_bytes(config, types.DOCKER_CONFIG))
    )


@pytest.mark.parametrize(
    "given, becomes",
    [
        pytest.param({"config": {"Cmd": "a", "x": 1}}, {"config": {"Cmd": ["a"], "x": 1}}, id="a command is a list"),
        pytest.param(
            {"config": {"Entrypoint": "a", "Shell": "b"}},
            {"config": {"Entrypoint": ["a"], "Shell": ["b"]}},
            id="all of them are",
        ),
        pytest.param({"config": {"Cmd": ["a", None]}}, {}, id="a null in a list stays"),
        pytest.param({"config": None}, {}, id="a null for a list of members stays"),
        pytest.param(
            {"rootfs": {"diff_ids": []}}, {"rootfs": {"diff_ids": [], "type": "layers"}}, id="layers are called so"
        ),
        pytest.param(
            {"rootfs": {"type": "x", "diff_ids": []}},
            {"rootfs": {"type": "layers", "diff_ids": []}},
            id="whatever they were called",
        ),
        pytest.param({"rootfs": {"type": "layers+base", "diff_ids": []}}, {}, id="but not those upon a base elsewhere"),
    ],
)
def test_what_docker_takes_in_a_configuration_becomes_what_oci_has(
    given: Mapping[str, Any], becomes: Mapping[str, Any]
) -> None:
    document = {**LINUX, "rootfs": {"type": "layers", "diff_ids": []}, **given}
    data = json.dumps(document, indent=1).encode()
    found = from_docker(container_config.from_json(document).image, data)
    assert container_config.encode(found, (), "docker") == data
    written = container_config.encode(found, (), "oci")
    assert json.loads(written) == {**document, **becomes}
    assert (written == data) == (not becomes)


def test_what_is_changed_on_the_way_to_oci_keeps_the_order_of_its_members() -> None:
    document = {"config": {}, "rootfs": {"diff_ids": [], "type": "layers"}, **dict(reversed(LINUX.items()))}
    given = from_docker(container_config.from_json(document).image, json.dumps(document).encode())
    found = replace(given, config=replace(given.config, user="a"))
    written = container_config.encode(found, (), "oci")
    assert list(json.loads(written)) == list(document)


def test_an_oci_configuration_says_where_it_runs_if_only_that_nobody_said_so() -> None:
    data = b'{"rootfs":{"type":"layers","diff_ids":[]}}'
    found = from_docker(Image(platform=Platform(os="", architecture="")), data)
    written = container_config.encode(found, (), "oci")
    assert json.loads(written) == {"architecture": "", "os": "", **json.loads(data)}


@pytest.mark.parametrize(
    "member, given, kept",
    [
        pytest.param("ExposedPorts", ("80/tcp", "90/tcp"), True, id="sorted ports that are all there keep the bytes"),
        pytest.param("ExposedPorts", ("90/tcp", "80/tcp"), False, id="ports that --change has sorted do not"),
        pytest.param("Volumes", ("/b", "/a"), False, id="nor do volumes"),
    ],
)
def test_a_change_writes_what_origin_records_expect(member: str, given: tuple[str, ...], kept: bool) -> None:
    document = {**LINUX, "config": {member: {one: {} for one in given}}}
    found = from_docker(container_config.from_json(document).image, json.dumps(document, indent=1).encode())
    changed = apply_changes(found, ["EXPOSE 80" if member == "ExposedPorts" else "VOLUME /a"])
    written = container_config.encode(changed, (), "docker")
    assert (written == original(found)) == kept
    assert kept or written == dump_json(document), "written anew, as earlier versions did"
