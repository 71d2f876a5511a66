"""One entry of a tar archive: its header blocks, parsed and verbatim, and its payload, in a stream of blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from converter.errors import Invalid
from converter.model.limits import KIB
from converter.streams.blocks import Block, BlockReader, Blocks, drain
from converter.streams.tar import pax
from converter.streams.tar.fields import (
    BLOCK,
    CHAR,
    LINK,
    SIZE,
    SYMLINK,
    ZERO,
    joined_name,
    parse_number,
    parse_text,
    quoted_name,
)


class Cursor(BlockReader):
    """Reads an archive entry by entry.

    ``left`` and ``pad`` are the unread bytes of the current entry's payload and padding; ``missing`` counts the padding
    bytes that the stream lacked at its end.
    """

    __slots__ = ("current", "left", "missing", "pad", "tail")

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(blocks)
        self.left = self.pad = self.missing = 0
        self.tail = b""
        self.current: object = None

    def header(self) -> bytes:
        """The next header block; ``b""`` at the end of the stream, where up to 511 NULs are left in ``tail``."""
        head = b"".join(self.views(SIZE))
        if len(head) == SIZE:
            return head
        if head.strip(b"\0"):
            start = self.offset - len(head)
            raise Invalid(
                f"unexpected end of header: expected {SIZE} bytes at byte {start}, found {len(head)}: it is cut off"
            )
        self.tail = head
        return b""

    def payload(self) -> Iterator[memoryview]:
        """The rest of the current payload, block by block; raises Invalid if the stream ends within it."""
        owner = self.current
        while self.left:
            if self.current is not owner:
                raise ValueError("payload read after the next entry was asked for")
            if self.position == self.end and not self.fill():
                raise Invalid(
                    f"unexpected end of archive at byte {self.offset}: {self.left} bytes of a file are missing"
                )
            view = self.view[self.position : self.position + self.left]
            self.position += len(view)
            self.left -= len(view)
            yield view

    def body(self) -> Iterator[Block]:
        """The rest of the current payload and its padding; padding that the stream lacks is supplied."""
        yield from self.payload()
        for view in self.views(self.pad):
            self.pad -= len(view)
            yield view
        if self.pad:
            self.missing = self.pad
            yield ZERO[: self.pad]
            self.pad = 0

    def skip(self) -> None:
        """Skip the rest of the current entry."""
        rest = self.left + self.pad
        if rest <= self.end - self.position:
            self.position += rest
            self.left = self.pad = 0
            return
        self._skip_far()

    def _skip_far(self) -> None:
        drain(self.body())


_PIECE = 16 * KIB
"""Bytes read from a file at once, where most of it is skipped."""


class FileCursor(Cursor):
    """A cursor over a seekable file, starting at its first byte: what is skipped is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        super().__init__(iter(lambda: file.read(_PIECE), b""))

    def _skip_far(self) -> None:
        end = self.offset + self.left
        if end > self._size:
            super()._skip_far()  # which raises at the end of the file
        target = min(end + self.pad, self._size)
        self.missing = end + self.pad - target
        self._file.seek(target)
        self.base, self.position, self.end, self.view = target, 0, 0, memoryview(b"")
        self.left = self.pad = 0


_NOTHING: Mapping[bytes, bytes] = {}


@dataclass(slots=True, kw_only=True, eq=False, repr=False)  # frozen, it would take four times as long to make
class Extra:
    """The blocks and records besides the main header, for an entry that has more than that one block."""

    globals: bytes = b""
    """Global PAX headers that precede the entry, verbatim."""
    records: bytes = b""
    """Its own PAX headers and GNU long names, verbatim."""
    extension: bytes = b""
    """The blocks between its main header and its payload (old GNU sparse maps), verbatim."""
    pax: Mapping[bytes, bytes]
    """The PAX records that apply to it; its own override global ones."""
    inherited: bool = False
    """Whether global records are among them."""
    name: bytes | None = None
    """The name as written, if a record gives it."""
    linkname: bytes | None = None
    """The target of a link, if a record gives it."""


