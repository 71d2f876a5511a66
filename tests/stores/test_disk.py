"""A refusal by the disk is an error, never an empty directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from converter.errors import NotFound, StorageFailed
from converter.stores.disk import sync_files, sync_tree, walk_directory


def refusing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """``folder`` cannot be looked into, as for whoever lacks the right to; these tests may run as root."""
    scandir = os.scandir

    def scan(path: str) -> os._ScandirIterator[str]:
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)


@pytest.mark.parametrize("walk", [lambda path: list(walk_directory(path)), sync_files, sync_tree])
def test_a_directory_that_cannot_be_looked_into_is_not_passed_over(
    walk: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(walk)
    (tmp_path / "below").mkdir()
    walk(tmp_path)
    refusing(monkeypatch, tmp_path / "below")
    with pytest.raises(StorageFailed, match="permission denied"):
        walk(tmp_path)


def test_a_directory_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(walk_directory(tmp_path / "missing"))
