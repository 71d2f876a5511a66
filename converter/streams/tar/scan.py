"""Scans tar archives: v7, ustar, GNU and PAX, as streams or by seeking (POSIX.1-2001 pax; GNU tar manual).

Where readers differ, it reads as Go's archive/tar does, since container tools are written in Go.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import current_limits
from converter.streams.blocks import Block, Blocks, closing
from converter.streams.tar.cursor import Cursor
from converter.streams.tar.entry import Entry
from converter.streams.tar.extended_headers import RECORDS, ExtendedHeaders
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
    adler_of_checksum,
    check_name_length,
    clean_name,
    joined_name,
    parse_number,
    parse_text,
    quoted_name,
    too_many_names,
    verify_checksum,
)

_VENDOR_FILES = {b"S": FILE, b"D": DIR}
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
        for _ in scanner.trailing():
            pass


class Scanner:
    """An iterator over the entries that can also return what follows the last one."""

    def __init__(self, cursor: Cursor, budget: Budget | None = None) -> None:
        self.cursor = cursor
        self._limits = limits = current_limits()
        self._budget = budget or Budget()
        self._extended = ExtendedHeaders(cursor, limits)
        self._end = b""

    def trailing(self) -> Iterator[Block]:
        """The rest of the stream after the last entry, verbatim: end-of-archive blocks, padding, garbage."""
        if self._end:
            yield self._end
            self._end = b""
        yield from self.cursor.rest()

    def __iter__(self) -> Iterator[Entry]:  # noqa: C901, PLR0912, PLR0915 - the hot loop: each call in it costs a tenth
        cursor, extended, limits = self.cursor, self._extended, self._limits
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
                    verify_checksum(head, cursor.offset - SIZE)
                    sums[field] = adler_of_checksum(field)

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
                kind = kind_of(flag) or _VENDOR_FILES.get(flag, flag)
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
                if left < 0 or room < 0:
                    raise self._full(entries=left < 0)
                entry = Entry(cursor, name, kind, size, head, extra)
                cursor.left, cursor.pad, cursor.current = size, -size & 511, entry
                yield entry
        finally:  # what was read of a damaged archive counts, too
            self._budget.entries = limits.entries - max(left, 0)
            self._budget.names += unused - room

    def _full(self, *, entries: bool) -> LimitExceeded:
        if not entries:
            return too_many_names(self._limits)
        return LimitExceeded(f"archive: more than {self._limits.entries} entries (limit: entries)")
