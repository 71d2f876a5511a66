from __future__ import annotations

import pytest

from converter.model import appc
from converter.model.platform import Platform


@pytest.mark.parametrize(
    "text, identifier, name",
    [
        pytest.param(
            "docker.io/library/busybox", "docker.io/library/busybox", "docker-io-library-busybox", id="a name"
        ),
        pytest.param("localhost:5000/App", "localhost_5000/app", "localhost-5000-app", id="a port, and upper case"),
        pytest.param("/_a b_/", "_a_b_".strip("_"), "a-b", id="edges are trimmed"),
        pytest.param("a--b~c", "a--b~c", "a--b-c", id="runs of separators stay"),
        pytest.param("größe", "gr__e", "gr--e", id="what is not ASCII is replaced"),
        pytest.param("---", "", "", id="nothing is left"),
    ],
)
def test_names_are_sanitised_by_the_rule_of_docker2aci(text: str, identifier: str, name: str) -> None:
    assert (appc.sanitised_identifier(text), appc.sanitised_name(text)) == (identifier, name)


@pytest.mark.parametrize("bad", ["", "a\n", "-a", "a/", "A", "a:b"])
def test_an_identifier_is_matched_whole(bad: str) -> None:
    assert appc.IDENTIFIER.fullmatch(bad) is None


PAIRS = [
    ("linux/amd64", "linux", "amd64"),
    ("linux/386", "linux", "i386"),
    ("linux/arm64", "linux", "aarch64"),
    ("linux/arm/v6", "linux", "armv6l"),
    ("linux/arm/v7", "linux", "armv7l"),
    ("linux/ppc64", "linux", "ppc64"),
    ("linux/ppc64le", "linux", "ppc64le"),
    ("linux/s390x", "linux", "s390x"),
    ("freebsd/amd64", "freebsd", "amd64"),
    ("freebsd/386", "freebsd", "i386"),
    ("freebsd/arm", "freebsd", "arm"),
    ("darwin/amd64", "darwin", "x86_64"),
    ("darwin/386", "darwin", "i386"),
]


@pytest.mark.parametrize("platform, os, arch", PAIRS)
def test_a_platform_and_its_labels_stand_for_each_other(platform: str, os: str, arch: str) -> None:
    labels = {"arch": arch, "os": os}
    assert appc.platform_labels(Platform.parse(platform)) == labels
    assert appc.platform_of(labels) == (Platform.parse(platform), "")


@pytest.mark.parametrize(
    "platform, labels",
    [
        pytest.param("linux/arm64/v8", {"arch": "aarch64", "os": "linux"}, id="the variant that all arm64 has"),
        pytest.param("linux/arm", {"arch": "armv6l", "os": "linux"}, id="arm alone is the least of them"),
        pytest.param("linux/armhf", {"arch": "armv7l", "os": "linux"}, id="another spelling of a variant"),
        pytest.param("linux/amd64/v3", {"arch": "amd64", "os": "linux"}, id="appc knows no variant of amd64"),
        pytest.param("linux/x86_64", {"arch": "amd64", "os": "linux"}, id="another spelling"),
        pytest.param("linux/arm/v5", {}, id="a variant that appc does not know"),
        pytest.param("linux/riscv64", {}, id="an architecture that appc does not know"),
        pytest.param("windows/amd64", {}, id="a system that appc does not know"),
        pytest.param("linux/aarch64_be", {"arch": "aarch64_be", "os": "linux"}, id="a name of appc's own comes back"),
    ],
)
def test_what_appc_cannot_say_is_left_out(platform: str, labels: dict[str, str]) -> None:
    assert appc.platform_labels(Platform.parse(platform)) == labels


@pytest.mark.parametrize(
    "labels, platform, told",
    [
        pytest.param({}, "linux/amd64", "assumed", id="no labels"),
        pytest.param({"os": "freebsd"}, "freebsd/amd64", "assumed", id="a system alone"),
        pytest.param({"arch": "aarch64"}, "linux/arm64", "assumed", id="an architecture alone"),
        pytest.param({"os": "linux", "arch": "aarch64_be"}, "linux/aarch64_be", "nameless", id="Go has no name for it"),
        pytest.param({"os": "linux", "arch": "armv7b"}, "linux/armv7b", "nameless", id="nor for this"),
    ],
)
def test_what_labels_do_not_say_is_told_apart(labels: dict[str, str], platform: str, told: str) -> None:
    assert appc.platform_of(labels) == (Platform.parse(platform), told)


@pytest.mark.parametrize(
    "reference, name, version",
    [
        pytest.param("busybox:1", "docker.io/library/busybox", "1", id="a short name is told in full"),
        pytest.param("localhost:5000/a/b:v1.0", "localhost_5000/a/b", "v1.0", id="a registry with a port"),
        pytest.param("quay.io/coreos/etcd", "quay.io/coreos/etcd", "", id="no tag, no version"),
        pytest.param(f"a@sha256:{'0' * 64}", "docker.io/library/a", "", id="a digest is no version"),
        pytest.param("Not A Reference", "not_a_reference", "", id="what is no reference"),
    ],
)
def test_a_reference_names_an_aci(reference: str, name: str, version: str) -> None:
    assert appc.identifier_and_version(reference) == (name, version)


@pytest.mark.parametrize(
    "name, version, reference",
    [
        pytest.param("example.com/app", "1.0.0", "example.com/app:1.0.0", id="a name and a version"),
        pytest.param("example.com/app", "", "example.com/app:latest", id="no version"),
        pytest.param("example.com/~bob/db", "1+build", "example.com/bob/db:1_build", id="what a reference cannot hold"),
        pytest.param("a..b/c", "-x", "a-b/c:x", id="runs of separators"),
    ],
)
def test_an_aci_is_given_a_reference(name: str, version: str, reference: str) -> None:
    assert appc.reference_of(name, version) == reference
