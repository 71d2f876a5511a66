"""Scans tar archives: v7, ustar, GNU and PAX, as streams or by seeking (POSIX.1-2001 pax; GNU tar manual).

Where readers differ, it reads as Go's archive/tar does, since container tools are written in Go.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import Limits
from converter.streams.blocks import Block, Blocks, closing, drain
from converter.streams.tar import pax
from converter.streams.tar.entry import Cursor, Entry, Extra
from converter.streams.tar.fields import (
    BLOCK,
    CHAR,
    DIR,
    FIFO,
    FILE,
    KINDS,
    LINK,
    SIZE,
    SYMLINK,
    ZERO,
    Budget,
    check_name_length,
    clean_name,
    joined_name,
    padding_size,
    parse_number,
    parse_text,
    quoted_name,
    verify_checksum,
)

RECORDS = {b"x": "PAX header", b"X": "PAX header", b"g": "global PAX header", b"L": "long name", b"K": "long link name"}
"""The names of these records for messages, by typeflag; ``X`` is Solaris's ``x``."""

_NEVER_GLOBAL = frozenset({b"path", b"linkpath", b"size"})


class ExtendedHeaders:
    """Collects records until the header they belong to."""

    def __init__(self, cursor: Cursor, limits: Limits) -> None:
        self._cursor = cursor
        self._limits = limits
        self._global: pax.Records = {}
        self._local: pax.Records = {}
        self._names: dict[bytes, bytes] = {}
        self._globals_raw = self._own_raw = b""
        self.active = False
        """Whether records modify the next header."""

    def read(self, flag: bytes, head: bytes, size: int) -> None:
        """Take the record whose header is ``head``; raises Invalid if it is malformed or a second one of its kind."""
        what = RECORDS[flag]
        offset = self._cursor.offset - SIZE
        gnu = flag in b"LK"
        name, most = ("path", self._limits.path) if gnu else ("pax_record", self._limits.pax_record)
        if not 0 <= size <= most:
            raise LimitExceeded(f"{what} at byte {offset} has {size} bytes: at most {most} are allowed (limit: {name})")
        body = self._cursor.take(size + padding_size(size), what)
        data, raw = body[:size], head + body
        self.active = True
        if flag == b"g":
            if self._names:
                raise Invalid(f"{what} at byte {offset} is between an entry and its own records: it must precede them")
            self._read_global(pax.parse_records(data, self._limits))
            self._globals_raw += raw
            if len(self._globals_raw) > self._limits.pax_record + SIZE:
                raise LimitExceeded(
                    f"{len(self._globals_raw)} bytes of global PAX headers in a row at byte {offset}: "
                    f"at most {self._limits.pax_record} are allowed (limit: pax_record)"
                )
            return
        kind = b"x" if flag == b"X" else flag
        if kind in self._names:
            raise Invalid(f"{what} at byte {offset} is the second one of the same entry")
        self._own_raw += raw
        self._names[kind] = parse_text(data) if gnu else b""
        if not gnu:
            self._local = pax.parse_records(data, self._limits)
        elif not self._names[kind]:
            raise Invalid(f"{what} at byte {offset} is empty")

    def _read_global(self, records: pax.Records) -> None:
        for key in records:
            if key in _NEVER_GLOBAL or key.startswith(b"GNU.sparse."):
                raise Invalid(f"global PAX header: {quoted_name(key)} may only be set for a single file")
        self._global = _override(self._global, records)
        size = sum(len(key) + len(value) for key, value in self._global.items())
        # As they apply to every entry, a few bytes of archive could have gigabytes of records.
        self._limits.require("pax_global", size, "bytes of global PAX records in force")

    def close(self, head: bytes, name: bytes, size: int) -> tuple[bytes, int, Extra]:
        """The name and payload size of the entry with the main header ``head``, and its other blocks and records."""
        merged = self._global
        if self._local:
            pax.check_records(self._local, head[156:157])
            merged = _override(merged, self._local)
        if b"size" in merged:
            size = pax.integer(merged, b"size")
        extension = self._extension(head) if head[156] == 0x53 else b""
        written = self._one(b"L", merged.get(b"GNU.sparse.name", merged.get(b"path")))
        extra = Extra(
            globals=self._globals_raw,
            records=self._own_raw,
            extension=extension,
            pax=merged,
            inherited=bool(self._global),
            name=written,
            linkname=self._one(b"K", merged.get(b"linkpath")),
        )
        self._globals_raw = self._own_raw = b""
        if self._names:
            self._local, self._names = {}, {}
        self.active = bool(self._global)
        return written or name, size, extra

    def _one(self, flag: bytes, path: bytes | None) -> bytes | None:
        """Readers differ in which of two names wins, so an entry that has both must say the same twice."""
        gnu = self._names.get(flag)
        if gnu is None:
            return path
        if path not in {None, gnu}:
            raise Invalid(
                f"an entry has two names: {quoted_name(gnu)} in its GNU {flag.decode()} record, "
                f"{quoted_name(path)} in its PAX records"
            )
        return gnu

    def _extension(self, head: bytes) -> bytes:
        """The further blocks of an old GNU sparse map."""
        blocks: list[bytes] = []
        more = head[482]
        while more:
            what = f"bytes of a sparse map at byte {self._cursor.offset}"
            self._limits.require("pax_record", (len(blocks) + 1) * SIZE, what)
            blocks.append(self._cursor.take(SIZE, "sparse map"))
            more = blocks[-1][504]
        return b"".join(blocks)

    def finish(self) -> bytes:
        """Global headers that no entry follows, verbatim; raises Invalid if a record lacks its entry."""
        if self._names:
            what = " and ".join(RECORDS[kind] for kind in self._names)
            raise Invalid(f"unexpected end of archive: no entry follows its {what}")
        return self._globals_raw


