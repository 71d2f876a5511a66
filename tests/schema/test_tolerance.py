"""Documents of real tools are read, although ``validate`` reports their faults."""

from __future__ import annotations

import json
from typing import Any

import pytest

from converter.schema import blocking_findings, check_document

DIGEST = "sha256:" + "a" * 64
CONFIG = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
DESCRIPTOR = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2}
LAYER = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.zstd", "digest": DIGEST, "size": 2}
SCHEMA2 = {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [LAYER]}
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def stopped(document: Any, kind: str) -> list[str]:
    return [finding.rule for finding in blocking_findings(check_document(json.dumps(document).encode(), kind), kind)]


@pytest.mark.parametrize(
    "kind, document",
    [
        pytest.param("oci-config", {**CONFIG, "config": {"Env": None, "ExposedPorts": None}}, id="nulls of the engine"),
        pytest.param("oci-config", {**CONFIG, "config": {"Env": ["ALONE"]}}, id="a variable without a value"),
        pytest.param("oci-config", {**CONFIG, "history": None}, id="no history"),
        pytest.param("oci-config", {**CONFIG, "history": [None]}, id="a step of which nothing is said"),
        pytest.param("oci-config", {**CONFIG, "config": {"Healthcheck": 5}}, id="a health check that OCI ignores"),
        pytest.param("oci-config", {**CONFIG, "Size": 1.0}, id="a size that is no whole number to Go"),
        pytest.param("docker-config", {**CONFIG, "config": {"Cmd": "serve"}}, id="a command that is one string"),
        pytest.param("oci-manifest", {"schemaVersion": 2, "config": DESCRIPTOR, "layers": []}, id="no layers"),
        pytest.param(
            "oci-manifest", {"schemaVersion": 2, "config": DESCRIPTOR, "layers": None}, id="layers that are null"
        ),
        pytest.param("oci-index", {"schemaVersion": 2, "manifests": None}, id="an index of docker save"),
        pytest.param("oci-config", {**CONFIG, "Config": {"User": "1"}}, id="a configuration as only Go reads it"),
        pytest.param("docker-config", {**CONFIG, "config": {"env": ["A=b"]}}, id="the variables of Guix"),
        pytest.param("docker-schema2", {**SCHEMA2, "mediaType": DOCKER}, id="BuildKit's zstd layers"),
        pytest.param("docker-schema2", SCHEMA2, id="a manifest without its type"),
    ],
)
def test_forgiven(kind: str, document: Any) -> None:
    assert check_document(json.dumps(document).encode(), kind)
    assert stopped(document, kind) == []


@pytest.mark.parametrize(
    "kind, document, rules",
    [
        pytest.param("oci-config", {**CONFIG, "config": {"Env": "A=b"}}, ["schema/oci-config/type"], id="another type"),
        pytest.param("docker-schema2", {"mediaType": DOCKER}, ["schema/docker-schema2/required"] * 3, id="no members"),
        pytest.param(
            "docker-schema2",
            {**SCHEMA2, "mediaType": DOCKER, "layers": [{**LAYER, "mediaType": "a/b"}]},
            ["docker/layer-media-type"],
            id="layers of a type that nobody has",
        ),
        pytest.param(
            "oci-manifest",
            {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [], "manifests": []},
            ["oci/ambiguous"],
            id="two kinds at once",
        ),
        pytest.param(
            "docker-config", {**CONFIG, "config": {"User": "1", "user": "2"}}, ["json/ambiguous-key"], id="two users"
        ),
        pytest.param(
            "oci-manifest",
            {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [], "Annotations": {}},
            ["json/key-case"],
            id="annotations for Go alone",
        ),
    ],
)
def test_not_forgiven(kind: str, document: Any, rules: list[str]) -> None:
    assert stopped(document, kind) == rules


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"os": "amiga"}, id="an odd system"),
        pytest.param({"config": {"Labels": {"USER": "1", "config": "2"}}}, id="labels called as members are"),
        pytest.param({"unknown": {"USER": "1"}}, id="members that nobody knows"),
    ],
)
def test_what_stops_nothing(change: dict[str, Any]) -> None:
    assert stopped({**CONFIG, **change}, "oci-config") == []
