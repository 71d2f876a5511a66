from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from converter.bulk.plan import Job, Unlisted, jobs
from converter.stores.hosts import Hosts
from tests.bulk.images import entry
from tests.formats.aci_archives import aci, manifest


def planned(tags: int) -> int:
    """The bytes that a plan of so many tags takes."""
    asked = entry("docker://registry.example/team/app", "docker://mirror.example/copy")
    named = replace(asked, references=tuple(f"v{number}" for number in range(tags)))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    plan = list(jobs([named], Hosts()))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan) == tags
    return after - before


def test_a_plan_grows_with_its_tags_and_no_more() -> None:
    planned(10)  # what is imported and cached

    few, many = planned(1_000), planned(10_000)

    assert many < few * 11
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

    (job,) = jobs([entry(f"aci:{tmp_path / file}", "oci:out")], Hosts())
    assert isinstance(job, Job)
    assert job.destination.name == called


def test_an_aci_that_is_to_be_discovered_has_its_name_already() -> None:
    (job,) = jobs([entry("appc:example.com/team/etcd:2,os=linux", "oci:out")], Hosts())
    assert isinstance(job, Job)
    assert job.destination.name == "etcd:2"


def test_what_is_no_aci_is_told_of_that_image_alone(tmp_path: Path) -> None:
    (tmp_path / "no.aci").write_bytes(b"nothing of the kind")
    found = list(jobs([entry(f"aci:{tmp_path}/no.aci", "oci:out"), entry("docker-daemon:app:1", "oci:out")], Hosts()))
    assert [type(one) for one in found] == [Unlisted, Job]
