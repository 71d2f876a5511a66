"""The place that a directory of files takes when it is whole: nothing, or an empty directory, before."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from converter.errors import Invalid
from converter.stores.disk import disk, existing_ancestor, names_in, renamable, shown, sync_directory
from converter.stores.media.temporary import NAME, Temporary, clean, temporary_directory

OWN = "lost+found"
"""What a new file system has in it, and is empty all the same."""


class Place:
    """A hidden directory beside the place, or within it where nothing can be renamed to it: a mount point."""

    def __init__(self, path: Path) -> None:
        self.shown = shown(path)
        with disk(path, "write"):
            self.path = Path(os.path.realpath(path))
        self.inside = False
        self._staging: Temporary | None = None

    def begin(self) -> None:
        """Make the hidden directory, for its owner alone. Raises Invalid where something is there, StorageFailed."""
        with disk(self.path, "write"):
            if self.path.exists() and not self.path.is_dir():
                raise Invalid(f"got {self.shown}, which is no directory, want a new name or an empty directory")
            parent = existing_ancestor(self.path)
            if self.path.is_dir():
                self._require_empty()
                clean(self.path)
                self.inside = not renamable(parent, self.path)
        self._staging = temporary_directory(self.path if self.inside else parent)
        try:
            with disk(self.path, "write"):
                # Nor may its files get the group of the directory around it.
                os.chown(self._staging.fd, os.geteuid(), os.getegid())
                os.fchmod(self._staging.fd, 0o700)
        except BaseException:
            self.abort()
            raise

    @property
    def staged(self) -> Path:
        """The hidden directory."""
        if self._staging is None:
            raise RuntimeError("a sink takes blobs only while it is entered")
        return self._staging.path

    def rename(self) -> None:
        """Make the hidden directory durable and visible under its name. Raises StorageFailed, Invalid."""
        with disk(self.shown, "write"):
            self.sync()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.staged.rename(self.path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise Invalid(f"got {self.shown}, which is not empty any more, want it empty") from None
            sync_directory(self.path.parent)

    def move(self, name: str) -> None:
        """Make one of what lies in the hidden directory visible where it is ``inside`` its place."""
        with disk(self.shown, "write"):
            (self.staged / name).rename(self.path / name)

    def sync(self) -> None:
        """Write the whole file system to its disk: one call for any number of files."""
        fd = os.open(self.staged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
            if syncfs is None:
                os.sync()
            elif syncfs(fd) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(fd)

    def abort(self) -> None:
        """Take the hidden directory away, where it still is."""
        if self._staging is not None:
            if os.geteuid() != 0:
                with suppress(OSError):
                    _open_up(self._staging.path)
            self._staging.remove()
            self._staging = None

    def _require_empty(self) -> None:
        with disk(self.path, "read"):
            there = [name for name in names_in(self.path) if name != OWN and not NAME.fullmatch(name)]
        if there:
            raise Invalid(f"got {self.shown}, which is not empty, want a new name or an empty directory")


def _open_up(path: Path) -> None:
    """Let the owner remove what is in directories that their image has closed."""
    for directory, _, _ in os.walk(path):
        for below in Path(directory).iterdir():
            if below.is_dir() and not below.is_symlink():
                below.chmod(0o700)
