"""From a Docker or OCI image to the manifest of an ACI and back: no archive is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from converter.formats.aci import kept_annotations as keys
from converter.formats.aci.reading import (
    Manifest,
    baseline_of,
    comparable_image,
    fit_history,
    is_unchanged,
    parse_manifest,
    render_manifest,
    to_image,
)
from converter.formats.aci.writing import make_manifest
from converter.formats.container_config import Schema1, UnknownMembers
from converter.model.content import known_bytes
from converter.model.image import History, Image, Notes, Original, RunConfig
from converter.model.platform import Platform

LINUX = Platform(os="linux", architecture="amd64")


def unnamed(**members: Any) -> dict[str, UnknownMembers]:
    """What an image keeps of a configuration, and no specification names."""
    return {"docker": UnknownMembers(members)}


def image(config: RunConfig | None = None, **more: Any) -> Image:
    """A Docker image that came from somewhere."""
    original = Original(format="docker", manifest=known_bytes(b"{}", "m"), config=known_bytes(b"{}", "c"))
    notes = Notes(name="docker.io/library/app:1")
    fields: dict[str, Any] = {"platform": LINUX, "original": original, "notes": notes} | more
    return Image(config=config or RunConfig(), **fields)


def converted(source: Image) -> Manifest:
    return parse_manifest(render_manifest(make_manifest(source, None).document))


def back(source: Image) -> Image:
    return to_image(converted(source))


def losses(source: Image) -> dict[str, str]:
    return {loss.field: loss.kept for loss in make_manifest(source, None).losses}


@pytest.mark.parametrize(
    "config, app",
    [
        pytest.param(RunConfig(), {"exec": [], "user": "0", "group": "0"}, id="nothing runs as root"),
        pytest.param(
            RunConfig(entrypoint=("/bin/sh", "-c"), cmd=("echo",)),
            {"exec": ["/bin/sh", "-c", "echo"]},
            id="entrypoint and cmd are one command",
        ),
        pytest.param(RunConfig(user="a:b"), {"user": "a", "group": "b"}, id="a user and a group"),
        pytest.param(RunConfig(user="1000:"), {"user": "1000", "group": "1000"}, id="a group that is yet to be found"),
        pytest.param(RunConfig(env=("A=1",)), {"environment": [{"name": "A", "value": "1"}]}, id="a variable"),
        pytest.param(
            RunConfig(volumes=("/data",)), {"mountPoints": [{"name": "volume-data", "path": "/data"}]}, id="a volume"
        ),
        pytest.param(RunConfig(working_dir="/srv"), {"workingDirectory": "/srv"}, id="a directory"),
        pytest.param(RunConfig(working_dir="srv"), {"workingDirectory": "/srv"}, id="a directory that is not absolute"),
        pytest.param(RunConfig(labels={"A b": "c"}), {"userLabels": {"A b": "c"}}, id="labels"),
    ],
)
def test_how_a_docker_image_runs(config: RunConfig, app: dict[str, Any]) -> None:
    found = converted(image(config)).app
    assert found is not None
    assert {key: found[key] for key in app} == app
    assert set(found) <= {"exec", "user", "group", *app}


def test_where_a_docker_image_comes_from() -> None:
    manifest = converted(image(created="2020-01-02T03:04:05.678Z", author="me"))
    digest = known_bytes(b"{}", "").descriptor.digest
    assert (manifest.name, manifest.labels) == (
        "docker.io/library/app",
        {"arch": "amd64", "os": "linux", "version": "1"},
    )
    assert manifest.annotations == {
        "appc.io/docker/imageid": str(digest),
        "appc.io/docker/manifesthash": str(digest),
        "appc.io/docker/originalname": "docker.io/library/app:1",
        "appc.io/docker/registryurl": "docker.io",
        "appc.io/docker/repository": "library/app",
        "author": "me",
        "authors": "me",
        "created": "2020-01-02T03:04:05.678Z",
    }


@pytest.mark.parametrize(
    "more, name, version",
    [
        pytest.param({}, "image", None, id="nobody says"),
        pytest.param({"annotations": {"org.opencontainers.image.title": "My App"}}, "my_app", None, id="a title"),
        pytest.param({"notes": Notes(name="No Reference")}, "no_reference", None, id="no reference"),
        pytest.param({"annotations": {"org.opencontainers.image.ref.name": "1.0"}}, "image", "1.0", id="a tag"),
        pytest.param({"notes": Notes(name="v1.2-rc")}, "image", "v1.2-rc", id="a layout's short tag"),
        pytest.param({"notes": Notes(name="latest")}, "image", "latest", id="the usual tag"),
        pytest.param({"notes": Notes(name="App")}, "app", None, id="a layout's short name"),
        pytest.param(
            {
                "notes": Notes(name="edge"),
                "annotations": {"org.opencontainers.image.title": "My App"},
            },
            "my_app",
            "edge",
            id="a short name beside a title is a tag",
        ),
        pytest.param(
            {"notes": Notes(name="1.2"), "annotations": {"io.containerd.image.name": "quay.io/a/b:1"}},
            "quay.io/a/b",
            "1",
            id="a full name says more than a layout's short one",
        ),
        pytest.param(
            {"annotations": {"org.opencontainers.image.ref.name": "quay.io/a/b:2"}}, "quay.io/a/b", "2", id="a ref.name"
        ),
        pytest.param(
            {"annotations": {"io.containerd.image.name": "docker.io/a/b:3"}}, "docker.io/a/b", "3", id="a name"
        ),
        pytest.param(
            {"foreign": {"docker-v1": Schema1(name="a/b", tag="4", id="5")}}, "docker.io/a/b", "4", id="schema 1"
        ),
    ],
)
def test_the_name_is_what_the_image_calls_itself(more: dict[str, Any], name: str, version: str | None) -> None:
    manifest = converted(Image(platform=LINUX, **more))
    assert (manifest.name, manifest.labels.get("version")) == (name, version)


@pytest.mark.parametrize(
    "source, kept",
    [
        pytest.param(image(), {}, id="nothing is lost of nothing"),
        pytest.param(image(RunConfig(user="app")), {}, id="a user without a group"),
        pytest.param(image(RunConfig(env=("A", "B=1"))), {"config.env": keys.ENV}, id="a variable without a value"),
        pytest.param(image(RunConfig(env=("B=1", "B=2"))), {}, id="a setting that another hides"),
        pytest.param(
            image(RunConfig(exposed_ports=("0", "80"))), {"config.exposed_ports": keys.EXPOSED_PORTS}, id="port 0"
        ),
        pytest.param(
            image(RunConfig(healthcheck={"Test": ["NONE"]}, stop_signal="SIGINT", shell=("sh",), on_build=("RUN",))),
            {
                "config.healthcheck": keys.HEALTHCHECK,
                "config.stop_signal": keys.STOP_SIGNAL,
                "config.shell": keys.SHELL,
                "config.on_build": keys.ON_BUILD,
            },
            id="what appc has no word for",
        ),
        pytest.param(image(history=(History(created_by="x"),)), {"history": keys.HISTORY}, id="a history"),
        pytest.param(image(created="yesterday"), {"created": keys.CREATED}, id="a date that is none"),
        pytest.param(image(platform=Platform.parse("linux/riscv64")), {"platform": keys.PLATFORM}, id="a platform"),
        pytest.param(image(platform=Platform.parse("linux/amd64/v3")), {"platform": keys.PLATFORM}, id="a variant"),
        pytest.param(image(platform=Platform.parse("linux/arm64/v8")), {}, id="a variant that says nothing"),
        pytest.param(
            image(platform=replace(LINUX, os_version="10")), {"platform": keys.PLATFORM}, id="a version of the system"
        ),
        pytest.param(image(annotations={"org.example.a": "b"}), {}, id="an annotation"),
        pytest.param(
            image(annotations={"Org": "b"}), {"annotations": keys.ANNOTATIONS}, id="an annotation in upper case"
        ),
        pytest.param(image(foreign=unnamed(comment="hello")), {}, id="a comment"),
        pytest.param(
            image(foreign=unnamed(docker_version="1", config={"Domainname": ""})),
            {"config": keys.CONFIG},
            id="members without a name here",
        ),
        pytest.param(image(foreign=unnamed(config={"Memory": 5, "Tty": False})), {}, id="limits are isolators"),
    ],
)
def test_what_is_kept_elsewhere_is_told(source: Image, kept: dict[str, str]) -> None:
    assert losses(source) == kept


def test_a_loss_of_variables_names_them_and_hides_what_they_hold() -> None:
    (loss,) = make_manifest(image(RunConfig(env=("0TOKEN=secret",))), None).losses
    assert "'0TOKEN'" in loss.reason
    assert "secret" not in loss.reason


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.sampled_from(("A", "B", "0", "a.b", "")) | TEXT
WORDS = st.none() | st.lists(TEXT, max_size=3).map(tuple)
PORTS = st.sampled_from(("80", "80/tcp", "53/udp", "1-3/tcp", "0", "x")) | TEXT
CONFIGS = st.builds(
    RunConfig,
    user=st.sampled_from(("", "0", "0:0", "a", "a:b", "1:", ":1")) | TEXT,
    exposed_ports=st.lists(PORTS, unique=True, max_size=4).map(tuple),
    env=st.lists(st.builds("{}={}".format, NAMES, TEXT) | TEXT, max_size=4).map(tuple),
    entrypoint=WORDS,
    cmd=WORDS,
    volumes=st.lists(TEXT, unique=True, max_size=3).map(tuple),
    working_dir=st.sampled_from(("", "/", "/a", "a")) | TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    stop_signal=st.sampled_from(("", "SIGTERM")),
    healthcheck=st.none() | st.just({"Test": ["CMD", "x"], "Interval": 1}),
    shell=WORDS,
    on_build=WORDS,
)
IMAGES = st.builds(
    image,
    CONFIGS,
    platform=st.sampled_from(
        [Platform.parse(text) for text in ("linux/amd64", "linux/arm", "linux/arm64/v8", "linux/riscv64", "plan9/386")]
    ),
    created=st.sampled_from(("", "2020-01-02T03:04:05Z", "yesterday")),
    author=TEXT,
    annotations=st.dictionaries(
        st.sampled_from(("org.opencontainers.image.url", "created", "Upper", "appc.io/docker/user", "a/b")) | TEXT,
        st.sampled_from(("https://example.com/", "")) | TEXT,
        max_size=4,
    ),
    foreign=st.sampled_from(({}, unnamed(comment="c", config={"Memory": 7, "Hostname": "h"}, x=[1]))),
)


def plain(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith(keys.ACI)}


@given(IMAGES)
def test_a_docker_image_that_was_an_aci_says_what_it_said(source: Image) -> None:
    found = back(source)
    assert comparable_image(found).config == comparable_image(source).config
    assert (found.platform, found.created, found.author) == (source.platform, source.created, source.author)
    assert plain(found.annotations) == plain(source.annotations)
    assert found.foreign.get("docker") == source.foreign.get("docker")


@given(IMAGES)
def test_the_same_image_gives_the_same_manifest(source: Image) -> None:
    text = converted(source).text
    turned = replace(
        source,
        config=replace(source.config, exposed_ports=tuple(reversed(source.config.exposed_ports))),
    )
    assert converted(source).text == text == converted(turned).text


@given(IMAGES)
def test_an_image_that_nobody_changed_keeps_its_manifest_byte_for_byte(source: Image) -> None:
    found = back(source)
    base = baseline_of(found)
    assert base is not None
    assert is_unchanged(base, found)
    assert render_manifest(make_manifest(found, base).document) == converted(source).text.encode()


@given(IMAGES, CONFIGS)
def test_an_edit_shows_and_everything_else_stays(source: Image, config: RunConfig) -> None:
    found = back(source)
    edited = replace(found, config=config, author="another", annotations={**found.annotations, "Odd": "1", "new": "2"})
    again = to_image(parse_manifest(render_manifest(make_manifest(edited, baseline_of(edited)).document)))
    assert comparable_image(again).config == comparable_image(edited).config
    assert (again.platform, again.author, again.created) == (found.platform, "another", found.created)
    assert plain(again.annotations) == plain(edited.annotations)


def test_an_annotation_that_is_no_manifest_is_no_baseline() -> None:
    assert baseline_of(image(annotations={keys.MANIFEST: "{}"})) is None
    assert baseline_of(image()) is None


@pytest.mark.parametrize(
    "steps, count, told",
    [
        pytest.param("LeL", 2, "LeL", id="as many as there are layers"),
        pytest.param("LeLLe", 1, "eeeLe", id="the last of several made the one layer"),
        pytest.param("LLL", 2, "eLL", id="the last two of three"),
        pytest.param("ee", 1, "eL", id="one that told of none"),
        pytest.param("e", 2, "", id="too few steps say nothing"),
        pytest.param("", 1, "", id="no history"),
    ],
)
def test_a_history_fits_the_layers(steps: str, count: int, told: str) -> None:
    history = tuple(History(comment=str(n), empty_layer=step == "e") for n, step in enumerate(steps))
    found = fit_history(history, count)
    assert "".join("e" if step.empty_layer else "L" for step in found) == told
    assert [step.comment for step in found] == [step.comment for step in history][: len(told)]


def test_a_history_comes_back_as_that_of_one_layer() -> None:
    steps = (History(created_by="a"), History(created_by="b", empty_layer=True), History(created_by="c"))
    found = back(image(history=steps)).history
    assert [step.created_by for step in found] == ["a", "b", "c"]
    assert [step.empty_layer for step in found] == [True, True, False]
