"""A Mac, and any other system without what only Linux has: the functions are taken away."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import converter
from converter import system
from converter.model.platform import host_platform
from tests.builders import add_image, tar
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore

LINUX = ("sched_getaffinity", "posix_fadvise", "POSIX_FADV_DONTNEED", "setxattr", "getxattr", "listxattr")


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of Apple's."""
    for name in LINUX:
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(system, "OPEN_FILES", str(tmp_path / "no-proc"))
    monkeypatch.setattr(system, "MOUNTS", str(tmp_path / "no-proc"))
    monkeypatch.setattr("sys.platform", "darwin")


def test_without_them_there_is_an_answer(mac: None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDWR)
    try:
        assert system.cores() == os.cpu_count()
        system.begin_writing(fd, 0, 1)
        assert system.mount_of(fd) == b"dev:%d" % path.stat().st_dev
        for attempt in (lambda: system.attributes(fd), lambda: system.set_attribute(fd, b"user.x", b"y")):
            with pytest.raises(OSError, match=os.strerror(errno.ENOTSUP)):
                attempt()
    finally:
        os.close(fd)


def test_an_image_for_linux_is_what_runs_here(mac: None) -> None:
    assert host_platform().os == "linux"


@pytest.mark.parametrize(
    "target",
    [
        "oci:{}/x:app",
        "docker-archive:{}/x.tar",
        "dir:{}/x",
        "aci:{}/x.aci",
        "rootfs:{}/x",
        "rootfs:{}/x.tar",
        "bundle:{}/x",
    ],
)
def test_every_target_on_disk_can_be_written_and_read(target: str, mac: None, tmp_path: Path) -> None:
    store = MemoryStore()
    big = b"0123456789abcdef" * 4_000_000
    source = stored(store, add_image(store, tars=[tar({"etc": None, "etc/big": big})]), tmp_path / "in")
    destination = target.format(tmp_path)
    converter.convert(source, destination)
    back = converter.convert(destination, f"oci:{tmp_path}/back:app")
    assert back.digest is not None