def _override(below: pax.Records, above: pax.Records) -> pax.Records:
    """Records of which those ``above`` count first, where an empty one means that there is none."""
    return {key: value for key, value in {**below, **above}.items() if value}


_HEADER_ONLY = frozenset({LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO})


def scan_entries(blocks: Blocks, budget: Budget | None = None) -> Generator[Entry, None, None]:
    """Every entry of an archive in order. ``blocks`` is read to its end, even past the end-of-archive blocks.

    ``budget`` counts over several archives whose names are kept together.

    Raises Invalid if the archive is damaged, LimitExceeded if it is larger or deeper than ``limits``. Fields that are
    not accessed are not checked.
    """
    with closing(blocks) as source:
        scanner = Scanner(Cursor(source), budget)
        yield from scanner
        drain(scanner.trailing())


class Scanner:
    """An iterator over the entries that can also return what follows the last one."""

    def __init__(self, cursor: Cursor, budget: Budget | None = None) -> None:
        self.cursor = cursor
        self._budget = budget or Budget()
        self._extended = ExtendedHeaders(cursor, self._budget.limits)
        self._end = b""

    def trailing(self) -> Iterator[Block]:
        """The rest of the stream after the last entry, verbatim: end-of-archive blocks, padding, garbage."""
        if self._end:
            yield self._end
        yield from self.cursor.rest()

    def __iter__(self) -> Iterator[Entry]:  # noqa: C901, PLR0912, PLR0915 - the hot loop: each call in it costs a tenth
        cursor, extended, limits = self.cursor, self._extended, self._budget.limits
        sums: dict[bytes, int] = {}
        adler32, kind_of = zlib.adler32, KINDS.get
        short = min(limits.path, limits.path_depth)
        left = limits.entries - self._budget.entries
        room = unused = limits.names - self._budget.names
        try:
            while True:
                if cursor.left or cursor.pad:
                    cursor.skip()
                position = cursor.position
                if cursor.end - position >= SIZE:
                    head = cursor.view[position : position + SIZE].tobytes()
                    cursor.position = position + SIZE
                else:
                    head = cursor.header()
                field = head[148:156]
                if adler32(head) & 0xFFFF != sums.get(field):
                    if not head or head == ZERO:
                        cursor.current = None
                        self._end = extended.finish() + (head or cursor.tail)
                        return
                    sums[field] = verify_checksum(head, cursor.offset - SIZE)

                try:  # ValueError: digits above 7
                    digits = head[124:135]
                    plain = digits.isdigit() and head[135] <= 0x20
                    size = int(digits, 8) if plain else parse_number(head[124:136], "size")
                except ValueError:
                    size = parse_number(head[124:136], "size")
                flag = head[156:157]
                if flag in RECORDS:
                    extended.read(flag, head, size)
                    continue

                name = head[: head.find(0)] if head[99] == 0 else parse_text(head[:100])
                if head[345]:
                    name = joined_name(head)
                extra = None
                if extended.active or flag == b"S":
                    name, size, extra = extended.close(head, name, size)
                    room -= len(extra.linkname or b"")
                kind = kind_of(flag, flag)
                if name[-1:] == b"/":
                    name = name[:-1]
                    if kind == FILE:  # how v7 writes a directory
                        kind = DIR
                        size = 0 if flag == b"\0" else size
                if name[:2] == b"./":
                    name = name[2:]
                if b"/." in name or b"//" in name or name[:1] in b"./" or name[-1:] == b"/":
                    name = clean_name(name)
                if len(name) > short:
                    check_name_length(name, limits)
                if flag in _HEADER_ONLY:
                    size = 0
                elif size < 0:
                    raise Invalid(f"entry {quoted_name(name)} has the negative size {size}")
                left -= 1
                room -= len(name)
                if left < 0:
                    raise LimitExceeded(f"archive: more than {limits.entries} entries (limit: entries)")
                if room < 0:
                    raise LimitExceeded(f"archive: more than {limits.names} bytes of names (limit: names)")
                entry = Entry(cursor, name, kind, size, head, extra)
                cursor.left, cursor.pad, cursor.current = size, -size & 511, entry
                yield entry
        finally:  # what was read of a damaged archive counts, too
            self._budget.entries = limits.entries - max(left, 0)
            self._budget.names += unused - room
