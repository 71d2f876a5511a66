from __future__ import annotations

from collections.abc import Iterator

import pytest

from converter.stores import retry
from tests.stores.registry.fake import FakeRegistry


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where the world waits for seconds."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)


@pytest.fixture
def ours() -> Iterator[FakeRegistry]:
    """The registry that images come from."""
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def theirs() -> Iterator[FakeRegistry]:
    """The registry that images go to."""
    with FakeRegistry() as fake:
        yield fake
