from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.conversion.job import Job
from converter.conversion.sync.jobs import Unlisted, plan_jobs
from converter.errors import Usage
from tests.builders import add_image
from tests.builders.acis import aci, manifest
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.stores.registry.fake import FakeRegistry, Refuse, first
from tests.stores.registry.pushing import PLAIN
from tests.sync.entries import entry


def planned(tags: int) -> int:
    """The bytes that a plan of so many tags takes."""
    asked = entry("docker://registry.example/team/app", "docker://mirror.example/copy")
    named = replace(asked, references=tuple(f"v{number}" for number in range(tags)))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    plan = list(plan_jobs([named]))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan) == tags
    return after - before


def test_a_plan_grows_with_its_tags_and_no_more() -> None:
    planned(10)  # what is imported and cached

    few, many = planned(1_000), planned(10_000)

    assert many < few * 12  # dictionaries grow in steps
    assert many < 10_000 * 600


@pytest.mark.parametrize(
    "file, members, called",
    [
        pytest.param("a.aci", {"name": "example.com/team/etcd", "version": "v2.0.0"}, "etcd:v2.0.0", id="all it says"),
        pytest.param("etcd-v2.0.0-linux-amd64.aci", {"name": "example.com/etcd"}, "etcd:latest", id="no version"),
    ],
)
def test_an_aci_is_called_what_its_manifest_says(
    tmp_path: Path, file: str, members: dict[str, str], called: str
) -> None:
    document = manifest(members["name"])
    document["labels"] += [{"name": "version", "value": members["version"]}] if "version" in members else []
    (tmp_path / file).write_bytes(b"".join(aci(document).blocks()))

    (job,) = plan_jobs([entry(f"aci:{tmp_path / file}", "oci:out")])
    assert isinstance(job, Job)
    assert job.destination.name == called


def test_an_aci_that_is_to_be_discovered_has_its_name_already() -> None:
    (job,) = plan_jobs([entry("appc:example.com/team/etcd:2,os=linux", "oci:out")])
    assert isinstance(job, Job)
    assert job.destination.name == "etcd:2"


@pytest.mark.parametrize(
    "transport, called",
    [
        pytest.param("aci", "image:latest", id="an ACI"),
        pytest.param("dir", "in:latest", id="a directory"),
        pytest.param("oci", "in:0", id="a layout"),
    ],
)
def test_at_a_bare_path_an_image_is_called_as_with_its_transport(tmp_path: Path, transport: str, called: str) -> None:
    store = MemoryStore()
    put(store, add_image(store), "", where=str(tmp_path / "made"))
    converter.convert(f"oci:{tmp_path}/made", f"{transport}:{tmp_path}/in")

    (bare,), (told,) = (plan_jobs([entry(f"{start}{tmp_path}/in", "oci:out")]) for start in ("", f"{transport}:"))
    assert bare == told
    assert isinstance(bare, Job)
    assert bare.destination.name == called


def test_what_is_no_aci_is_told_of_that_image_alone(tmp_path: Path) -> None:
    (tmp_path / "no.aci").write_bytes(b"nothing of the kind")
    found = list(plan_jobs([entry(f"aci:{tmp_path}/no.aci", "oci:out"), entry("docker-daemon:app:1", "oci:out")]))
    assert [type(one) for one in found] == [Unlisted, Job]


def of_registry(ours: FakeRegistry, path: str, rename: str = "") -> list[Job | Unlisted]:
    return list(plan_jobs([entry(f"docker://{ours.host}/{path}", "oci:out", rename, store=PLAIN)]))


@pytest.mark.parametrize(
    "path, rename, named",
    [
        pytest.param("", "", ["a/app:1", "b/app:1", "b/app:2"], id="a registry, with whole names"),
        pytest.param("b/", "", ["b/app:1", "b/app:2"], id="a part of one"),
        pytest.param("b/", "x-{name}", ["x-app:1", "x-app:2"], id="renamed"),
    ],
)
def test_all_repositories_of_a_registry_are_planned(
    ours: FakeRegistry, path: str, rename: str, named: list[str]
) -> None:
    for name, tag in (("a/app", "1"), ("b/app", "1"), ("b/app", "2")):
        ours[name].tags[tag] = ""

    assert [job.destination.name for job in of_registry(ours, path, rename) if isinstance(job, Job)] == named


def test_repositories_that_would_get_the_same_name_are_refused(ours: FakeRegistry) -> None:
    for name in ("a/app", "b/app"):
        ours[name].tags["1"] = ""

    with pytest.raises(Usage, match=r"use other names \(--rename .\{repository\}.\)"):
        of_registry(ours, "", "{name}")


@pytest.mark.parametrize(
    "status, planned",
    [
        pytest.param(404, [Job], id="one without tags is passed over"),
        pytest.param(403, [Unlisted, Job], id="one that must not be read is told"),
    ],
)
def test_a_repository_whose_tags_cannot_be_listed(ours: FakeRegistry, status: int, planned: list[type]) -> None:
    for name in ("a", "b"):
        ours[name].tags["1"] = ""
    ours.fault = first(9, Refuse(status=status), path="/a/tags")

    assert [type(one) for one in of_registry(ours, "")] == planned
