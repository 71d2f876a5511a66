"""Shared by all tests: how hypothesis searches, what is told meanwhile, and which files run first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: the machine may be busy, and coverage slows all. On CI the same examples every time, so that a red run
# is about the change; elsewhere new ones.
settings.register_profile(
    "transship",
    deadline=None,
    derandomize=bool(os.environ.get("CI") or os.environ.get("SAME_EXAMPLES")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("transship")


@pytest.fixture(scope="session", autouse=True)
def _no_line_in_between() -> Iterator[None]:
    """A log gets a line an hour: every few seconds, one might come on a machine that stands still for as long."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("converter.cli.progress.INTERVAL", 3600.0)
        yield


LONG = ("packaging", "interop", "exhaustive")
"""Marks of tests that take their time."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with such tests first: a worker that came to one last would keep the others waiting for it."""
    ranks: dict[Path, int] = {}
    for item in items:
        marks = [place for place, name in enumerate(LONG) if item.get_closest_marker(name)]
        ranks[item.path] = min(*marks, len(LONG), ranks.get(item.path, len(LONG)))
    items.sort(key=lambda item: ranks[item.path])