class Entry:
    """One entry. Only what nearly every caller needs is set up front; the rest is parsed on access.

    Every accessor of a number raises Invalid if its field is garbage. ``payload`` and ``body`` can be read once, and
    only before the next entry is requested.
    """

    __slots__ = ("_cursor", "extra", "head", "name", "size", "type")

    def __init__(  # noqa: PLR0917 - keywords would cost a tenth of the scan
        self, cursor: Cursor, name: bytes, kind: bytes, size: int, head: bytes, extra: Extra | None = None
    ) -> None:
        self._cursor = cursor
        self.name = name
        """Normalised: no leading ``/`` or ``./``, no trailing ``/``; the root is ``b""``. May contain ``..``."""
        self.type = kind
        """One of the constants in ``fields`` for files; else the typeflag (``V``, ``M``, ``N``: GNU records)."""
        self.size = size
        """Bytes of the payload in the archive."""
        self.head = head
        """The main header block, verbatim."""
        self.extra = extra

    @property
    def raw(self) -> bytes:
        """Every block since the previous entry's payload, verbatim: together with ``body`` it copies the entry."""
        extra = self.extra
        return self.head if extra is None else extra.globals + extra.records + self.head + extra.extension

    @property
    def own(self) -> bytes:
        """``raw`` without global PAX headers."""
        extra = self.extra
        return self.head if extra is None else extra.records + self.head + extra.extension

    @property
    def written(self) -> bytes:
        """The name as written in the archive."""
        extra = self.extra
        return joined_name(self.head) if extra is None or extra.name is None else extra.name

    @property
    def pax(self) -> Mapping[bytes, bytes]:
        """The PAX records that apply to this entry, including global ones."""
        return _NOTHING if self.extra is None else self.extra.pax

    @property
    def payload(self) -> Blocks:
        """The payload as views of the incoming blocks, ``size`` bytes; Invalid if the archive ends within it."""
        return self._current().payload()

    @property
    def body(self) -> Blocks:
        """The payload and its padding, verbatim, completed to whole blocks if the archive lacks some."""
        # A squash asks for this once an entry: a generator for what one block has would cost it a twelfth.
        cursor = self._current()
        rest = cursor.left + cursor.pad
        if not rest:
            return ()
        if rest <= cursor.end - cursor.position:
            view = cursor.view[cursor.position : cursor.position + rest]
            cursor.position += rest
            cursor.left = cursor.pad = 0
            return (view,)
        return cursor.body()

    def _current(self) -> Cursor:
        if self._cursor.current is not self:
            raise ValueError(f"payload of {quoted_name(self.name)} asked for after the next entry was")
        return self._cursor

    @property
    def linkname(self) -> bytes:
        """The target of a hard or symbolic link as written; ``b""`` for other types."""
        if self.type not in {LINK, SYMLINK}:
            return b""
        if self.extra is not None and self.extra.linkname is not None:
            return self.extra.linkname
        return parse_text(self.head[157:257])

    @property
    def mode(self) -> int:
        """Permission, set-id and sticky bits; other bits in the field are dropped."""
        return parse_number(self.head[100:108], "mode") & 0o7777

    @property
    def uid(self) -> int:
        return self._owner(b"uid", 108)

    @property
    def gid(self) -> int:
        return self._owner(b"gid", 116)

    @property
    def uname(self) -> bytes:
        return self._owner_name(b"uname", 265)

    @property
    def gname(self) -> bytes:
        return self._owner_name(b"gname", 297)

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since 1970, rounded down if the archive is more precise."""
        if b"mtime" in self.pax:
            return pax.nanoseconds(self.pax[b"mtime"], b"mtime")
        return parse_number(self.head[136:148], "mtime") * 1_000_000_000

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device node; (0, 0) for other types."""
        if self.type not in {CHAR, BLOCK}:
            return (0, 0)
        return parse_number(self.head[329:337], "devmajor"), parse_number(self.head[337:345], "devminor")

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        """Extended attributes by name, without ``SCHILY.xattr.``."""
        found = self.pax
        return {key[13:]: value for key, value in found.items() if key.startswith(pax.XATTR)} if found else {}

    @property
    def sparse(self) -> bool:
        """Whether the payload is the data of a sparse file without its holes."""
        if self.extra is None:
            return False
        found = self.extra.pax
        return self.head[156] == 0x53 or b"GNU.sparse.map" in found or b"GNU.sparse.major" in found

    def _owner(self, key: bytes, start: int) -> int:
        if key in self.pax:
            return pax.integer(self.pax, key)
        return parse_number(self.head[start : start + 8], key.decode())

    def _owner_name(self, key: bytes, start: int) -> bytes:
        """A name that a record may have, and a header from ustar on."""
        if key in self.pax:
            return self.pax[key]
        return parse_text(self.head[start : start + 32]) if self.head[257:262] == b"ustar" else b""
