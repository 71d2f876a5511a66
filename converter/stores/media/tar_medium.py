"""A tar as a medium: entries are read in place, links are resolved inside it, nothing is unpacked."""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path
from typing import BinaryIO

from converter.errors import Invalid, NotFound, within
from converter.model.content import Blocks
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.reference import STDIN
from converter.stores.disk import disk_errors, open_regular, printable_path
from converter.stores.media import Medium
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, file_blocks, on_error
from converter.streams.decompress import HEAD, decompress_any, require_tar
from converter.streams.tar import fields
from converter.streams.tar.entry import FileCursor
from converter.streams.tar.scan import Scanner


@frozen(kw_only=False)
class Span:
    """Where the bytes of an entry are; ``sparse`` if holes were left out of them."""

    offset: int
    size: int
    sparse: bool = False


class TarMedium(Medium):
    """The regular files of a tar, whose file stays open. If two entries share a name, the last one counts."""

    def __init__(self, path: Path, source: int | None = None) -> None:
        """``-`` is standard input. A compressed archive, or one from a pipe, is spooled to an unlinked file first.

        ``source`` is the file if it is open already; the medium closes it. Raises NotFound, StorageFailed, and Invalid
        if it is not a tar.
        """
        self.where = display_name(path)
        self._file = open_tar(path, source)
        self._spans: dict[str, list[Span]] = {}
        """What the entries of a name have, in their order."""
        self._links: dict[str, str] = {}
        with on_error(self.close), within(self.where):
            self._index()

    def names(self) -> list[str]:
        return [name for name in sorted({*self._spans, *self._links}) if self._span(name) is not None]

    def size(self, name: str) -> int | None:
        span = self._span(_clean(name))
        return None if span is None else span.size

    def open(self, name: str) -> Blocks:
        span = self._found(name)
        return file_blocks(self._file.fileno(), span.offset, span.size)

    def read_document(self, name: str) -> bytes:
        """As in Medium. Raises Invalid if the archive has different documents under that name.

        Readers differ in taking the first or the last, so one of them could be shown and the other be used.
        """
        last = self._found(name)
        data = self._document(name, last)
        for span in self._spans.get(_clean(name), ()):
            if span is not last and self._document(name, span) != data:
                raise Invalid(f'two different entries "{name}" in {self.where}')
        return data

    def close(self) -> None:
        self._file.close()

    def _index(self) -> None:
        scanner = Scanner(FileCursor(self._file))
        for entry in scanner:
            name = entry.name.decode("utf-8", "surrogateescape")
            if entry.type == fields.FILE:
                self._links.pop(name, None)
                self._spans.setdefault(name, []).append(Span(scanner.cursor.offset, entry.size, entry.sparse))
            elif entry.type in (fields.LINK, fields.SYMLINK):
                base = posixpath.dirname(name) if entry.type == fields.SYMLINK else ""
                self._links[name] = posixpath.join(base, entry.linkname.decode("utf-8", "surrogateescape"))

    def _span(self, name: str) -> Span | None:
        """The bytes under a clean name, following links; raises Invalid if links form a circle or lead out of the
        archive.
        """
        seen = {name}
        while name in self._links:
            name = _clean(self._links[name])
            if name in seen:
                raise Invalid(f'links form a circle at "{name}" in {self.where}')
            seen.add(name)
        return self._spans[name][-1] if name in self._spans else None

    def _found(self, name: str) -> Span:
        span = self._span(_clean(name))
        if span is None:
            raise NotFound(f'no entry "{name}" in {self.where}')
        if span.sparse:
            raise Invalid(f'entry "{name}" of {self.where} is a sparse file, which cannot be read here')
        return span

    def _document(self, name: str, span: Span) -> bytes:
        current_limits().require("document", span.size, f"bytes in {name}")
        return b"".join(file_blocks(self._file.fileno(), span.offset, span.size))


def display_name(path: Path) -> str:
    """The file's name, for people."""
    return "standard input" if str(path) in STDIN else printable_path(path)


def open_tar(path: Path, source: int | None = None) -> BinaryIO:
    """The tar at a path, or in ``source``, the file if it is open already; if it is compressed, a spool of the tar.

    Raises NotFound, StorageFailed, Invalid if it is neither a tar nor a compressed one.
    """
    file = open_bytes(path) if source is None else source
    with within(display_name(path)):
        return os.fdopen(_plain_tar(file), "rb", buffering=0)


def _plain_tar(source: int) -> int:
    """``source`` itself, or a spool of what is compressed in it, and ``source`` is closed."""
    with on_error(os.close, source):
        size = os.fstat(source).st_size
        if not size:
            raise Invalid("an empty file is not a tar, nor a compressed one")
        codec, tar = decompress_any(file_blocks(source, 0, size))
        if codec == "none":
            return source
        target = spool.spool_blocks(tar)
    os.close(source)
    with on_error(os.close, target):
        require_tar(os.pread(target, HEAD, 0), codec)
    return target


def open_bytes(path: Path) -> int:
    """A seekable file descriptor: of a regular file, or of a spool of standard input.

    Raises Invalid for a directory, a FIFO or a device: only ``-`` waits for another process to write.
    """
    if str(path) not in STDIN:
        return open_regular(path, " (standard input is -)")
    with disk_errors(path, "read"):
        source = os.dup(0)
        with on_error(os.close, source):
            if stat.S_ISREG(os.fstat(source).st_mode) and os.lseek(source, 0, os.SEEK_CUR) == 0:
                return source
            target = spool.spool_blocks(iter(lambda: os.read(source, COPY_BLOCK), b""))
        os.close(source)
    return target


def _clean(name: str) -> str:
    """The name in normal form, like an entry's; raises Invalid if it leads out of the archive."""
    whole = posixpath.normpath(name.lstrip("/"))
    if whole.split("/")[0] == "..":
        raise Invalid(f'name "{name}" leads out of the archive: expected one inside')
    return "" if whole == "." else whole
