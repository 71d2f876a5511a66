from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.cache.blob_folder import BlobFolder
from converter.model.descriptor import Descriptor, Digest

DATA = b"a layer" * 1000
TYPE = "application/octet-stream"


def keep(blobs: BlobFolder, data: bytes, used: float = 0) -> Descriptor:
    """A blob in the cache, last used at a time."""
    descriptor = Descriptor.of(data, TYPE)
    with blobs.keeping([data[:10], data[10:]]) as (passing, done):
        assert b"".join(passing) == data
        done(descriptor.digest)
    if used:
        os.utime(path_of(blobs, descriptor.digest), (used, used))
    return descriptor


def path_of(blobs: BlobFolder, digest: Digest) -> Path:
    return next(one.path for one in blobs.kept() if one.digest == digest)


def test_what_passed_is_found_by_its_digest(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path / "blobs")
    found = blobs.find(keep(blobs, DATA))
    assert found is not None
    assert b"".join(found.blocks()) == DATA


def test_nothing_is_found_where_nothing_was_kept(tmp_path: Path) -> None:
    assert BlobFolder(tmp_path / "blobs").find(Descriptor.of(DATA, TYPE)) is None
    assert BlobFolder(tmp_path / "blobs").kept() == []


def test_blocks_that_nobody_named_leave_nothing(tmp_path: Path) -> None:
    with BlobFolder(tmp_path).keeping([DATA]) as (passing, _):
        list(passing)
    assert list(tmp_path.iterdir()) == []


def flip(path: Path) -> None:
    path.write_bytes(b"b" + DATA[1:])


def cut(path: Path) -> None:
    path.write_bytes(DATA[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_damaged_blob_is_as_if_it_had_never_been_there(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    blobs = BlobFolder(tmp_path)
    descriptor = keep(blobs, DATA)
    damage(path_of(blobs, descriptor.digest))
    assert blobs.find(descriptor) is None
    assert blobs.kept() == []


def test_those_not_used_for_longest_go_first(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path, most=2 * len(DATA))
    old, older, new = keep(blobs, b"1" + DATA[1:], 200), keep(blobs, b"2" + DATA[1:], 100), keep(blobs, DATA, 300)
    assert [one.digest for one in blobs.trim()] == [older.digest]
    assert [one.digest for one in blobs.kept()] == [old.digest, new.digest]


def test_finding_one_is_using_it(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    descriptor = keep(blobs, DATA, 100)
    blobs.find(descriptor)
    assert blobs.kept()[0].used > 100


def test_a_folder_that_cannot_be_written_keeps_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    blobs = BlobFolder(tmp_path / "file" / "blobs")
    assert blobs.find(keep(blobs, DATA)) is None
    assert blobs.trim() == []


def test_a_full_disk_ends_the_keeping_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _block: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("converter.cache.blob_folder.write_all", full)
    blobs = BlobFolder(tmp_path)
    assert blobs.find(keep(blobs, DATA)) is None
