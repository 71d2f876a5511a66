"""A disk that fails at any call, and one that is full: the target is as before or complete, and one line says why."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.errors import ConverterError, StorageFailed
from converter.stores.media.temporary import remove_leftovers
from tests.builders import add_image, tar
from tests.builders.memory import MemoryStore
from tests.failing_disk import failing
from tests.stores.copying import copy, sink_at
from tests.stores.disk_targets import CASES, TARGETS, Target, before_and_after, is_whole, temporaries
from tests.stores.unpacking import listed

CODES = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE)
"""They take turns, since which of them it is should make no difference; to ``pathlib`` and ``os.walk`` it does."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("target, there", CASES)
def test_a_disk_that_fails_at_any_call(
    target: Target, there: bool, lasting: bool, images: tuple[Path, Path], in_memory: Path
) -> None:
    new = images[1]
    initial, out = in_memory / "initial", in_memory / "out"
    before, complete = before_and_after(target, there, images, initial, out)
    for moment in itertools.count(step=3 if lasting else 1):
        shutil.rmtree(out)
        shutil.copytree(initial, out, symlinks=True)
        opened = files_open()
        code = CODES[moment % len(CODES)]
        error = None
        with failing(code, moment, lasting=lasting) as disk:
            try:
                target.write(new, out)
            except ConverterError as found:
                error = found
        assert closed_again(opened), f"{disk.failed} left files open"
        remove_leftovers()  # as the end of a program does
        found_there = listed(out)
        assert not temporaries(found_there)
        if error is None:
            assert found_there == complete
        else:
            assert os.strerror(code).lower() in str(error).lower()
            assert is_whole(found_there, before, complete)
        if found_there not in (before, complete):
            target.write(new, out)
            assert listed(out) == complete
        if not disk.failed:
            break
    assert moment > 50, "there were calls to fail at"


def closed_again(opened: int) -> bool:
    """Whether no more files are open than before; what other tests hold may take a moment to go."""
    for _ in range(100):
        if files_open() <= opened:
            return True
        gc.collect()
        time.sleep(0.05)
    return False


def files_open() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly any room."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "transship-test", place], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"only root may mount: {done.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_disk_that_is_full(target: Target, images: tuple[Path, Path], small: Path, tmp_path: Path) -> None:
    target.write(images[0], small)
    if target.unpacked:
        (small / "x").rename(small / "y")
    before = listed(small)
    store, large = MemoryStore(), tmp_path / "large"
    copy(store, add_image(store, tars=(tar({"big": os.urandom(400_000)}),), name=""), sink_at("oci", large), "app")
    with pytest.raises(StorageFailed, match="no space left on device") as error:
        target.write(large, small)
    assert ".transship-" not in str(error.value), "what is told is where it was to go"
    assert listed(small) == before
