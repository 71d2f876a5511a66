"""Root file systems: what is unpacked is what the tar says, and nothing leads out of the directory."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from converter.errors import Invalid, LimitExceeded, StorageFailed
from converter.events import Event, Warned
from converter.model.limits import Limits, enforce_limits
from converter.stores import StoreOptions
from converter.stores.rootfs.attributes import ROOTLESS, Attributes, Setter, owner_message, owner_of
from converter.streams.tar.fields import CHAR, END, SYMLINK
from tests.stores.unpacking import entry, hard, left, link, unpack, unpack_raw
from tests.strategies.tar import File, archive

ROOT = os.geteuid() == 0
SECRET = b"not of the image"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the target, which no image may touch or read."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(SECRET)
    return path


SPARSE_BOMB = entry(
    "bomb",
    b"0\n".ljust(512, b"\0"),
    records={b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"%d" % 2**62},
)


@pytest.mark.parametrize(
    "data, reason",
    [
        pytest.param([File("../outside/evil")], '".." is not allowed', id="a name that goes up"),
        pytest.param([File("a/../../outside/evil")], '".." is not allowed', id="a name that goes down and up"),
        pytest.param([File("..", "dir")], '".." is not allowed', id="a directory above"),
        pytest.param([link("a", "../outside"), File("a/evil")], "not a directory", id="through a link up"),
        pytest.param([link("a", "{}"), File("a/evil")], "not a directory", id="through an absolute link"),
        pytest.param(
            [link("b", "../outside"), link("a", "b"), File("a/x/evil")], "not a directory", id="a chain of links"
        ),
        pytest.param([link("a", "../outside"), File("a/d", "dir")], "not a directory", id="a directory through a link"),
        pytest.param([link("a", "../outside"), File("a", "dir")], "not a directory", id="a directory over a link"),
        pytest.param([link("a", "../outside/secret"), File("a")], "already", id="a file over a link"),
        pytest.param([hard("x", "../outside/secret")], '".." is not allowed', id="a hard link that goes up"),
        pytest.param([hard("x", "{}/secret")], "no file", id="an absolute hard link is below the root"),
        pytest.param(
            [link("a", "../outside"), hard("x", "a/secret")], "not a directory", id="a hard link through a link"
        ),
        pytest.param([File("d", "dir"), hard("x", "d")], "no file", id="a hard link to a directory"),
        pytest.param([hard("x", "/")], "no file", id="a hard link to the root"),
        pytest.param([hard("x", "y")], "no file", id="a hard link to nothing"),
        pytest.param([hard("x", "y/z")], "no file", id="a hard link into nothing"),
        pytest.param([File("d/f"), File("d")], "already", id="a file over a directory"),
        pytest.param([File("f"), File("f/g")], "not a directory", id="a file below a file"),
        pytest.param([File("f"), File("f", "dir")], "not a directory", id="a directory over a file"),
        pytest.param([File("f"), File("f")], "already", id="a file twice"),
        pytest.param([File("d", "dir"), File("d", "dir")], "already", id="a directory twice"),
        pytest.param([link("a", "x"), link("a", "y")], "already", id="a link twice"),
        pytest.param([File("f"), File("f", "fifo")], "already", id="a pipe over a file"),
        pytest.param([link("./", "../outside")], "not a directory", id="a link for a root"),
        pytest.param([File(".")], "not a directory", id="a file for a root"),
        pytest.param(entry("l", type=SYMLINK) + END, "empty target", id="a link to the empty name"),
        pytest.param(entry("f", uid=2**32 - 1) + END, "owner", id="an owner that means: no change"),
        pytest.param(entry("c", type=CHAR, device=(2**12, 0)) + END, "device", id="a device that Linux has not"),
        pytest.param(SPARSE_BOMB + END, "(limit: layer)", id="a hole of exabytes"),
        pytest.param(archive([File("f", data=b"x" * 2000)])[:1500], "unexpected end of archive", id="a tar cut off"),
    ],
)
def test_an_entry_that_leads_out_or_contradicts_is_refused(
    data: list[File] | bytes, reason: str, tmp_path: Path, outside: Path
) -> None:
    if not isinstance(data, bytes):
        data = archive([replace(file, target=file.target.format(outside)) for file in data])
    with pytest.raises(Invalid) as refused:
        unpack_raw(tmp_path / "target", data)
    assert reason in str(refused.value)
    assert left(tmp_path) == ["outside"]
    assert left(outside) == ["secret"]
    assert (outside / "secret").stat().st_nlink == 1


@pytest.mark.parametrize(
    "layers, inside",
    [
        pytest.param([[File("/etc/evil")]], "etc/evil", id="an absolute name is below the root"),
        pytest.param([[link("a", "../outside")], [File("a/evil")]], "a/evil", id="a link of a lower layer is replaced"),
        pytest.param(
            [[link("a", "b")], [link("b", "../outside")], [File("a/evil")]], "a/evil", id="a chain over three layers"
        ),
        pytest.param(
            [[link("a", "../outside")], [File("a", "dir")], [File("a/evil")]], "a/evil", id="a link, then a directory"
        ),
        pytest.param(
            [[File("a", "dir"), File("a/old")], [link("a", "../outside")], [File("a/.wh.secret"), File("a/evil")]],
            "a/evil",
            id="a whiteout through a link removes nothing there",
        ),
        pytest.param(
            [[File("f")], [File("f", "dir"), File("f/g")]], "f/g", id="a file below becomes a directory above"
        ),
    ],
)
def test_layers_that_lead_out_stay_within(layers: list[list[File]], inside: str, tmp_path: Path, outside: Path) -> None:
    unpack(tmp_path / "target", *(archive(layer) for layer in layers))
    assert (tmp_path / "target" / inside).is_file()
    assert left(tmp_path) == ["outside", "target"]
    assert left(outside) == ["secret"]


def test_every_kind_of_file_is_as_its_header_says(tmp_path: Path) -> None:
    target = tmp_path / "target"
    unpack(
        target,
        archive(
            [
                File("d/f", data=b"content", mode=0o4750, mtime=1_000_000_000.25),
                File("d", "dir", mode=0o1777, mtime=1_100_000_000),
                link("d/l", "../../anywhere"),
                hard("d/h", "d/f"),
                hard("d/hl", "d/l"),
                File("p", "fifo", mode=0o640, mtime=1_200_000_000),
                File("deep/er/file", mode=0o600),
                File("./", "dir", mode=0o711, mtime=1_300_000_000),
                File("empty", pax={"SCHILY.xattr.user.note": "attribute", "SCHILY.xattr.security.selinux": "x"}),
            ]
        ),
    )
    file = (target / "d/f").stat()
    assert (target / "d/f").read_bytes() == b"content"
    assert stat.S_IMODE(file.st_mode) == 0o4750
    assert file.st_mtime_ns == 1_000_000_000_250_000_000
    assert (target / "d/h").stat().st_ino == file.st_ino
    assert (target / "d/hl").is_symlink()
    assert (target / "d/l").readlink() == Path("../../anywhere")
    assert stat.S_ISFIFO((target / "p").stat().st_mode)
    assert stat.S_IMODE((target / "p").stat().st_mode) == 0o640
    for path, mode, time in (("d", 0o1777, 11), (".", 0o711, 13), ("deep", 0o755, 0), ("deep/er", 0o755, 0)):
        status = (target / path).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, time * 10**8 * 10**9), path
    assert os.getxattr(target / "empty", "user.note") == b"attribute"
    assert os.listxattr(target / "empty") == ["user.note"]


def test_holes_stay_holes(tmp_path: Path) -> None:
    data = b"2\n0\n5\n1000000\n3\n".ljust(512, b"\0") + b"startend"
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"8000000"}
    unpack(tmp_path / "target", entry("sparse", data, records=records) + END)
    status = (tmp_path / "target/sparse").stat()
    assert status.st_size == 8_000_000
    assert status.st_blocks * 512 < 100_000
    content = (tmp_path / "target/sparse").read_bytes()
    assert (content[:5], content[1_000_000:1_000_003], len(content.strip(b"\0"))) == (b"start", b"end", 1_000_003)


def test_owners_are_kept_or_told_in_an_attribute(tmp_path: Path) -> None:
    unpack(tmp_path / "target", archive([File("f", uid=1000, gid=50), File("d", "dir", uid=7, gid=0)]))
    for name, uid, gid in (("f", 1000, 50), ("d", 7, 0)):
        path = tmp_path / "target" / name
        if ROOT:
            assert (path.stat().st_uid, path.stat().st_gid) == (uid, gid)
        else:
            assert os.getxattr(path, ROOTLESS) == owner_message(uid, gid)


@pytest.mark.skipif(not ROOT, reason="only root can change owners")
def test_a_set_gid_directory_gives_its_group_to_nothing_in_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 0, 50)
    tmp_path.chmod(0o2755)
    target = tmp_path / "target"
    unpack(target, archive([File("d", "dir", mode=0o2755, gid=50), File("d/e", "dir"), File("d/e/f"), File("d/g")]))
    assert {name: (target / name).stat().st_gid for name in (".", "d", "d/e", "d/e/f", "d/g")} == {
        ".": 0,
        "d": 50,
        "d/e": 0,
        "d/e/f": 0,
        "d/g": 0,
    }


def test_without_root_the_owner_is_told_as_umoci_tells_it(tmp_path: Path) -> None:
    setter = Setter(privileged=False)
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    try:
        # What umoci 0.4.7 wrote for this owner.
        setter.on_open(fd, Attributes(mode=0o400, uid=3_000_000, gid=65_534, xattrs={ROOTLESS: b"a lie"}), new=True)
    finally:
        os.close(fd)
    assert os.getxattr(path, ROOTLESS).hex() == "08c08db70110feff03"
    assert (path.stat().st_uid, setter.recorded, setter.left_out) == (os.geteuid(), 1, {})
    assert owner_message(0, 5) == b"\x08\xff\xff\xff\xff\x0f\x10\x05"


@pytest.mark.parametrize(
    "message, owner",
    [
        pytest.param(owner_message(3_000_000, 65_534), (3_000_000, 65_534), id="a user and a group"),
        pytest.param(owner_message(0, 5), (0, 5), id="root is written as no change"),
        pytest.param(b"\x10\x07", (0, 7), id="who is not named is root"),
        pytest.param(b"\x08\x01\x08\x02", (2, 0), id="the last one counts"),
        pytest.param(b"", (0, 0), id="nobody is named"),
        pytest.param(b"\x08", None, id="a user without a number"),
        pytest.param(b"\x08\x80", None, id="a number without an end"),
        pytest.param(b"\x08" + b"\x80" * 10 + b"\x01", None, id="a number of eleven digits"),
        pytest.param(b"\x18\x01", None, id="another field"),
    ],
)
def test_the_owner_is_who_the_message_names(message: bytes, owner: tuple[int, int] | None) -> None:
    if owner is None:
        with pytest.raises(Invalid, match="no owner"):
            owner_of(message)
    else:
        assert owner_of(message) == owner


def test_a_device_is_an_empty_file_until_somebody_allows_it(tmp_path: Path) -> None:
    heard: list[Event] = []
    data = archive([File("null", "char", mode=0o666)])
    unpack(tmp_path / "without", data, options=StoreOptions(report=heard.append))
    assert stat.S_ISREG((tmp_path / "without/null").stat().st_mode)
    assert (tmp_path / "without/null").stat().st_size == 0
    assert len(heard) == 1
    assert isinstance(heard[0], Warned)
    assert heard[0].fact.endswith("device nodes: 1 became empty files: making them takes root and --devices")
    heard.clear()
    unpack(tmp_path / "with", data, options=StoreOptions(report=heard.append, devices=True))
    node = (tmp_path / "with/null").stat()
    if heard:  # not root, or the root of a container
        assert stat.S_ISREG(node.st_mode)
    else:
        assert (stat.S_ISCHR(node.st_mode), node.st_rdev) == (True, os.makedev(1, 3))


def test_names_that_a_file_system_cannot_hold_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="name too long"):
        unpack(tmp_path / "target", archive([File("n" * 300)]))
    assert left(tmp_path) == []


def test_a_tree_deeper_than_any_path_is_made_and_taken_away(tmp_path: Path) -> None:
    deep = "/".join(["directory-of-a-long-name"] * 400)
    unpack(tmp_path / "target", archive([File(f"{deep}/f"), File(f"{deep}/g"), hard("h", f"{deep}/f")]))
    assert (tmp_path / "target/h").stat().st_nlink == 2
    with suppress(Invalid):
        unpack_raw(tmp_path / "other", archive([File(f"{deep}/f"), File(f"{deep}/f")]))
    assert left(tmp_path) == ["target"]


def test_limits_hold(tmp_path: Path) -> None:
    with enforce_limits(Limits(entries=2)), pytest.raises(LimitExceeded, match="entries"):
        unpack(tmp_path / "target", archive([File("a"), File("b"), File("c")]))
