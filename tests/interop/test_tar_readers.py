"""The tar engine beside GNU tar and bsdtar: it reads what they write, and they read what it writes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from converter.model.content import Open
from converter.streams.squash import squash
from converter.streams.tar.aci import rebuild_aci, unpack_aci
from converter.streams.tar.entry import Cursor
from converter.streams.tar.fields import BLOCK, CHAR, DIR, END, FIFO, FILE, LINK, SYMLINK
from converter.streams.tar.listing import Node
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import Scanner
from tests.interop.tools import need, run
from tests.trees import Named, tree

TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIR,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFIFO: FIFO,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCK,
}
MANIFEST = b"{}"
HOLES = 3_000_000
SHORT = "short"
"""The part of the tree whose names v7 can hold."""


def make_tree(root: Path) -> None:
    short = root / SHORT
    short.mkdir(parents=True)
    (short / "file").write_bytes(b"content")
    (short / "empty").touch()
    (short / ".hidden").write_bytes(b"x" * 512)
    (short / "soft").symlink_to("../nowhere/at all")
    (short / "hard").hardlink_to(short / "file")
    Path(os.fsdecode(bytes(short) + b"/\xff\xfe bytes")).write_bytes(b"no UTF-8")
    with (short / "sparse").open("wb") as file:
        for number in range(40):
            file.seek(number * HOLES // 40)
            file.write(b"data")
        file.truncate(HOLES)
    os.mkfifo(short / "fifo")
    (short / "set-id").touch()
    (short / "set-id").chmod(0o4711)
    (short / "sticky").mkdir()
    (short / "sticky").chmod(0o1777)
    deep = root / ("d" * 90) / ("e" * 90) / ("n" * 90)
    deep.mkdir(parents=True)
    (deep / ("f" * 120)).write_bytes(b"deep")
    (root / "long-target").symlink_to("t" * 150)
    (deep / "long-hard").hardlink_to(deep / ("f" * 120))
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, (1_600_000_000 + number) * 10**9 + number * 1_000_003), follow_symlinks=False)


def truth(root: Path, exact: bool) -> dict[bytes, Named]:
    """The tree as the file system has it; without ``exact``, times in whole seconds."""
    names: dict[tuple[int, int], list[bytes]] = {}
    found: dict[bytes, tuple[os.stat_result, Node]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = os.fsencode(path.relative_to(root))
        names.setdefault((status.st_dev, status.st_ino), []).append(name)
        kind = TYPES[stat.S_IFMT(status.st_mode)]
        data = path.read_bytes() if kind == FILE else b""
        found[name] = (
            status,
            Node(
                type=kind,
                mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
                mtime_ns=status.st_mtime_ns if exact else status.st_mtime_ns // 10**9 * 10**9,
                size=len(data),
                linkname=os.fsencode(path.readlink()) if kind == SYMLINK else b"",
                sha256=hashlib.sha256(data).digest() if kind == FILE else b"",
            ),
        )
    return {name: linked(node, names[status.st_dev, status.st_ino]) for name, (status, node) in sorted(found.items())}


def linked(node: Node, names: list[bytes]) -> Named:
    return Named(node, tuple(sorted(names)) if len(names) > 1 else ())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("aci") / "rootfs"
    make_tree(root)
    (root.parent / "manifest").write_bytes(MANIFEST)
    return root


WRITERS = [
    pytest.param("tar", ["--format=v7", "--exclude=fifo"], False, SHORT, id="GNU tar v7"),
    pytest.param("tar", ["--format=oldgnu"], False, ".", id="GNU tar oldgnu"),
    pytest.param("tar", ["--format=oldgnu", "--sparse"], False, ".", id="GNU tar oldgnu, sparse"),
    pytest.param("tar", ["--format=gnu", "--sparse"], False, ".", id="GNU tar gnu, sparse"),
    pytest.param("tar", ["--format=gnu", "--incremental"], False, ".", id="GNU tar gnu, incremental"),
    pytest.param("tar", ["--format=gnu", "--label=a label"], False, ".", id="GNU tar gnu with a label"),
    pytest.param("tar", ["--format=ustar"], False, SHORT, id="GNU tar ustar"),
    pytest.param("tar", ["--format=posix"], True, ".", id="GNU tar posix"),
    pytest.param("tar", ["--format=posix", "--sparse", "--sparse-version=0.0"], True, ".", id="GNU tar sparse 0.0"),
    pytest.param("tar", ["--format=posix", "--sparse", "--sparse-version=0.1"], True, ".", id="GNU tar sparse 0.1"),
    pytest.param("tar", ["--format=posix", "--sparse", "--sparse-version=1.0"], True, ".", id="GNU tar sparse 1.0"),
    pytest.param("bsdtar", ["--format=v7", "--exclude=fifo"], False, SHORT, id="bsdtar v7"),
    pytest.param("bsdtar", ["--format=ustar"], False, SHORT, id="bsdtar ustar"),
    pytest.param("bsdtar", ["--format=gnutar"], False, ".", id="bsdtar gnutar"),
    pytest.param("bsdtar", ["--format=pax"], True, ".", id="bsdtar pax"),
]


def written(program: str, options: list[str], root: Path, what: str, out: Path) -> bytes:
    need(program)
    run(program, "-c", *options, "-f", out, "-C", root, what, env={"LC_ALL": "C.UTF-8"})
    return out.read_bytes()


@pytest.mark.parametrize("program, options, exact, what", WRITERS)
def test_what_they_write_is_read(
    program: str, options: list[str], exact: bool, what: str, real: Path, tmp_path: Path
) -> None:
    data = written(program, options, real, what, tmp_path / "out.tar")
    found = tree([lambda: [data]])
    found.pop(b"", None)
    wanted = {
        name: node
        for name, node in truth(real, exact).items()
        if what == "." or name.split(b"/")[0] == os.fsencode(what)
    }
    if "v7" in options[0]:  # it has no fifos
        del wanted[b"short/fifo"]
    assert found == wanted
    scanner = Scanner(Cursor([data]))
    again = b"".join(block for entry in scanner for block in (entry.raw, *entry.body)) + b"".join(scanner.trailing())
    assert again == data


@pytest.mark.parametrize("program, options, exact, what", [row for row in WRITERS if "v7" not in str(row.values[1])])
def test_their_archives_are_made_again_after_the_rootfs_was_taken_out(
    program: str, options: list[str], exact: bool, what: str, real: Path, tmp_path: Path
) -> None:
    need(program)
    out = tmp_path / "out.tar"
    run(program, "-c", *options, "-f", out, "-C", real.parent, "manifest", f"rootfs/{what}".removesuffix("/."))
    data = out.read_bytes()
    if what != ".":
        data = make_header(name=b"rootfs", type=DIR) + data
    recipes: list[str] = []
    layer = b"".join(unpack_aci([data], recipes.append))
    assert b"".join(rebuild_aci([layer], recipes[0], MANIFEST)) == data
    assert len(recipes[0]) < 4096, "no header but the manifest's and the rootfs's"
    assert set(tree([lambda: [layer]])) - {b""} <= set(truth(real, exact))


READERS = [pytest.param("tar", id="GNU tar"), pytest.param("bsdtar", id="bsdtar")]


@pytest.mark.parametrize("program", READERS)
def test_they_read_what_is_flattened(program: str, real: Path, tmp_path: Path) -> None:
    need(program, "tar")
    base = written("tar", ["--format=gnu", "--sparse"], real, ".", tmp_path / "base.tar")
    changes = [
        make_header(name=b"short/.wh.file"),
        make_header(name=b"short/sticky/new", mode=0o600),
        make_header(name=b"short/soft", type=DIR, mode=0o700),
        make_header(name=b"new-link", type=LINK, linkname=b"short/.hidden"),
    ]
    layers: list[Open] = [lambda: [base], lambda: [*changes, END]]
    out = tmp_path / "flat.tar"
    out.write_bytes(b"".join(squash(layers, root=make_header(name=b"rootfs", type=DIR))))
    target = tmp_path / "target"
    target.mkdir()
    run(program, "-x", "-p", "-f", out, "-C", target, env={"LC_ALL": "C.UTF-8"})
    wanted = tree(layers)
    del wanted[b""]
    assert timeless(truth(target / "rootfs", exact=True)) == timeless(wanted)


def timeless(files: dict[bytes, Named]) -> dict[bytes, Named]:
    """Without the times of directories: GNU tar loses them where entries from elsewhere come in between."""
    return {
        path: Named(node._replace(mtime_ns=0), names) if node.type == DIR else Named(node, names)
        for path, (node, names) in files.items()
    }
