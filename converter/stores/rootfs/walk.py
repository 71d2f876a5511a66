"""A directory as one tar: the same bytes for the same files, whatever order the file system lists them in.

Directories are opened one below the other and links are never followed: a process in a running container cannot lead
the reader out of its tree.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypedDict

from converter import system
from converter.errors import Invalid, Unsupported
from converter.stores.disk import READ, disk, printable_path
from converter.stores.rootfs.attributes import HOSTS, ROOTLESS, UNSUPPORTED, owner_of
from converter.streams import Block
from converter.streams.blocks import COPY_BLOCK
from converter.streams.tar import fields, pax
from converter.streams.tar.write import END, make_header, padding_bytes
from converter.streams.whiteout import whiteout
from converter.system import mount_of

REASONS = {
    "sockets": "sockets, which exist only while a process listens",
    "mounts": "files that are mounted over others, and belong to another file system",
}
"""What is left out, and how a count of it reads."""

_TYPES = {
    stat.S_IFREG: fields.FILE,
    stat.S_IFDIR: fields.DIR,
    stat.S_IFLNK: fields.SYMLINK,
    stat.S_IFCHR: fields.CHAR,
    stat.S_IFBLK: fields.BLOCK,
    stat.S_IFIFO: fields.FIFO,
}


class DirectoryWalk:
    """The files below a directory, which each iteration reads anew.

    Of the last iteration, ``left_out`` counts what was left out, by the names in ``REASONS``; ``mounts`` has the paths
    where another file system begins, whose files are not part of the tree; ``seal`` is the same for two iterations that
    found the same files with the same times.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.left_out: Counter[str] = Counter()
        self.mounts: set[bytes] = set()
        self.seal = b""

    def __iter__(self) -> Iterator[Block]:
        """The blocks of the tar, names in the order of their bytes, a directory before its contents.

        Raises Invalid for a file that changes while it is read, Unsupported for a name that means a deletion in a
        layer, NotFound, StorageFailed.
        """
        self.left_out.clear()
        self.mounts.clear()
        with disk(self._root, "read"):
            root = os.open(self._root, READ | os.O_DIRECTORY)
        tree = _Tree(self, root)
        yield from tree.blocks()
        self.seal = tree.headers.digest()
        yield END


class _Directory(NamedTuple):
    """An open directory: its path, and the names in it that are still to come, the next one last."""

    fd: int
    path: bytes
    names: list[bytes]


class _Tree:
    """One reading of a tree; it closes ``root``, a file descriptor."""

    def __init__(self, walk: DirectoryWalk, root: int) -> None:
        self._walk = walk
        self._mount = mount_of(root)
        self.headers = blake2b()
        self._first: dict[tuple[int, int], bytes] = {}
        """The first name of each file that has several."""
        self._waiting = [_Directory(root, b"", [])]
        """The directories that are open, each in the one before it. No recursion: trees may be deeper than a stack."""

    def blocks(self) -> Iterator[Block]:
        (root,) = self._waiting
        try:
            root.names.extend(_names(root.fd, b""))
            yield self._header(b"./", root.fd, os.fstat(root.fd))
            while self._waiting:
                above = self._waiting[-1]
                if not above.names:
                    os.close(self._waiting.pop().fd)
                    continue
                name = above.names.pop()
                path = above.path + b"/" + name if above.path else name
                with disk(os.fsdecode(path), "read"):
                    yield from self._file(above.fd, name, path)
        finally:
            for directory in self._waiting:
                os.close(directory.fd)

    def _file(self, above: int, name: bytes, path: bytes) -> Iterator[Block]:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            self._walk.left_out["sockets"] += 1
        elif b".wh." in path and whiteout(path):
            raise Unsupported(f"{printable_path(os.fsdecode(path))}: in a layer, a file of this name means a deletion")
        elif kind == stat.S_IFDIR:
            fd = os.open(name, READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            self._waiting.append(_Directory(fd, path, []))
            yield self._header(path, fd, os.fstat(fd))
            if mount_of(fd) == self._mount:
                self._waiting[-1].names.extend(_names(fd, path))
            else:
                self._walk.mounts.add(path)
        elif status.st_nlink > 1 and (first := self._first.setdefault((status.st_dev, status.st_ino), path)) != path:
            head = make_header(name=path, type=fields.LINK, linkname=first, **_usual(status))
            self.headers.update(head)
            yield head
        elif kind == stat.S_IFREG:
            fd = os.open(name, READ | os.O_NOFOLLOW, dir_fd=above)
            try:
                yield from self._regular(path, fd, above)
            finally:
                os.close(fd)
        else:
            target = os.readlink(name, dir_fd=above) if kind == stat.S_IFLNK else b""
            yield self._header(path, system.entry(above, name), status, target)

    def _regular(self, path: bytes, fd: int, above: int) -> Iterator[Block]:
        before = os.fstat(fd)
        if before.st_dev != os.fstat(above).st_dev and mount_of(fd) != self._mount:
            self._walk.left_out["mounts"] += 1
            self._walk.mounts.add(path)
            return
        yield self._header(path, fd, before)
        left = before.st_size
        while left and (block := os.read(fd, min(COPY_BLOCK, left))):
            left -= len(block)
            yield block
        after = os.fstat(fd)
        if left or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Invalid(f"{printable_path(os.fsdecode(path))} changed while it was read")
        if padding := padding_bytes(before.st_size):
            yield padding

    def _header(self, path: bytes, file: int | bytes, status: os.stat_result, linkname: bytes = b"") -> bytes:
        """The header of a file, which is open, or known by its path if it cannot be opened."""
        head = _header(path, file, status, linkname)
        self.headers.update(head)
        return head


def _header(path: bytes, file: int | bytes, status: os.stat_result, linkname: bytes) -> bytes:
    kind = _TYPES[stat.S_IFMT(status.st_mode)]
    attributes = _attributes(file)
    usual = _usual(status)
    if owner := attributes.pop(ROOTLESS, None):
        usual["uid"], usual["gid"] = owner_of(owner)
    return make_header(
        name=path,
        type=kind,
        size=status.st_size if kind == fields.FILE else 0,
        linkname=linkname,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in {fields.CHAR, fields.BLOCK} else (0, 0),
        records={pax.XATTR + key: value for key, value in attributes.items()},
        **usual,
    )


class _Usual(TypedDict):
    """What every header has."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int


def _usual(status: os.stat_result) -> _Usual:
    mode = stat.S_IMODE(status.st_mode)
    return {"mode": mode, "uid": status.st_uid, "gid": status.st_gid, "mtime_ns": status.st_mtime_ns}


def _names(directory: int, path: bytes) -> list[bytes]:
    """The names in a directory, the last first."""
    with disk(os.fsdecode(path) or "/", "read"):
        return sorted(map(os.fsencode, os.listdir(directory)), reverse=True)


def _attributes(file: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes that belong to a file, not to the machine that it lies on."""
    try:
        return system.attributes(file, without=HOSTS)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return {}
