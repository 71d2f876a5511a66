"""The contents of a directory are those of its tar, however many processes read it, and whatever goes wrong."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.errors import ConverterError, Invalid, LimitExceeded
from converter.model.platform import host_platform
from converter.profile import directory_contents
from converter.profile.contents import Contents, Scope, of_layers
from converter.profile.directory_contents import of_directory
from converter.stores.rootfs import DirectorySource
from converter.stores.rootfs.attributes import ROOTLESS, owner_message
from converter.stores.rootfs.directory_walk import BY_PATH, DirectoryWalk, read_content
from converter.streams.tar.tree import list_tree

ROOT = os.geteuid() == 0
EVERYTHING = Scope(ignored=(), times=True)


def write(path: Path, data: bytes = b"data") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def linked(tree: Path) -> None:
    one = write(tree / "lib/one", b"1" * 5000)
    os.link(one, tree / "lib-other")
    os.link(one, tree / "lib.another")
    (tree / "link").symlink_to("lib/one")
    os.link(tree / "link", tree / "a-link", follow_symlinks=False)


def in_the_order_of_paths(tree: Path) -> None:
    """What a directory's own order puts elsewhere: in the text, ``a/b`` comes after ``a-c`` and before ``a0``."""
    for name in ("a/b", "a-c/d", "a-c/d-e", "a-c-d/e", "a.f", "a0", "a\x01", "ab/c/d", "ab-c", "A/b", "ä/ö", "é"):
        write(tree / name)
    write(Path(os.fsdecode(os.fsencode(tree) + b"/\xff#\\ \n")))
    os.mkfifo(tree / "a-pipe")


def with_attributes(tree: Path) -> None:
    os.setxattr(write(tree / "f"), "user.b", b"\0value\n")
    os.setxattr(tree / "f", "user.a", b"x")
    os.setxattr(write(tree / "owned"), ROOTLESS, owner_message(33, 42))
    (tree / "d").mkdir()
    os.setxattr(tree / "d", "user.d", b"=")


def with_modes(tree: Path) -> None:
    write(tree / "set-uid").chmod(0o4711)
    write(tree / "none").chmod(0)
    (tree / "sticky").mkdir()
    (tree / "sticky").chmod(0o1777)


def with_times(tree: Path) -> None:
    os.utime(write(tree / "old"), ns=(0, 1))
    os.utime(write(tree / "before"), ns=(0, -1_500_000_000))
    os.utime(write(tree / "late"), ns=(0, 5_000_000_000_000_000_000))


def with_large_files(tree: Path) -> None:
    write(tree / "empty", b"")
    write(tree / "large", bytes(range(256)) * 4000)
    with (tree / "sparse").open("wb") as hole:
        hole.truncate(1 << 20)


def with_many(tree: Path) -> None:
    for number in range(3 * directory_contents.LINES_AT_ONCE):
        write(tree / f"d{number % 7}/f{number}", b"%d" % number)


