"""What tests of stores share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.disk_targets import make_image

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two images, in layouts."""
    old, new = (tmp_path_factory.mktemp("image") for _ in range(2))
    make_image(0, old)
    make_image(1, new)
    return old, new


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files are synced at no cost, where the system has such a place."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="transship-test-", dir=MEMORY) as folder:
        yield Path(folder)
