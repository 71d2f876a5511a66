"""The files of a directory as they lie on the disk, in a fixed order.

Directories are opened one below the other and links are never followed: a process in a running container cannot lead
the reader out of its tree.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from converter import system
from converter.errors import Invalid
from converter.stores.disk import READ, disk_errors, printable_path
from converter.stores.rootfs.attributes import HOSTS, ROOTLESS, UNSUPPORTED, owner_of
from converter.streams.tar import fields
from converter.streams.tar.listing import Node
from converter.system import mount_of

REASONS = {
    "sockets": "sockets, which exist only while a process listens",
    "mounts": "files that are mounted over others, and belong to another file system",
}
"""What is left out, and how a count of it reads."""

AS_UNPACKED, BY_PATH = b"\0", b"/"
"""The orders of files: a directory's contents follow it at once, or all files stand in the order of their paths.

In the second, what is in ``lib`` comes after ``lib-x``. The byte is what a directory's name is sorted with.
"""

_OTHERS = {
    stat.S_IFLNK: fields.SYMLINK,
    stat.S_IFCHR: fields.CHAR,
    stat.S_IFBLK: fields.BLOCK,
    stat.S_IFIFO: fields.FIFO,
}
_DEVICES = frozenset((fields.CHAR, fields.BLOCK))


class FoundFile(NamedTuple):
    """A file of a tree; ``fd`` is open for a regular file, -1 for any other, and whoever takes the file closes it."""

    path: bytes
    """Without a slash before it; empty for the root."""
    type: bytes
    """A constant of ``fields``, never LINK."""
    status: os.stat_result
    owner: tuple[int, int]
    xattrs: dict[bytes, bytes]
    linkname: bytes = b""
    fd: int = -1

    def node(self, sha256: bytes = b"") -> Node:
        """What it is; ``sha256`` is the digest of its content."""
        status = self.status
        return Node(
            self.type,
            stat.S_IMODE(status.st_mode),
            *self.owner,
            status.st_mtime_ns,
            status.st_size if self.type == fields.FILE else 0,
            sha256,
            self.linkname,
            (os.major(status.st_rdev), os.minor(status.st_rdev)) if self.type in _DEVICES else (0, 0),
            tuple(sorted(self.xattrs.items())) if self.xattrs else (),
        )


def read_content(found: FoundFile, block: int) -> Iterator[bytes]:
    """What a regular file holds. Raises Invalid if it changes meanwhile, StorageFailed."""
    left = found.status.st_size
    try:
        while left and (data := os.read(found.fd, min(block, left))):
            left -= len(data)
            yield data
        if left or _changed(found.fd, found.status):
            raise changed_meanwhile(found.path)
    except OSError:
        with disk_errors(os.fsdecode(found.path), "read"):
            raise


def changed_meanwhile(path: bytes) -> Invalid:
    """The error for a file that is not what it was when its reading began."""
    return Invalid(f"{printable_path(os.fsdecode(path))} changed while it was read")


def _changed(fd: int, before: os.stat_result) -> bool:
    """Whether an open file or directory has changed. Programs can set a time back, but not that of the change."""
    after = os.fstat(fd)
    return (before.st_size, before.st_ctime_ns) != (after.st_size, after.st_ctime_ns)


_Name = tuple[bytes, int, Callable[["_Directory", bytes, int], FoundFile | None]]
"""A name in a directory, the inode that the directory gives it, and what reads such a file.

A name that ends in the order's byte stands for the contents of a directory that has come.
"""


@dataclass(slots=True)
class _Directory:
    """An open directory: the beginning of its files' paths, and a heap of the names still to come."""

    fd: int
    path: bytes
    before: os.stat_result
    names: list[_Name] = field(default_factory=list)


