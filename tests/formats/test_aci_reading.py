"""What an ACI's manifest says as a Docker or OCI image, and what an edit of that leaves of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from converter.errors import Invalid
from converter.formats.aci import kept_annotations as keys
from converter.formats.aci.reading import (
    Manifest,
    baseline_of,
    is_unchanged,
    parse_manifest,
    render_manifest,
    to_image,
)
from converter.formats.aci.writing import make_manifest
from converter.model.image import RunConfig
from converter.model.platform import Platform

NATIVE = {
    "acKind": "ImageManifest",
    "acVersion": "0.8.9",
    "name": "example.com/worker",
    "labels": [
        {"name": "version", "value": "1.0.0"},
        {"name": "arch", "value": "armv7l"},
        {"name": "os", "value": "linux"},
        {"name": "env", "value": "canary"},
    ],
    "app": {
        "exec": ["/bin/worker", "--quiet"],
        "user": "100",
        "group": "300",
        "supplementaryGids": [400, 500],
        "eventHandlers": [{"exec": ["/bin/x"], "name": "pre-start"}],
        "workingDirectory": "/opt",
        "environment": [{"name": "DEBUG", "value": "true"}],
        "isolators": [{"name": "resource/cpu", "value": {"limit": "1"}}],
        "mountPoints": [{"name": "work", "path": "/work", "readOnly": True}],
        "ports": [{"name": "ftp", "port": 2000, "count": 2, "protocol": "tcp", "socketActivated": True}],
        "userLabels": {"team": "blue"},
        "userAnnotations": {"Note": "well"},
        "unknown": {"stays": [1]},
    },
    "annotations": [
        {"name": "created", "value": "2014-10-27T19:32:27.67021798Z"},
        {"name": "authors", "value": "Carly"},
        {"name": "homepage", "value": "https://example.com"},
        {"name": "documentation", "value": "https://example.com/docs"},
        {"name": "example.com/own", "value": "1"},
    ],
    "x-unknown": None,
}


def native(**changes: Any) -> bytes:
    return json.dumps(NATIVE | changes, indent=1).encode()


def test_an_aci_as_a_docker_image() -> None:
    found = to_image(parse_manifest(native()))
    assert found.platform == Platform.parse("linux/arm/v7")
    assert found.config == RunConfig(
        user="100:300",
        exposed_ports=("2000/tcp", "2001/tcp"),
        env=("DEBUG=true",),
        entrypoint=("/bin/worker", "--quiet"),
        volumes=("/work",),
        working_dir="/opt",
        labels={"env": "canary", "team": "blue"},
    )
    assert (found.created, found.author) == ("2014-10-27T19:32:27.67021798Z", "Carly")
    assert {key: value for key, value in found.annotations.items() if not key.startswith(keys.ACI)} == {
        "org.opencontainers.image.url": "https://example.com",
        "org.opencontainers.image.documentation": "https://example.com/docs",
        "org.opencontainers.image.created": "2014-10-27T19:32:27.67021798Z",
        "org.opencontainers.image.authors": "Carly",
        "example.com/own": "1",
        "Note": "well",
    }
    assert found.annotations[keys.MANIFEST] == native().decode()
    facts = found.kept(Manifest)
    assert facts is not None
    assert (facts.name, facts.version, found.notes.name) == (
        "example.com/worker",
        "1.0.0",
        "example.com/worker:1.0.0",
    )
    assert [(loss.field, loss.kept) for loss in found.notes.losses] == [
        (field, keys.MANIFEST)
        for field in (
            "app.supplementaryGIDs",
            "app.eventHandlers",
            "app.isolators",
            "app.ports.socketActivated",
            "app.mountPoints.readOnly",
        )
    ]


def test_what_an_edit_does_not_touch_stays_in_the_manifest() -> None:
    found = to_image(parse_manifest(native()))
    edited = replace(found, config=replace(found.config, env=("DEBUG=false",)))
    document = dict(make_manifest(edited, baseline_of(edited)).document)
    environment = document["app"].pop("environment")
    original = json.loads(native())
    original["app"].pop("environment")
    assert environment == [{"name": "DEBUG", "value": "false"}]
    assert document == original


@pytest.mark.parametrize("member", ["labels", "app", "annotations", "dependencies", "pathWhitelist"])
def test_an_edit_finds_a_member_that_is_written_in_another_case(member: str) -> None:
    usual = json.loads(native(dependencies=[{"imageName": "example.com/base"}], pathWhitelist=["/bin"]))
    assert edited_manifest({member.upper() if key == member else key: usual[key] for key in usual}) == edited_manifest(
        usual
    )


@pytest.mark.parametrize("member", ["exec", "user", "environment", "ports", "workingDirectory", "userLabels"])
def test_an_edit_finds_a_member_of_the_app_that_is_written_in_another_case(member: str) -> None:
    app: dict[str, Any] = json.loads(native())["app"]
    other = {member.upper() if key == member else key: app[key] for key in app}
    assert edited_manifest(NATIVE | {"app": other}) == edited_manifest(NATIVE)


@pytest.mark.parametrize(
    "member, name",
    [
        pytest.param("environment", "value", id="the value of a variable"),
        pytest.param("isolators", "name", id="the name of an isolator"),
        pytest.param("mountPoints", "path", id="the path of a mount point"),
        pytest.param("ports", "protocol", id="the protocol of a port"),
    ],
)
def test_an_edit_of_something_else_leaves_what_is_written_in_another_case(member: str, name: str) -> None:
    document = json.loads(native())
    document["app"][member] = [
        {key.upper() if key == name else key: value for key, value in row.items()} for row in document["app"][member]
    ]
    found = to_image(parse_manifest(json.dumps(document).encode()))
    edited = replace(found, config=replace(found.config, stop_signal="TERM"))
    written = json.loads(render_manifest(make_manifest(edited, baseline_of(edited)).document))
    assert written["app"] == json.loads(native())["app"]


def test_an_edit_of_something_else_leaves_an_app_that_is_null() -> None:
    document = NATIVE | {"app": None}
    found = to_image(parse_manifest(json.dumps(document).encode()))
    edited = replace(found, created="2015-01-01T00:00:00Z")
    written = json.loads(render_manifest(make_manifest(edited, baseline_of(edited)).document))
    assert written["app"] is None


def edited_manifest(document: dict[str, Any]) -> dict[str, Any]:
    """What is written of a manifest once every part that this program writes has been edited."""
    found = to_image(parse_manifest(json.dumps(document).encode()))
    config = RunConfig(user="1:2", env=("A=b",), labels={"a": "b"}, entrypoint=("/x",), exposed_ports=("80/tcp",))
    image = replace(found, config=config, annotations={"new": "1"})
    written: dict[str, Any] = json.loads(render_manifest(make_manifest(image, baseline_of(image)).document))
    return written


@pytest.mark.parametrize(
    "labels, told",
    [
        pytest.param([], True, id="no labels"),
        pytest.param([{"name": "os", "value": "linux"}], True, id="a system alone"),
        pytest.param([{"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}], False, id="both"),
    ],
)
def test_a_platform_that_is_assumed_is_told(labels: list[dict[str, str]], told: bool) -> None:
    found = to_image(parse_manifest(native(labels=labels)))
    assert found.platform == Platform.parse("linux/amd64")
    assert any(loss.field == "platform" for loss in found.notes.losses) is told


@pytest.mark.parametrize(
    "entrypoint, cmd, found",
    [
        pytest.param('["/bin/worker"]', '["--quiet"]', (("/bin/worker",), ("--quiet",)), id="they say the command"),
        pytest.param(None, '["/bin/worker","--quiet"]', (None, ("/bin/worker", "--quiet")), id="a cmd alone"),
        pytest.param('["/bin/other"]', '["--quiet"]', (("/bin/worker", "--quiet"), None), id="they say another"),
        pytest.param('["/bin/worker"]', "--quiet", (("/bin/worker", "--quiet"), None), id="one is not JSON"),
        pytest.param('{"a":1}', "[1]", (("/bin/worker", "--quiet"), None), id="they are no lists of strings"),
        pytest.param(None, None, (("/bin/worker", "--quiet"), None), id="there are none"),
    ],
)
def test_entrypoint_and_cmd_hold_while_they_say_the_command(
    entrypoint: str | None, cmd: str | None, found: tuple[Any, Any]
) -> None:
    values = {"appc.io/docker/entrypoint": entrypoint, "appc.io/docker/cmd": cmd}
    rows = [{"name": name, "value": value} for name, value in values.items() if value is not None]
    config = to_image(parse_manifest(native(annotations=rows))).config
    assert (config.entrypoint, config.cmd) == found


def test_an_image_that_docker2aci_made_ran_as_root_where_nobody_was_named() -> None:
    rows = [{"name": "appc.io/docker/repository", "value": "library/x"}]
    app = {"exec": ["/x"], "user": "0", "group": "0"}
    assert to_image(parse_manifest(native(app=app, annotations=rows))).config.user == ""
    assert to_image(parse_manifest(native(app=app, annotations=[]))).config.user == "0:0"


def test_an_image_without_an_app_runs_nothing_and_stays_without_one() -> None:
    document = {key: value for key, value in NATIVE.items() if key != "app"}
    found = to_image(parse_manifest(json.dumps(document).encode()))
    assert found.config == RunConfig(labels={"env": "canary"})
    edited = replace(found, author="x")
    assert "app" not in make_manifest(edited, baseline_of(edited)).document


def test_the_owner_of_a_file_runs_the_app() -> None:
    app = {"exec": ["/x"], "user": "/usr/bin/ping", "group": "/bin/x"}
    manifest = parse_manifest(native(app=app))
    found = to_image(manifest, {"/usr/bin/ping": (7, 8), "/bin/x": (9, 10)})
    assert found.config.user == "7:10"
    base = baseline_of(found)
    assert base is not None
    assert is_unchanged(base, found)
    lost = to_image(manifest)
    assert lost.config.user == "/usr/bin/ping:/bin/x"
    assert "app.user" in [loss.field for loss in lost.notes.losses]


def test_a_manifest_that_is_too_long_is_not_kept() -> None:
    found = to_image(parse_manifest(native(**{"x-unknown": "x" * (1 << 20)})))
    assert keys.MANIFEST not in found.annotations
    assert {loss.kept for loss in found.notes.losses} == {""}
    assert "manifest" in [loss.field for loss in found.notes.losses]


@pytest.mark.parametrize("said", ['{"config":7}', '{"rootfs":5}', '{"architecture":"evil"}', "[]"])
def test_what_is_kept_of_a_configuration_and_is_none_of_it_counts_for_nothing(said: str) -> None:
    assert "docker" not in to_image(parse_manifest(native(annotations=[{"name": keys.CONFIG, "value": said}]))).foreign


@pytest.mark.parametrize(
    "members, annotations, env",
    [
        pytest.param({"annotations": [{"name": "a"}]}, {"a": ""}, (), id="an annotation without a value"),
        pytest.param({"annotations": [{"value": "b"}]}, {"": "b"}, (), id="an annotation without a name"),
        pytest.param({"annotations": [None]}, {"": ""}, (), id="an annotation that is null"),
        pytest.param({"Annotations": [{"NAME": "a", "value": "b"}]}, {"a": "b"}, (), id="keys in capitals"),
        pytest.param(
            {"app": {"exec": ["/x"], "user": "0", "group": "0", "environment": [{"name": "A"}]}},
            {},
            ("A=",),
            id="a variable without a value",
        ),
    ],
)
def test_a_manifest_is_read_as_the_reference_implementation_reads_it(
    members: dict[str, Any], annotations: dict[str, str], env: tuple[str, ...]
) -> None:
    document = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app"} | members
    found = parse_manifest(json.dumps(document).encode())
    assert found.annotations == annotations
    assert to_image(found).config.env == env


def test_a_pod_is_no_image() -> None:
    with pytest.raises(Invalid, match='expected "ImageManifest"'):
        parse_manifest(json.dumps({"acKind": "PodManifest", "acVersion": "0.8.11", "apps": []}).encode())
