"""The files of a directory as they lie on the disk, in a fixed order.

Directories are opened one below the other and links are never followed: a process in a running container cannot lead
the reader out of its tree.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from converter import system
from converter.errors import Invalid
from converter.stores.disk import READ, disk_errors, printable_path
from converter.stores.rootfs.attributes import HOSTS, ROOTLESS, UNSUPPORTED, owner_of
from converter.streams.tar import fields
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

_TYPES = {
    stat.S_IFREG: fields.FILE,
    stat.S_IFDIR: fields.DIR,
    stat.S_IFLNK: fields.SYMLINK,
    stat.S_IFCHR: fields.CHAR,
    stat.S_IFBLK: fields.BLOCK,
    stat.S_IFIFO: fields.FIFO,
}


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


class DirectoryWalk:
    """The files below a directory, which each iteration reads anew, but for the paths ``without`` and what is below.

    Several processes may share the work: each takes the regular files whose inodes fall to it, and the first of them
    all else. ``share`` is the number of this one, and how many there are.

    Files of the user ``own`` whose owner nobody has recorded are root's: so it is where that user has unpacked them.

    Of the last iteration, ``left_out`` counts what was left out, by the names in ``REASONS``; ``mounts`` has the paths
    where another file system begins, whose files are not part of the tree: only the directory itself is.
    """

    def __init__(
        self,
        root: Path,
        order: bytes = AS_UNPACKED,
        without: Collection[bytes] = (),
        share: tuple[int, int] = (0, 1),
        own: int | None = None,
    ) -> None:
        self._root = root
        self.own = own
        self.share = share
        self.order = order
        self.without = without
        self.left_out: Counter[str] = Counter()
        self.mounts: set[bytes] = set()

    def __iter__(self) -> Iterator[FoundFile]:
        """The files, names in the order of their bytes.

        Raises Invalid for a directory that changes while it is read, NotFound, StorageFailed.
        """
        self.left_out.clear()
        self.mounts.clear()
        with disk_errors(self._root, "read"):
            root = os.open(self._root, READ | os.O_DIRECTORY)
        return _Reading(self, root).files()


def content(found: FoundFile, block: int) -> Iterator[bytes]:
    """What a regular file holds. Raises Invalid if it changes meanwhile, StorageFailed."""
    left = found.status.st_size
    try:
        while left and (data := os.read(found.fd, min(block, left))):
            left -= len(data)
            yield data
        if left or _changed(found.fd, found.status):
            raise Invalid(f"{printable_path(os.fsdecode(found.path))} changed while it was read")
    except OSError:
        with disk_errors(os.fsdecode(found.path), "read"):
            raise


def _changed(fd: int, before: os.stat_result) -> bool:
    """Whether an open file or directory has changed. Programs can set a time back, but not that of the change."""
    after = os.fstat(fd)
    return (before.st_size, before.st_ctime_ns) != (after.st_size, after.st_ctime_ns)


@dataclass(slots=True)
class _Directory:
    """An open directory: the beginning of its files' paths, and the names still to come, the next one last.

    A name is there with whether it is that of a regular file; one that ends in the order's byte stands for the contents
    of a directory that has come.
    """

    fd: int
    path: bytes
    before: os.stat_result
    names: list[tuple[bytes, bool]]


class _Reading:
    """One reading of a tree; it closes ``root``, a file descriptor."""

    def __init__(self, walk: DirectoryWalk, root: int) -> None:
        self._walk = walk
        self._mount = mount_of(root)
        self._waiting = [_Directory(root, b"", os.fstat(root), [])]
        """The directories that are open, each in the one before it. No recursion: trees may be deeper than a stack."""
        self._path = b""
        """What is being read."""

    def files(self) -> Iterator[FoundFile]:
        (root,) = self._waiting
        order, first = self._walk.order, self._walk.share[0] == 0
        try:
            root.names = self._names(root.fd)
            if first and b"" not in self._walk.without:
                yield self._found(b"", fields.DIR, root.before, root.fd)
            while self._waiting:
                above = self._waiting[-1]
                if not above.names:
                    self._leave()
                    continue
                name, regular = above.names.pop()
                self._path = path = above.path + name
                if name.endswith(order):
                    self._enter(above, name[:-1])
                elif path not in self._walk.without:
                    found = self._regular(above, name) if regular else self._other(above, name)
                    if found is not None and (first or regular):
                        yield found
        except OSError:
            with disk_errors(os.fsdecode(self._path.rstrip(order)) or "/", "read"):
                raise
        finally:
            for directory in self._waiting:
                os.close(directory.fd)

    def _names(self, directory: int) -> list[tuple[bytes, bool]]:
        """The names in a directory, the last first, each with whether it is that of a regular file."""
        number, count = self._walk.share
        names = []
        with os.scandir(directory) as found:
            for one in found:
                regular = one.is_file(follow_symlinks=False)
                if one.inode() % count == number if regular else not number or one.is_dir(follow_symlinks=False):
                    names.append((os.fsencode(one.name), regular))
        return sorted(names, reverse=True)

    def _enter(self, above: _Directory, name: bytes) -> None:
        fd = os.open(name, READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above.fd)
        self._waiting.append(directory := _Directory(fd, above.path + name + b"/", os.fstat(fd), []))
        directory.names = self._names(fd)

    def _leave(self) -> None:
        directory = self._waiting.pop()
        try:
            if _changed(directory.fd, directory.before):
                raise Invalid(f"{printable_path(os.fsdecode(directory.path)) or '/'} changed while it was read")
        finally:
            os.close(directory.fd)

    def _other(self, above: _Directory, name: bytes) -> FoundFile | None:
        status = os.stat(name, dir_fd=above.fd, follow_symlinks=False)
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind == fields.DIR:
            return self._directory(above, name)
        if kind == fields.FILE:
            return self._regular(above, name)
        if kind is None:
            self._walk.left_out["sockets"] += 1
            return None
        target = os.readlink(name, dir_fd=above.fd) if kind == fields.SYMLINK else b""
        return self._found(self._path, kind, status, system.entry(above.fd, name), target)

    def _directory(self, above: _Directory, name: bytes) -> FoundFile:
        """The directory; its contents are put among the names to come."""
        fd = os.open(name, READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above.fd)
        try:
            if mount_of(fd) == self._mount:
                place, contents = len(above.names), name + self._walk.order
                while place and above.names[place - 1][0] < contents:
                    place -= 1
                above.names.insert(place, (contents, False))
            else:
                self._walk.mounts.add(self._path)
            return self._found(self._path, fields.DIR, os.fstat(fd), fd)
        finally:
            os.close(fd)

    def _regular(self, above: _Directory, name: bytes) -> FoundFile | None:
        fd = os.open(name, READ | os.O_NOFOLLOW, dir_fd=above.fd)
        found = None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Invalid(f"{printable_path(os.fsdecode(self._path))} changed while it was read")
            if status.st_dev == above.before.st_dev or mount_of(fd) == self._mount:
                found = self._found(self._path, fields.FILE, status, fd)
            else:
                self._walk.left_out["mounts"] += 1
                self._walk.mounts.add(self._path)
            return found
        finally:
            if found is None:
                os.close(fd)

    def _found(
        self, path: bytes, kind: bytes, status: os.stat_result, file: int | bytes, linkname: bytes = b""
    ) -> FoundFile:
        """A file, which is open, or known by its path if it cannot be opened."""
        xattrs = _attributes(file)
        if ROOTLESS in xattrs:
            owner = owner_of(xattrs.pop(ROOTLESS))
        elif status.st_uid == self._walk.own:
            owner = (0, 0)
        else:
            owner = (status.st_uid, status.st_gid)
        fd = file if kind == fields.FILE and isinstance(file, int) else -1
        return FoundFile(path, kind, status, owner, xattrs, linkname, fd)


def _attributes(file: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes that belong to a file, not to the machine that it lies on."""
    try:
        return system.attributes(file, without=HOSTS)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return {}
