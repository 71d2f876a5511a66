"""A file as a target: written next to its place and renamed into it, or spooled and finally copied to a stream.

The tar of a layout is such a file. Its bytes depend only on the calls and their order: no times, no owners
(POSIX.1-1988 ustar).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.model.reference import STDOUT
from converter.stores.disk import disk_errors, printable_path, sync_directory, write_behind
from converter.stores.media import Documents, blob_name, write_blob
from converter.stores.media.temporary import Temporary, temporary_file
from converter.stores.options import NOTHING, Overwriting, is_stream, open_file_number
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, Block, file_blocks, on_error, write_all
from converter.streams.tar.fields import DIR, FILE, SIZE, header_block, long_name, padding_bytes

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

    @property
    def written(self) -> str:
        """What messages call the file that is written to before it appears."""
        return spool.TEMPORARY if self.piped else self.shown

    @property
    def end(self) -> int:
        """How many bytes have been written. Raises StorageFailed."""
        with disk_errors(self.written, "write"):
            return os.lseek(self.fd, 0, os.SEEK_CUR)

    def write(self, block: Block) -> None:
        """Append a block."""
        with disk_errors(self.written, "write"):
            write_behind(self.fd, block)

    def cut(self, end: int) -> None:
        """Take back what was written after the first ``end`` bytes. Raises OSError."""
        os.ftruncate(self.fd, end)
        os.lseek(self.fd, end, os.SEEK_SET)

    def appear(self, sibling: str = "") -> None:
        """Make it durable, and visible under its name, or as ``sibling`` next to that.

        Raises StorageFailed, or AlreadyExists if something else has taken the place, and then that is still there.
        """
        try:
            with disk_errors(self.shown, "write"):
                if self._temporary is None:
                    self._copy_out()
                else:
                    os.fsync(self.fd)
                    self._take_place(self._temporary.path, self._path.with_name(sibling) if sibling else self._path)
                    sync_directory(self._path.parent)
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove it; does nothing once it is visible."""
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None
        elif self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _take_place(self, temporary: Path, place: Path) -> None:
        """Rename the file to its place. Where nothing is to be replaced, a link is made, which replaces nothing."""
        if self._overwriting.require(place):
            temporary.rename(place)
            return
        try:
            os.link(temporary, place)
        except FileExistsError:
            self._take_place(temporary, place)  # another program was faster; may its file be replaced?
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            temporary.rename(place)

    def _copy_out(self) -> None:
        number = open_file_number(self._path)
        out = os.open(self._path, os.O_WRONLY | os.O_NOCTTY) if number is None else os.dup(number)
        try:
            for block in file_blocks(self.fd, 0, os.fstat(self.fd).st_size, COPY_BLOCK, spool.TEMPORARY):
                write_all(out, block)
        finally:
            os.close(out)


def write_new(path: Path, blocks: Blocks, overwriting: Overwriting = NOTHING) -> None:
    """Write a file, whole or not at all. Raises AlreadyExists, Invalid, NotFound, StorageFailed."""
    file = OutFile(path, overwriting)
    file.begin()
    with on_error(file.abort):
        with disk_errors(file.written, "write"), open(file.fd, "wb", closefd=False) as out:
            out.writelines(blocks)
        file.appear()


class TarTarget(OutFile):
    """Writes the tar of a layout: blobs in place, headers once digests are known. Calls must not overlap."""

    def __init__(self, path: Path, overwriting: Overwriting = NOTHING, epoch: int = 0) -> None:
        super().__init__(path, overwriting)
        self._epoch = epoch
        self._blobs: dict[Digest, int] = {}
        self._directories: set[str] = set()

    def has(self, digest: Digest, size: int) -> bool:
        return digest in self._blobs and size in (-1, self._blobs[digest])

    def existing(self) -> None:
        """A tar is written whole."""

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        self._need_directory(f"blobs/{expected.digest.algorithm if expected else 'sha256'}")
        start = self.end
        with on_error(self.cut, start):
            if expected is not None:
                self.write(_long_name(blob_name(expected.digest)))
            header = self.end
            self.write(bytes(SIZE))
            made = write_blob(blocks, expected, self.write)
            if made.digest in self._blobs:
                self.cut(start)
                return made
            self.write(padding_bytes(made.size))
            with disk_errors(self.written, "write"):
                os.pwrite(self.fd, _header(blob_name(made.digest), made.size, self._epoch), header)
        self._blobs[made.digest] = made.size
        return made

    def commit(self, documents: Documents) -> None:
        for name, data in documents(None).items():
            self.write(_header(name, len(data), self._epoch) + data + padding_bytes(len(data)))
        self.write(bytes(2 * SIZE))
        self.appear()

    def _need_directory(self, path: str) -> None:
        for name in ("blobs/", f"{path}/"):
            if name not in self._directories:
                self.write(_header(name, 0, self._epoch, DIR))
                self._directories.add(name)


def _header(name: str, size: int, epoch: int, kind: bytes = FILE) -> bytes:
    """A ustar header without owner."""
    mode = 0o755 if kind == DIR else 0o644
    return header_block(name.encode(), size=size, kind=kind, mode=mode, mtime=epoch)


def _long_name(name: str) -> bytes:
    """A record of the name of an entry, if it does not fit into a header, such as that of a sha512 blob."""
    return long_name(b"L", name.encode()) if len(name) > 100 else b""
