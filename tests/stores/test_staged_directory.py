"""A root file system appears whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.errors import AlreadyExists, Invalid, NotFound, StorageFailed, Unsupported
from converter.events import Event, Warned
from converter.model import media_types as types
from converter.model.descriptor import Digest
from converter.model.image import Attachment
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink
from converter.stores.media import temporary
from converter.stores.rootfs import sink as rootfs_sink
from converter.stores.rootfs.attributes import ROOTLESS, owner_message
from converter.streams.squash import squash
from tests.patience import PATIENCE, wait_until
from tests.stores.unpacking import hard, left, link, sink_at, unpack, unpack_raw
from tests.strategies.tar import File, archive

ROOT = os.geteuid() == 0


def _nothing(path: Path) -> None:
    """Leave the place free."""


def _file_in_it(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(_nothing, id="nothing there"),
        pytest.param(Path.mkdir, id="an empty directory"),
        pytest.param(lambda path: (path / "lost+found").mkdir(parents=True), id="a new file system"),
        pytest.param(
            lambda path: (path / ".transship-0123456789abcdef").mkdir(parents=True), id="what a dead one left"
        ),
    ],
)
@pytest.mark.parametrize("transport", ["rootfs", "bundle"])
@pytest.mark.parametrize("inside", [False, True], ids=["beside", "within a mount point"])
def test_it_takes_its_place_whole(
    before: Callable[[Path], None], transport: str, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    before(target)
    fresh = not (target / "lost+found").exists()
    if inside or not fresh:
        monkeypatch.setattr(temporary, "can_rename_into", lambda parent, path: False)
    with sink_at(target, transport) as sink:
        sink.put(squash([lambda: (archive([File("d", "dir", mode=0o555), File("d/f")]),)]), types.ROOTFS)
        if transport == "bundle":
            sink.put((b"{}",), types.RUNTIME_CONFIG)
    own = [] if fresh else ["lost+found"]
    root = target / "rootfs" if transport == "bundle" else target
    assert left(target) == sorted([*own, *(["config.json", "rootfs"] if transport == "bundle" else ["d"])])
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in (".", "d")] == [0o755, 0o555]
    assert left(tmp_path) == ["target"]
    if transport == "bundle" and left(target) == ["config.json", "rootfs"] and not inside:
        assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_missing_parents_are_made(tmp_path: Path) -> None:
    unpack(tmp_path / "a/b/c", archive([File("f"), File("./", "dir", mode=0o555)]))
    assert left(tmp_path / "a/b/c") == ["f"]
    assert stat.S_IMODE((tmp_path / "a/b/c").stat().st_mode) == 0o555


@pytest.mark.parametrize("transport", ["rootfs", "bundle"])
@pytest.mark.parametrize(
    "before, reason",
    [
        pytest.param(_file_in_it, "not empty", id="a directory with files"),
        pytest.param(Path.touch, "not a directory", id="a file"),
    ],
)
def test_what_is_there_is_not_touched(
    before: Callable[[Path], None], reason: str, transport: str, tmp_path: Path
) -> None:
    before(tmp_path / "target")
    with pytest.raises(Invalid, match=reason), sink_at(tmp_path / "target", transport):
        pass
    assert left(tmp_path) == ["target"]


def test_a_directory_that_fills_in_the_meantime_is_not_touched(tmp_path: Path) -> None:
    def filled() -> Iterator[bytes]:
        yield archive([File("f")])
        _file_in_it(tmp_path / "target")

    with pytest.raises(Invalid, match="not empty any more"), sink_at(tmp_path / "target") as sink:
        sink.put(filled(), types.ROOTFS)
    assert left(tmp_path / "target") == ["mine"]
    assert left(tmp_path) == ["target"]


def test_an_error_of_the_source_leaves_nothing_and_another_try_may_follow(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield archive([File("d/f"), File("d", "dir", mode=0)], ending=False)
        raise NotFound("the source has ended")

    with sink_at(tmp_path / "target") as sink:
        with pytest.raises(NotFound):
            sink.put(broken(), types.ROOTFS)
        sink.put((archive([File("g")]),), types.ROOTFS)
    assert left(tmp_path / "target") == ["g"]
    with suppress(NotFound), sink_at(tmp_path / "other") as sink:
        sink.put(broken(), types.ROOTFS)
    assert left(tmp_path) == ["target"]


@pytest.mark.parametrize(
    "call", ["fchmod", "utime", "open", "mkdir", "symlink", "link", "mkfifo", *(["chown"] if ROOT else [])]
)
@pytest.mark.parametrize("after", [1, 2])
def test_a_full_disk_leaves_nothing(call: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = getattr(os, call), []

    def full(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == after + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **more)

    twice = [[File(f"d{n}/f"), link(f"l{n}", "x"), hard(f"h{n}", "d0/f"), File(f"p{n}", "fifo")] for n in range(3)]
    data = archive([file for files in twice for file in files])
    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageFailed, match="no space"):
        unpack_raw(tmp_path / "target", data)
    monkeypatch.undo()
    assert left(tmp_path) == []


@pytest.mark.parametrize("code", [0, errno.EIO], ids=["works", "fails once"])
def test_the_disk_works_meanwhile_and_what_it_loses_is_told(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()

    def sync(_path: Path) -> None:
        first = not synced.is_set()
        synced.set()
        if code and first:
            raise OSError(code, os.strerror(code))

    def slow() -> Iterator[bytes]:
        yield archive([File("f")], ending=False)
        assert synced.wait(PATIENCE)
        yield archive([File("g")])

    monkeypatch.setattr(rootfs_sink, "SYNC_INTERVAL", 0.001)
    monkeypatch.setattr(rootfs_sink, "sync_file_system", sync)
    told = pytest.raises(StorageFailed, match="input/output") if code else nullcontext()
    with told, sink_at(tmp_path / "target") as sink:
        sink.put(slow(), types.ROOTFS)
    assert left(tmp_path) == ([] if code else ["target"])


def test_a_failure_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, over = threading.Event(), threading.Event()
    synced: list[Path] = []

    def sync(path: Path) -> None:
        started.set()
        assert over.wait(PATIENCE)
        synced.append(path)

    def broken() -> Iterator[bytes]:
        yield archive([File("f")], ending=False)
        assert started.wait(PATIENCE)
        raise NotFound("the source has ended")

    monkeypatch.setattr(rootfs_sink, "SYNC_INTERVAL", 0.001)
    monkeypatch.setattr(rootfs_sink, "sync_file_system", sync)
    with pytest.raises(NotFound), sink_at(tmp_path / "target") as sink:
        sink.put(broken(), types.ROOTFS)
    assert left(tmp_path) == []
    assert synced == []
    over.set()
    wait_until(lambda: synced, "the sync that was under way ends")


@pytest.mark.parametrize("transport", ["rootfs", "bundle"])
def test_a_killed_writer_leaves_nothing_or_all_of_it(transport: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.stores.crashing_rootfs", transport, str(tmp_path / "target")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) > 20, "there were moments to be killed at"


def test_one_image_and_nothing_beside_it(tmp_path: Path) -> None:
    subject = Digest.parse("sha256:" + "0" * 64)
    for transport in ("rootfs", "bundle"):
        with suppress(Invalid), sink_at(tmp_path / transport, transport) as sink:
            made = sink.put((archive([File("f")]),), types.ROOTFS)
            assert sink.has(made)
            assert made.digest.encoded == hashlib.sha256(archive([File("f")])).hexdigest()
            with pytest.raises(Unsupported, match="two images"):
                sink.put((archive([File("g")]),), types.ROOTFS)
            with pytest.raises(Unsupported, match="attachment"):
                sink.attach(Attachment(subject=subject, descriptor=made))
    assert left(tmp_path) == ["rootfs"]  # a bundle without its configuration is none
    with pytest.raises(Invalid, match="no image"), sink_at(tmp_path / "none"):
        pass


def test_a_tar_is_the_bytes_themselves(tmp_path: Path) -> None:
    data = archive([File("f")])
    location = Location(transport="rootfs", path=str(tmp_path / "out.tar"))
    with open_sink(location) as sink:
        with pytest.raises(NotFound):
            sink.put(_failing(data), types.ROOTFS)
        made = sink.put((data,), types.ROOTFS)
        sink.name("", made)
        assert sink.has(made)
        with pytest.raises(Unsupported, match="two images"):
            sink.put((data,), types.ROOTFS)
        with pytest.raises(Unsupported, match="attachment"):
            sink.attach(Attachment(subject=made.digest, descriptor=made))
    assert (tmp_path / "out.tar").read_bytes() == data
    with pytest.raises(AlreadyExists, match=r"out\.tar already exists"), open_sink(location):
        pass
    with pytest.raises(Invalid, match="no image"), open_sink(location, StoreOptions(overwrite=True)):
        pass
    assert left(tmp_path) == ["out.tar"]


def _failing(data: bytes) -> Iterator[bytes]:
    yield data[:100]
    raise NotFound("the source has ended")


def test_a_bundle_is_no_device() -> None:
    with pytest.raises(Invalid, match="is not a directory"), open_sink(Location(transport="bundle", path="/dev/null")):
        pass


def test_somebody_who_is_not_root_is_told_what_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    heard: list[Event] = []
    data = archive(
        [
            File("closed", "dir", mode=0o555, uid=5),
            File("closed/f", uid=5),
            replace(link("closed/l", "f"), uid=5),
            File("closed/p", "fifo", gid=5),
            File(".", "dir", mode=0o555),
        ]
    )
    options = StoreOptions(report=heard.append, devices=True)
    unpack(tmp_path / "new/parent/target", data, options=options)
    assert [event.fact.partition("target: ")[2] for event in heard if isinstance(event, Warned)] == [
        "the owners of 2 files are in user.rootlesscontainers: only root can set them",
        "owners of links and pipes: 2 could not be kept here",
    ]
    assert stat.S_IMODE((tmp_path / "new/parent/target").stat().st_mode) == 0o555
    assert os.getxattr(tmp_path / "new/parent/target/closed/f", ROOTLESS) == owner_message(5, 0)
    with pytest.raises(Invalid, match="no configuration"), sink_at(tmp_path / "bundle", "bundle") as sink:
        sink.put((data,), types.ROOTFS)
    assert left(tmp_path) == ["new"]
