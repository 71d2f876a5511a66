"""A file that is written next to its place and renamed into it, or spooled and finally copied to a stream."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from converter.model.reference import STDOUT
from converter.stores.disk import disk_errors, printable_path, sync_directory
from converter.stores.media.temporary import Temporary, temporary_file
from converter.stores.overwriting import NOTHING, Overwriting, is_stream, open_file_number
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, Blocks, file_blocks, write_all

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""How file systems say that they have no hard links, or no more of them."""


class OutFile:
    """A file that appears whole under its name, or not at all; ``-`` is standard output.

    A symbolic link is replaced, never written through, and only where ``overwriting`` lets anything be replaced.
    """

    def __init__(self, path: Path, overwriting: Overwriting = NOTHING) -> None:
        self.shown = "standard output" if str(path) in STDOUT else printable_path(path)
        self._path = path
        self._overwriting = overwriting
        self._temporary: Temporary | None = None
        self.fd = -1

    def begin(self) -> None:
        """Open it. Raises AlreadyExists, Invalid for a directory, NotFound if the parent directory does not exist."""
        if is_stream(self._path):
            self._overwriting.require_stream(self._path)
            self.fd = spool.unnamed_file()
            return
        with disk_errors(self._path, "write"):
            self._path = Path(os.path.realpath(self._path.parent), self._path.name)
        self._overwriting.require(self._path)
        self._temporary = temporary_file(self._path.parent)
        self.fd = self._temporary.fd

    def probe(self) -> None:
        """Fail as ``begin`` would, before any work is done."""
        self.begin()
        self.abort()

    @property
    def piped(self) -> bool:
        """Whether it goes to a stream, which holds a single file."""
        return self._temporary is None

    def commit(self, sibling: str = "") -> None:
        """Make it durable, and visible under its name, or as ``sibling`` next to that.

        Raises StorageFailed, or AlreadyExists if something else has taken the place, and then that is still there.
        """
        try:
            with disk_errors(self.shown, "write"):
                if self._temporary is None:
                    self._copy_out()
                else:
                    os.fsync(self.fd)
                    self._appear(self._temporary.path, self._path.with_name(sibling) if sibling else self._path)
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

    def _appear(self, temporary: Path, place: Path) -> None:
        """Rename the file to its place. Where nothing is to be replaced, a link is made, which replaces nothing."""
        if self._overwriting.require(place):
            temporary.rename(place)
            return
        try:
            os.link(temporary, place)
        except FileExistsError:
            self._appear(temporary, place)  # another program was faster; may its file be replaced?
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            temporary.rename(place)

    def _copy_out(self) -> None:
        number = open_file_number(self._path)
        out = os.open(self._path, os.O_WRONLY | os.O_NOCTTY) if number is None else os.dup(number)
        try:
            for block in file_blocks(self.fd, 0, os.fstat(self.fd).st_size, COPY_BLOCK):
                write_all(out, block)
        finally:
            os.close(out)


def write_new(path: Path, blocks: Blocks, overwriting: Overwriting = NOTHING) -> None:
    """Write a file, whole or not at all. Raises AlreadyExists, Invalid, NotFound, StorageFailed."""
    file = OutFile(path, overwriting)
    file.begin()
    try:
        with disk_errors(file.shown, "write"), open(file.fd, "wb", closefd=False) as out:
            out.writelines(blocks)
        file.commit()
    finally:
        file.abort()
