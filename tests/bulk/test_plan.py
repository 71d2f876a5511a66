from __future__ import annotations

import tracemalloc
from dataclasses import replace

from converter.bulk.plan import jobs
from converter.stores.hosts import Hosts
from tests.bulk.images import entry


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
