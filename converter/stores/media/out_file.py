"""A file that is written next to its place and renamed into it, or spooled and finally copied to a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from converter.errors import Invalid
from converter.model.reference import STDOUT
from converter.stores.disk import disk, shown, sync_directory, write_all
from converter.stores.media.temporary import Temporary, spool, temporary_file
from converter.streams.blocks import COPY_BLOCK, file_blocks


class OutFile:
    """A file that appears whole under its name, or not at all; ``-`` is standard output."""

    def __init__(self, path: Path) -> None:
        self.shown = "standard output" if str(path) in STDOUT else shown(path)
        self._path = path
        self._temporary: Temporary | None = None
        self.fd = -1

    def begin(self) -> None:
        """Open it. Raises Invalid for a directory, NotFound if the parent directory does not exist."""
        if self._piped():
            self.fd = spool()
            return
        with disk(self._path, "write"):
            self._path = Path(os.path.realpath(self._path))
            if self._path.is_dir():
                raise Invalid(f"got {self.shown}, which is a directory, want a file or a new name")
        self._temporary = temporary_file(self._path.parent)
        self.fd = self._temporary.fd

    @property
    def piped(self) -> bool:
        """Whether it goes to a pipe or a device, which holds a single file."""
        return self._temporary is None

    def commit(self, sibling: str = "") -> None:
        """Make it durable, and visible under its name, or as ``sibling`` next to that.

        Raises StorageFailed, and then the old file is still there.
        """
        try:
            with disk(self.shown, "write"):
                if self._temporary is None:
                    self._copy_out()
                else:
                    os.fsync(self.fd)
                    self._temporary.path.rename(self._path.with_name(sibling) if sibling else self._path)
                    sync_directory(self._path.parent)
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove it; does nothing after a commit."""
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None
        elif self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _piped(self) -> bool:
        if str(self._path) in STDOUT:
            return True
        with disk(self._path, "write"):
            try:
                mode = self._path.stat().st_mode
            except FileNotFoundError:
                return False
            return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

    def _copy_out(self) -> None:
        plain = str(self._path) in STDOUT
        out = os.dup(1) if plain else os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            for block in file_blocks(self.fd, 0, os.fstat(self.fd).st_size, COPY_BLOCK):
                write_all(out, block)
        finally:
            os.close(out)
