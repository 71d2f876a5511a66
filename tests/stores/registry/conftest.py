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
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake
