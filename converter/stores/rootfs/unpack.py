"""Unpacks a tar: each entry is created anew below one directory, and nothing existing is ever replaced.

So no entry can change what an earlier one created, and a link that leads outside has no effect.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from converter.errors import Invalid, Unsupported
from converter.model.content import Blocks
from converter.model.limits import current_limits
from converter.stores.disk import disk_error, opened
from converter.stores.rootfs.attributes import Attributes, Setter
from converter.streams.blocks import ClosedOnExit, write_all
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import (
    BLOCK,
    CHAR,
    DIR,
    FIFO,
    FILE,
    LINK,
    SYMLINK,
    Budget,
    clean_name,
    parent_name,
    quoted_name,
    require_contained,
)
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.sparse import data_regions, real_size

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
MOST_OPEN = 64
_Directories = dict[bytes, Attributes | None]
"""The directories that were made, by clean name, with the attributes from their entries, if they have come."""


class OpenDirectories:
    """The open directories of a tree, by clean name; the root is ``b""``.

    They are opened one component at a time, never through a symbolic link (openat(2), O_NOFOLLOW), so that no link in
    the tree can lead outside of it.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, DIRECTORY)
        self._open: dict[bytes, int] = {}

    def close(self) -> None:
        for fd in (*self._open.values(), self._root):
            os.close(fd)

    def directory(self, path: bytes, made: _Directories | None = None) -> int:
        """A file descriptor of a directory, valid until some sixty others have been requested; the caller must not
        close it.

        With ``made``, missing directories are created, accessible to their owner only, and added to it. Raises Invalid
        if a component is not a directory, FileNotFoundError, OSError.
        """
        if not path:
            return self._root
        fd = self._open.pop(path, None)
        if fd is None:
            fd = self._reach(path, made)
            if len(self._open) >= MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = fd
        return fd

    def _reach(self, path: bytes, made: _Directories | None) -> int:
        """Descend from the nearest directory that is open."""
        require_contained(path)
        here = path
        while here and here not in self._open:
            here = parent_name(here)
        at = os.dup(self._open.get(here, self._root))
        for part in path[len(here) :].strip(b"/").split(b"/"):
            here = here + b"/" + part if here else part
            try:
                below = self._step(at, part, here, made)
            finally:
                os.close(at)
            at = below
        return at

    def _step(self, at: int, part: bytes, here: bytes, made: _Directories | None) -> int:
        try:
            return os.open(part, DIRECTORY, dir_fd=at)
        except FileNotFoundError:
            if made is None:
                raise
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise Invalid(f"entry below {quoted_name(here)}, which is not a directory") from None
            raise
        os.mkdir(part, 0o700, dir_fd=at)
        made[here] = None
        return os.open(part, DIRECTORY, dir_fd=at)


NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
DEVICES = "device nodes"
UNDESCRIBED = Attributes(mode=0o755)
"""For a directory without an entry: its owner and time are unknown."""


