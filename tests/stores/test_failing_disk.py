"""A disk that fails at any call, and one that is full: the target is as before or complete, and one line says why."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import converter
from converter.errors import ConverterError, StorageFailed
from converter.stores.media.temporary import remove_leftovers
from tests.builders import add_image, tar
from tests.builders.memory import MemoryStore
from tests.failing_disk import failing, vanishing
from tests.stores.copying import copy, sink_at
from tests.stores.unpacking import Seen, hard, link, listed
from tests.strategies.tar import File, archive

CODES = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE)
"""They take turns, since which of them it is should make no difference; to ``pathlib`` and ``os.walk`` it does."""

Tree = dict[bytes, Seen]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a conversion writes; ``layered`` makes one ACI a layer."""

    transport: str
    suffix: str = ""
    layered: bool = False

    def __str__(self) -> str:
        return f"{self.transport}{self.suffix}{' --layered' if self.layered else ''}"

    @property
    def unpacked(self) -> bool:
        """Whether it only ever takes an empty place."""
        return self.transport in {"rootfs", "bundle"} and not self.suffix

    def write(self, image: Path, folder: Path, cache: Path | None = None) -> None:
        place = f"{self.transport}:{folder}/x{self.suffix}"
        converter.convert(
            f"oci:{image}:app", place, layered=self.layered, jobs=1, cache=cache, cache_blobs=1_000_000, overwrite=True
        )


TARGETS = (
    Target("oci"),
    Target("oci-archive"),
    Target("docker-archive", ":app"),
    Target("dir"),
    Target("aci", ".aci"),
    Target("aci", ".aci", layered=True),
    Target("rootfs", ".tar"),
    Target("rootfs"),
    Target("bundle"),
)
CASES = [pytest.param(target, False, id=f"{target}, new") for target in TARGETS] + [
    pytest.param(target, True, id=f"{target}, in place of another") for target in TARGETS if not target.unpacked
]


def make_image(number: int, path: Path) -> None:
    """One of several images, in a layout."""
    store = MemoryStore()
    files = [File("d", "dir", mode=0o750), File(f"d/f{number}", data=b"x" * 3000, mode=0o4755)]
    files += [link("d/l", "f"), hard("d/h", f"d/f{number}"), File("p", "fifo")]
    root = add_image(store, tars=(archive(files), tar({"etc/x": b"%d" % number})), name="")
    copy(store, root, sink_at("oci", path), "app")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two images, in layouts."""
    old, new = (tmp_path_factory.mktemp("image") for _ in range(2))
    make_image(0, old)
    make_image(1, new)
    return old, new


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("target, there", CASES)
def test_a_disk_that_fails_at_any_call(
    target: Target, there: bool, lasting: bool, images: tuple[Path, Path], tmp_path: Path
) -> None:
    new = images[1]
    initial, out = tmp_path / "initial", tmp_path / "out"
    before, complete = before_and_after(target, there, images, initial, out)
    for moment in itertools.count():
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
        if found_there != complete or not target.unpacked:
            target.write(new, out)
            assert listed(out) == complete
        if not disk.failed:
            break
    assert moment > 50, "there were calls to fail at"


EVERY = 7
"""Of the moments at which a folder may vanish, one of so many is tried."""


@dataclass(frozen=True, slots=True)
class Stand:
    """The folders of a run, below ``root``: of each kind one, any of which may vanish."""

    root: Path
    target: Target
    source: Path
    initial: Path

    def set_up(self, *names: str) -> None:
        """Make folders what they are at the start."""
        for name in names:
            shutil.rmtree(self.root / name, ignore_errors=True)
            if name in {"source", "out"}:
                shutil.copytree(self.source if name == "source" else self.initial, self.root / name, symlinks=True)
            else:
                (self.root / name).mkdir()

    def write(self) -> None:
        self.target.write(self.root / "source", self.root / "out", self.root / "cache")

    def found(self) -> Tree:
        return listed(self.root / "out") if (self.root / "out").exists() else {}

    def made(self) -> Tree:
        """What comes of an undisturbed run, beside nothing else."""
        self.set_up("source", "cache", "temporary")
        if not (self.root / "out").exists():
            (self.root / "out").mkdir()
        self.write()
        return self.found()


@pytest.mark.parametrize("victim", ["source", "out", "cache", "temporary"])
@pytest.mark.parametrize("target, there", CASES)
def test_a_folder_that_vanishes(
    target: Target,
    there: bool,
    victim: str,
    images: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(tmp_path, target, images[1], tmp_path / "initial")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    fresh = stand.made()
    stand.initial.mkdir()
    if there:
        target.write(images[0], stand.initial)
    stand.set_up("out")
    before = stand.found()
    complete = stand.made()
    whole = [fresh, complete]
    for moment in itertools.count(len(target.transport) % EVERY, EVERY):
        stand.set_up("source", "out", "cache", "temporary")
        with vanishing(tmp_path / victim, moment) as disk:
            error = None
            try:
                stand.write()
            except ConverterError as raised:
                error = raised
        remove_leftovers()
        found = stand.found()
        if victim == "out" and disk.gone:
            # What was there has gone with it, and what was made, unless that was later.
            assert found.keys() <= {b""} or found in whole
        else:
            assert found in whole if error is None else is_whole(found, before, complete), (found, before, complete)
        assert victim != "cache" or error is None, "a cache only saves time"
        if not disk.gone:
            assert error is None
            break
        if found not in whole or not target.unpacked:
            assert stand.made() in whole


@pytest.mark.parametrize("target, there", CASES)
def test_a_run_that_is_killed_at_any_call(target: Target, there: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.stores.crashing_targets", str(target), str(tmp_path), str(int(there))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) > 10, "there were moments to be killed at"


def before_and_after(
    target: Target, there: bool, images: tuple[Path, Path], initial: Path, out: Path
) -> tuple[Tree, Tree]:
    """What is in ``initial``, the first image or nothing, and in ``out`` once the second takes its place there."""
    initial.mkdir()
    if there:
        target.write(images[0], initial)
    shutil.copytree(initial, out, symlinks=True)
    target.write(images[1], out)
    return listed(initial), listed(out)


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


def temporaries(found: Tree) -> list[bytes]:
    """Names of what somebody has begun to write."""
    return [name for name in found if b".transship-" in name]


def is_whole(found: Tree, before: Tree, complete: Tree) -> bool:
    """Whether a target is as before or complete.

    A layout may also have blobs that nothing names yet, and an ACI's folder dependencies.
    """
    if found in (before, complete):
        return True
    folders = {b"", b"x", b"x/blobs", b"x/blobs/sha256"}
    new = found.keys() - before.keys()
    return all(name in folders or found.get(name) == before[name] for name in before) and all(
        found[name] == complete[name] and (name.startswith(b"x/blobs/") or re.fullmatch(rb"x-[0-9a-f]{12}\.aci", name))
        for name in new
    )


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
