"""Directories and tars as media, and the temporaries that writers leave behind."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tarfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from converter.errors import AlreadyExists, ConverterError, Invalid, LimitExceeded, NotFound, StorageFailed
from converter.model.limits import Limits, enforce_limits
from converter.stores import disk
from converter.stores.media import DirectoryMedium, Medium, temporary
from converter.stores.media.directory_target import LayoutTarget
from converter.stores.media.file_target import _header, write_new
from converter.stores.media.tar_medium import TarMedium
from converter.stores.media.temporary import remove_abandoned, temporary_directory, temporary_file
from converter.stores.options import Overwriting
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.builders.saved import Link, write_tar
from tests.stores.copying import contents, copy, files, sink_at, source_at

THEIRS = b"-----BEGIN PGP SIGNATURE-----\n"


@pytest.fixture(params=["directory", "tar"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    content = {"a/one": b"first", "two": b"a longer one"}
    if request.param == "tar":
        return TarMedium(write_tar(tmp_path / "a.tar", content))
    for name, data in content.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    return DirectoryMedium(tmp_path / "d")


def test_both_media_give_the_same(medium: Medium) -> None:
    assert list(medium.names()) == ["a/one", "two"]
    assert [medium.size(name) for name in ("a/one", "two", "three", "a")] == [5, 12, None, None]
    assert b"".join(medium.open("two")) == b"a longer one"
    assert medium.read_document("a/one") == b"first"
    with enforce_limits(Limits(document=8)), pytest.raises(LimitExceeded, match="limit: document"):
        medium.read_document("two")
    for ask in (medium.open, medium.read_document):
        with pytest.raises(NotFound, match="three"):
            ask("three")
    for name in ("../x", "a/../../x"):
        with pytest.raises(Invalid, match="inside"):
            medium.size(name)
    medium.close()


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a\0b"])
def test_names_leave_no_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        DirectoryMedium(tmp_path).size(name)


def test_chains_of_links_are_followed(tmp_path: Path) -> None:
    links = {f"l{number}": Link(f"l{number + 1}", hard=bool(number % 2)) for number in range(50)}
    medium = TarMedium(write_tar(tmp_path / "a.tar", {**links, "l50": b"end"}))
    assert medium.read_document("l0") == b"end"
    assert "l0" in medium.names()
    medium.close()


@pytest.mark.parametrize(
    "name, found",
    [
        pytest.param("/x//./..y/", 4, id="slashes and dots are left out"),
        pytest.param("a/../x/..y", 4, id="dots that stay inside lead where they say"),
        pytest.param("x/../../x/..y", None, id="dots that lead out are refused, wherever they lead then"),
        pytest.param("a/../..y", 3, id="a name that begins with two dots leads nowhere"),
    ],
)
def test_names_in_a_tar_are_paths(tmp_path: Path, name: str, found: int | None) -> None:
    with TarMedium(write_tar(tmp_path / "a.tar", {"x/..y": b"four", "..y": b"two"})) as medium:
        if found is None:
            with pytest.raises(Invalid, match="leads out of the archive"):
                medium.size(name)
        else:
            assert medium.size(name) == found


def test_of_several_broken_links_the_first_by_name_is_told(tmp_path: Path) -> None:
    letters = "hgfedcba"
    with (
        TarMedium(write_tar(tmp_path / "a.tar", {letter: Link(letter) for letter in letters})) as medium,
        pytest.raises(Invalid, match='links form a circle at "a" in'),
    ):
        medium.names()


def test_the_last_entry_of_a_name_holds(tmp_path: Path) -> None:
    entries: list[tuple[str, bytes | Link]] = [("a", b"one"), ("b", Link("a")), ("b", b"two"), ("a", Link("b"))]
    medium = TarMedium(write_tar(tmp_path / "a.tar", entries))
    assert medium.names() == ["a", "b"]
    assert b"".join(medium.open("a")) == b"two"
    with pytest.raises(Invalid, match='two different entries "a"'):
        medium.read_document("a")
    medium.close()


def test_a_tar_without_its_end_is_read_and_one_that_is_cut_is_not(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a": b"x" * 1000})
    whole = path.read_bytes()
    path.write_bytes(whole[: 512 + 1000])
    TarMedium(path).close()
    path.write_bytes(whole[: 512 + 999])
    with pytest.raises(Invalid):
        TarMedium(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_does_not_hang(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "there")
    with pytest.raises(ConverterError):
        TarMedium(tmp_path / "there")
    with pytest.raises(ConverterError):
        source_at("aci", tmp_path / "there")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConverterError):
        DirectoryMedium(tmp_path / "file")


def test_names_are_shown_without_harm() -> None:
    assert disk.printable_path("plain\N{LATIN SMALL LETTER E WITH ACUTE}") == "plain\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert disk.printable_path("\x1b[2J") == "'\\x1b[2J'"


def test_an_unreadable_file_is_a_failure_of_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(StorageFailed, match="permission denied"):
        disk.regular_size(tmp_path / "file")


def test_temporaries_of_the_dead_are_cleaned_and_those_of_the_living_stay(tmp_path: Path) -> None:
    living = [temporary_file(tmp_path), temporary_directory(tmp_path)]
    dead = [tmp_path / f".transship-{number:016x}" for number in range(3)]
    dead[0].write_text("left")
    dead[1].mkdir()
    (dead[1] / "inside").write_text("left")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    dead[2].symlink_to(precious)
    (tmp_path / ".transship-notes").write_text("mine")
    remove_abandoned(tmp_path)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*(one.path.name for one in living), "precious", ".transship-notes", dead[2].name}
    for one in living:
        os.close(one.fd)
    remove_abandoned(tmp_path)
    assert not any(one.path.exists() for one in living)
    remove_abandoned(tmp_path / "nowhere")


def test_a_directory_is_looked_through_once_for_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(temporary, "remove_abandoned", looked.append)
    for part in [temporary_file(tmp_path) for _ in range(5)]:
        part.remove()
    assert looked == [tmp_path]
    temporary_file(tmp_path).remove()
    assert looked == [tmp_path] * 2


def test_a_temporary_that_was_cleaned_at_its_birth_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = fcntl.flock
    calls = 0

    def race(fd: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            next(tmp_path.glob(".transship-*")).unlink()
        if calls == 2:
            raise BlockingIOError
        original(fd, operation)

    monkeypatch.setattr(fcntl, "flock", race)
    made = temporary_file(tmp_path)
    assert calls >= 3
    assert made.path.exists()
    made.remove()


def test_a_directory_that_was_cleaned_before_it_was_open_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = Path.mkdir, list[Path]()

    def made_and_cleaned(path: Path) -> None:
        make(path)
        made.append(path)
        if len(made) == 1:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", made_and_cleaned)
    there = temporary_directory(tmp_path)
    assert there.path == made[1]
    assert there.path.is_dir()
    there.remove()


def test_a_file_is_written_whose_mode_denies_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a umask of 0277, none but who makes a file may write to it; to root, under whom tests may run, all may."""
    original = os.open

    def denying(path: Path, flags: int, mode: int = 0o777) -> int:
        if path.is_file():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", denying)
    made = temporary_file(tmp_path)
    os.write(made.fd, b"x")
    assert os.pread(made.fd, 9, 0) == b"x"
    made.remove()


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(fd: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    store = MemoryStore()
    root = add_image(store)
    for name in ("a", "b"):
        copy(store, root, sink_at("oci", tmp_path / "layout"), name)
    with source_at("oci", tmp_path / "layout") as source:
        assert source.names() == ("a", "b")


@pytest.mark.parametrize("there", [False, True])
def test_a_layout_on_a_mount_point_is_written_in_place(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    root = add_image(store)
    target = tmp_path / "mount"
    target.mkdir()
    if there:
        copy(store, root, sink_at("oci", target), "old")
    inode = target.stat().st_ino
    monkeypatch.setattr(temporary, "can_rename_into", lambda parent, path: False)
    copy(store, root, sink_at("oci", target), "new")
    assert target.stat().st_ino == inode
    assert not [name for name in files(target) if "transship" in name]
    with source_at("oci", target) as source:
        assert source.names() == (("old", "new") if there else ("new",))
        assert len(contents(source, "new")) == 4


def test_a_sink_that_is_not_entered_takes_nothing(tmp_path: Path) -> None:
    target = LayoutTarget(tmp_path / "layout")
    with pytest.raises(RuntimeError):
        target.take((), None)
    target.abort()


def test_large_blobs_keep_their_size_in_a_header() -> None:
    for size in (0, 8**11 - 1, 8**11, 2**40):
        info = tarfile.TarInfo.frombuf(_header("name", size, 7), "utf-8", "strict")
        assert (info.name, info.size, info.mode, info.mtime) == ("name", size, 0o644, 7)


def test_what_a_signal_has_left_is_removed_when_the_program_ends(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom converter.stores.media import temporary\n"
        "here = Path(sys.argv[1])\n"
        "made = [temporary.temporary_file(here), temporary.temporary_directory(here), temporary.temporary_file(here)]\n"
        "made[2].path.rename(here / 'done')\nmade[2].remove()\nraise KeyboardInterrupt\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False)
    assert b"KeyboardInterrupt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


READ_ONLY = """
import os, shutil, sys, tempfile
from pathlib import Path
from converter.stores.media import temporary
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
here = Path(tempfile.mkdtemp())
made = temporary.temporary_directory(here)
(made.path / "a/b").mkdir(parents=True)
(made.path / "a/b/file").touch()
(made.path / "a/link").symlink_to(here)
for name in sys.argv[2:]:
    (made.path / name).chmod(0o555)
if sys.argv[1] == "dead":
    os.close(made.fd)
    temporary.remove_abandoned(here)
else:
    made.remove()
print(len(list(here.iterdir())), oct(here.stat().st_mode))
here.rmdir()
"""


@pytest.mark.parametrize("writer", ["living", "dead"])
@pytest.mark.parametrize(
    "read_only",
    [
        pytest.param(("a/b", "a"), id="below it"),
        pytest.param((".",), id="the directory itself"),
    ],
)
def test_directories_of_an_image_that_forbid_it_are_removed(writer: str, read_only: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", READ_ONLY, writer, *read_only]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0 0o40700\n"


@pytest.mark.parametrize(
    "overwriting, left",
    [
        pytest.param(Overwriting(allowed=True), b"ours", id="replaced with --overwrite"),
        pytest.param(Overwriting(kind="signature"), b"ours", id="replaced if it is of the kind that may be"),
        pytest.param(Overwriting(kind="aci"), THEIRS, id="kept if it is of another kind"),
        pytest.param(Overwriting(), THEIRS, id="kept without --overwrite"),
    ],
)
def test_a_file_that_another_program_makes_at_the_last_moment_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwriting: Overwriting, left: bytes
) -> None:
    place, link = tmp_path / "app.asc", os.link

    def link_second(source: Path, target: Path) -> None:
        target.write_bytes(THEIRS)
        link(source, target)

    monkeypatch.setattr(os, "link", link_second)
    with nullcontext() if left == b"ours" else pytest.raises(AlreadyExists, match="already exists"):
        write_new(place, [b"ours"], overwriting)
    assert place.read_bytes() == left
    assert [*tmp_path.iterdir()] == [place]