@dataclass(eq=False)
class DirectoryWalk:
    """The files below a directory, which are read once, but for the paths ``without`` and what is below.

    Several processes may share the work: each takes the regular files whose inodes fall to it, and the first of them
    all else. ``share`` is the number of this one, and how many there are.

    Files of the user ``own`` whose owner nobody has recorded are root's: so it is where that user has unpacked them.
    """

    root: Path
    order: bytes = AS_UNPACKED
    without: Collection[bytes] = ()
    share: tuple[int, int] = (0, 1)
    own: int | None = None
    left_out: Counter[str] = field(default_factory=Counter, init=False)
    """Counts what was left out, by the names in ``REASONS``."""
    mounts: set[bytes] = field(default_factory=set, init=False)
    """Where another file system begins, whose files are not part of the tree: only the directory itself is."""
    _waiting: list[_Directory] = field(default_factory=list, init=False)
    """The directories that are being read, each in the one before it. No recursion: trees may be deeper than a
    stack."""
    _opened: list[_Directory] = field(default_factory=list, init=False)
    """The directories that have come, but not their contents. Those of the last one come first."""
    _path: bytes = field(default=b"", init=False)
    """What is being read."""

    def __iter__(self) -> Iterator[FoundFile]:
        """The files, names in the order of their bytes.

        Raises Invalid for a directory that changes while it is read, NotFound, StorageFailed.
        """
        with disk_errors(self.root, "read"):
            fd = os.open(self.root, READ | os.O_DIRECTORY)
        self._opened.append(root := _Directory(fd, b"", os.fstat(fd)))
        try:
            self._mount = mount_of(fd)
            if self._is_first and b"" not in self.without:
                yield self._found(fields.DIR, root.before, fd)
            self._enter(root, b"", 0)
            while self._waiting:
                above = self._waiting[-1]
                if not above.names:
                    self._leave()
                    continue
                name, inode, read = heappop(above.names)
                self._path = above.path + name
                if self._path not in self.without:
                    found = read(above, name, inode)
                    if found is not None:
                        yield found
        except OSError:
            with disk_errors(os.fsdecode(self._path.rstrip(self.order)) or "/", "read"):
                raise
        finally:
            for directory in (*self._waiting, *self._opened):
                os.close(directory.fd)

    @property
    def _is_first(self) -> bool:
        return self.share[0] == 0

    def _names(self, directory: int) -> list[_Name]:
        """The names in a directory, in their order."""
        number, count = self.share
        names: list[_Name] = []
        with os.scandir(directory) as found:
            for one in found:
                inode = one.inode()
                if one.is_file(follow_symlinks=False):
                    if inode % count == number:
                        names.append((os.fsencode(one.name), inode, self._regular))
                elif one.is_dir(follow_symlinks=False):
                    names.append((os.fsencode(one.name), inode, self._directory))
                elif self._is_first:
                    names.append((os.fsencode(one.name), inode, self._other))
        return sorted(names)

    def _directory(self, above: _Directory, name: bytes, inode: int) -> FoundFile | None:
        """The directory, if it is in this process' share; its contents are put among the names to come."""
        fd = os.open(name, READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above.fd)
        self._opened.append(directory := _Directory(fd, self._path + b"/", os.fstat(fd)))
        found = self._found(fields.DIR, directory.before, fd) if self._is_first else None
        if self._is_mounted(above, inode, directory.before, fd):
            self.mounts.add(self._path)
            os.close(self._opened.pop().fd)
        else:
            heappush(above.names, (name + self.order, inode, self._enter))
        return found

    def _enter(self, _above: _Directory, _name: bytes, _inode: int) -> None:
        directory = self._opened[-1]
        directory.names = self._names(directory.fd)
        self._waiting.append(self._opened.pop())

    def _leave(self) -> None:
        directory = self._waiting[-1]
        if _changed(directory.fd, directory.before):
            raise changed_meanwhile(directory.path or b"/")
        os.close(self._waiting.pop().fd)

    def _other(self, above: _Directory, name: bytes, _inode: int) -> FoundFile | None:
        status = os.stat(name, dir_fd=above.fd, follow_symlinks=False)
        kind = _OTHERS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            if not stat.S_ISSOCK(status.st_mode):
                raise changed_meanwhile(self._path)
            self.left_out["sockets"] += 1
            return None
        target = os.readlink(name, dir_fd=above.fd) if kind == fields.SYMLINK else b""
        return self._found(kind, status, system.entry_path(above.fd, name), target)

    def _regular(self, above: _Directory, name: bytes, inode: int) -> FoundFile | None:
        fd = os.open(name, READ | os.O_NOFOLLOW, dir_fd=above.fd)
        found = None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise changed_meanwhile(self._path)
            if self._is_mounted(above, inode, status, fd):
                self.left_out["mounts"] += 1
                self.mounts.add(self._path)
            else:
                found = self._found(fields.FILE, status, fd)
            return found
        finally:
            if found is None:
                os.close(fd)

    def _is_mounted(self, above: _Directory, inode: int, status: os.stat_result, fd: int) -> bool:
        """Whether an open file is in another mount than the root.

        The directory above has the inode of what lies below a mount. Where both are the same, the slower question need
        not be asked; overlayfs and others sometimes give two for one file.
        """
        same = status.st_ino == inode and status.st_dev == above.before.st_dev
        return not same and mount_of(fd) != self._mount

    def _found(self, kind: bytes, status: os.stat_result, file: int | bytes, linkname: bytes = b"") -> FoundFile:
        """The file that is being read, which is open, or known by its path if it cannot be opened."""
        xattrs = _attributes(file)
        if ROOTLESS in xattrs:
            owner = owner_of(xattrs.pop(ROOTLESS))
        elif status.st_uid == self.own:
            owner = (0, 0)
        else:
            owner = (status.st_uid, status.st_gid)
        fd = file if kind == fields.FILE and isinstance(file, int) else -1
        return FoundFile(self._path, kind, status, owner, xattrs, linkname, fd)


def _attributes(file: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes that belong to a file, not to the machine that it lies on."""
    try:
        return system.attributes(file, without=HOSTS)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return {}