def as_only_root_makes_it(tree: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.chown(write(tree / "given"), 3_000_000, 4_000_000_000)
    (tree / "link").symlink_to("x")
    os.chown(tree / "link", 5, 7, follow_symlinks=False)
    os.setxattr(tree / "link", "trusted.note", b"1", follow_symlinks=False)


def of_its_tar(tree: Path, scope: Scope) -> Contents:
    with list_tree([DirectorySource(tree, {}, host_platform()).blocks]) as found:
        return of_layers(found, scope)


def told(contents: Contents) -> tuple[bytes, dict[bytes, dict[bytes, bytes]]]:
    with contents:
        return b"".join(contents.blocks()), contents.attributes


def read(tree: Path, scope: Scope = EVERYTHING, jobs: int = 1) -> Contents:
    return of_directory(tree, scope, jobs, lambda _: None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(linked, id="links"),
        pytest.param(in_the_order_of_paths, id="names in many orders"),
        pytest.param(with_attributes, id="extended attributes"),
        pytest.param(with_modes, id="modes"),
        pytest.param(with_times, id="times"),
        pytest.param(with_large_files, id="large files, and one with a hole"),
        pytest.param(with_many, id="many files"),
        pytest.param(
            as_only_root_makes_it, id="devices", marks=pytest.mark.skipif(not ROOT, reason="only root makes them")
        ),
    ],
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_its_contents_are_those_of_its_tar(place: Path, make: Callable[[Path], None], jobs: int) -> None:
    make(place)
    assert told(read(place, jobs=jobs)) == told(of_its_tar(place, EVERYTHING))


def test_what_does_not_count_is_not_read(place: Path) -> None:
    write(place / "var/log/now")
    write(place / "var/log-old")
    (place / "var/log").chmod(0)
    scope = Scope(ignored=("/var/log", "/var/run"))
    assert told(read(place, scope)) == told(of_its_tar(place, scope))


def test_what_no_file_can_have_is_told_whoever_finds_it(place: Path) -> None:
    files = [write(place / name) for name in "abcdef"]
    for path in files:
        os.setxattr(path, ROOTLESS, b"\xff")
        with pytest.raises(Invalid, match="no owner in ff"):
            read(place, jobs=3)
        os.removexattr(path, ROOTLESS)
    with read(place, jobs=3) as contents:
        assert len(contents.attributes) == 0


def replaced_by_a_link(tree: Path) -> None:
    (tree / "d").rename(tree / "gone")
    (tree / "d").symlink_to("/etc")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: write(t / "large", b"short"), id="a file is cut"),
        pytest.param(lambda t: write(t / "large", bytes(3 << 20)), id="a file grows"),
        pytest.param(lambda t: os.utime(write(t / "large", b"y" * (2 << 20)), (1, 1)), id="a file of the same size"),
        pytest.param(lambda t: write(t / "new"), id="a file is added"),
        pytest.param(lambda t: (t / "z").unlink(), id="a file is removed"),
        pytest.param(lambda t: (t / "z").rename(t / "a"), id="a file is renamed"),
        pytest.param(replaced_by_a_link, id="a directory becomes a link, which leads elsewhere"),
        pytest.param(lambda t: t.chmod(0o700), id="the mode of a directory"),
    ],
)
def test_a_tree_that_changes_while_it_is_read_is_an_error(place: Path, change: Callable[[Path], None]) -> None:
    write(place / "large", b"x" * (2 << 20))
    write(place / "d/f")
    write(place / "z")
    with pytest.raises(ConverterError):
        read_while(change, place)


def read_while(change: Callable[[Path], None], place: Path) -> None:
    """Read all files; change something once a part of one has been read."""
    for found in DirectoryWalk(place, BY_PATH):
        if found.fd >= 0:
            blocks = read_content(found, 1 << 20)
            next(blocks, None)
            if found.path == b"large":
                time.sleep(0.02)  # file systems of Linux before 6.13 have a clock that ticks, and know no less
                change(place)
            for _ in blocks:
                pass
            os.close(found.fd)


def test_what_an_ordinary_user_has_unpacked_is_roots_unless_recorded(place: Path) -> None:
    write(place / "plain")
    os.setxattr(write(place / "recorded"), ROOTLESS, owner_message(33, 42))
    own = 4242 if ROOT else os.geteuid()
    for path in (place, *place.iterdir()):
        os.chown(path, own, -1)
    with of_directory(place, EVERYTHING, 1, lambda _: None, own=own) as contents:
        owners = {line.split()[0]: line.split()[3:5] for line in contents.lines() if line.startswith(b".")}
    assert owners == {
        b".": [b"uid=0", b"gid=0"],
        b"./plain": [b"uid=0", b"gid=0"],
        b"./recorded": [b"uid=33", b"gid=42"],
    }


def test_a_file_that_is_nearly_all_hole_is_refused(place: Path) -> None:
    with (place / "lastlog").open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(LimitExceeded, match=r"lastlog has 5368709120 bytes of holes: .* \(limit: holes\)"):
        read(place)
    assert told(read(place, Scope(ignored=("/lastlog",))))[0].count(b"\n") == 2