class Unpacked(ClosedOnExit):
    """A tree being unpacked: ``fill`` first, then ``finish``; if either raises, the caller removes the tree."""

    def __init__(self, root: Path, where: str, *, devices: bool) -> None:
        """``where`` is the tree's name for people; with ``devices``, root makes device nodes. Raises OSError."""
        self._where = where
        self.setter = Setter(privileged=os.geteuid() == 0)
        """It knows what could not be kept."""
        self._devices = devices and self.setter.privileged
        self._directories: _Directories = {}
        self._last = UNDESCRIBED
        self._budget = Budget()
        self._below = OpenDirectories(root)

    def close(self) -> None:
        """Close the open directories."""
        self._below.close()

    def fill(self, blocks: Blocks) -> None:
        """Create every entry; until ``finish``, directories are accessible only to this user.

        Raises Invalid for an entry that would be outside, exists already, or is below something other than a directory;
        StorageFailed; and what ``blocks`` raises.
        """
        for entry in scan_entries(blocks):
            try:
                self._make(entry)
            except FileExistsError:
                raise Invalid(
                    f"entry {quoted_name(entry.name)}: a file of that name exists already "
                    f"(to this file system two names may be one)"
                ) from None
            except OSError as error:
                raise disk_error(error, f"{self._where}/{os.fsdecode(entry.name)}", "write") from error

    def finish(self, root: Path) -> None:
        """Set the attributes of directories, inner ones first; the tree is now at ``root``.

        ``root`` itself is left to ``finish_root``.
        """
        before, self._below = self._below, OpenDirectories(root)
        before.close()
        for path in sorted(filter(None, self._directories), reverse=True):
            try:
                self.setter.on_open(self._below.directory(path), self._directories[path] or UNDESCRIBED, new=True)
            except OSError as error:
                raise disk_error(error, f"{self._where}/{os.fsdecode(path)}", "write") from error

    def finish_root(self) -> None:
        """Set the attributes of the root, wherever it has been moved; the last step."""
        self.setter.on_open(self._below.directory(b""), self._directories.get(b"") or UNDESCRIBED, new=False)

    def _make(self, entry: Entry) -> None:
        path, kind = require_contained(entry.name), entry.type
        if kind == DIR:
            self._make_directory(path, entry)
            return
        above, _, name = path.rpartition(b"/")
        if not name:
            raise Invalid('entry "/" is not a directory')
        directory = self._below.directory(above, self._directories)
        if kind == FILE:
            self._make_file(directory, name, entry)
        elif kind == LINK:
            self._make_link(directory, name, entry)
        elif kind == SYMLINK:
            if not entry.linkname:
                raise Invalid(f"symbolic link {quoted_name(path)} has an empty target")
            os.symlink(entry.linkname, name, dir_fd=directory)
            self.setter.on_name(directory, name, Attributes.of(entry), link=True)
        elif kind == FIFO:
            os.mkfifo(name, 0o600, dir_fd=directory)
            self.setter.on_name(directory, name, Attributes.of(entry), link=False)
        elif kind in {CHAR, BLOCK}:
            self._make_device(directory, name, entry)
        else:
            raise Unsupported(f"entry {quoted_name(path)}: unsupported type {quoted_name(kind)}")

    def _make_directory(self, path: bytes, entry: Entry) -> None:
        if self._directories.get(path) is not None:
            raise FileExistsError
        self._below.directory(path, self._directories)
        attributes = Attributes.of(entry)
        # Most directories have the attributes of the one before: sharing them halves the memory.
        attributes = self._last = self._last if attributes == self._last else attributes
        self._directories[path] = attributes
        self._budget.add(sum(map(len, attributes.xattrs.values())))

    def _make_file(self, directory: int, name: bytes, entry: Entry) -> None:
        attributes = Attributes.of(entry)
        with opened(name, NEW, 0o600, dir_fd=directory) as fd:
            if entry.sparse:
                self._write_sparse(fd, entry)
            else:
                for block in entry.payload:
                    write_all(fd, block)
            self.setter.on_open(fd, attributes, new=True)

    def _write_sparse(self, fd: int, entry: Entry) -> None:
        size = real_size(entry)
        current_limits().require("layer", size, f"bytes in the sparse file {quoted_name(entry.name)}")
        for offset, piece in data_regions(entry):
            os.lseek(fd, offset, os.SEEK_SET)
            write_all(fd, piece)
        os.ftruncate(fd, size)

    def _make_link(self, directory: int, name: bytes, entry: Entry) -> None:
        """A hard link to an existing file; to a symbolic link itself, not to its target."""
        target = require_contained(clean_name(entry.linkname))
        above, _, last = target.rpartition(b"/")
        nothing = Invalid(f"hard link {quoted_name(entry.name)}: no file {quoted_name(target)} comes before it")
        if target in self._directories or not last:
            raise nothing
        try:
            source = self._below.directory(above)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise nothing from None

    def _make_device(self, directory: int, name: bytes, entry: Entry) -> None:
        major, minor = entry.device
        if not (0 <= major < 2**12 and 0 <= minor < 2**20):
            raise Invalid(f"entry {quoted_name(entry.name)}: device {major}:{minor} is out of range for Linux")
        if self._devices:
            kind = stat.S_IFCHR if entry.type == CHAR else stat.S_IFBLK
            try:
                os.mknod(name, kind | 0o600, os.makedev(major, minor), dir_fd=directory)
            except PermissionError:
                pass  # perhaps root of a container
            else:
                self.setter.on_name(directory, name, Attributes.of(entry), link=False)
                return
        self.setter.left_out[DEVICES] += 1
        self._make_file(directory, name, entry)
