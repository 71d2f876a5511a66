"""The records before a header that modify it: PAX headers, local and global, and GNU long names."""

from __future__ import annotations

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import Limits
from converter.streams.tar import pax
from converter.streams.tar.cursor import Cursor
from converter.streams.tar.entry import Extra
from converter.streams.tar.fields import SIZE, padding_size, parse_text, quoted_name

RECORDS = {b"x": "PAX header", b"X": "PAX header", b"g": "global PAX header", b"L": "long name", b"K": "long link name"}
"""The names of these records for messages, by typeflag; ``X`` is Solaris's ``x``."""

_NEVER_GLOBAL = frozenset({b"path", b"linkpath", b"size"})


class ExtendedHeaders:
    """Collects records until the header they belong to."""

    def __init__(self, cursor: Cursor, limits: Limits) -> None:
        self._cursor = cursor
        self._limits = limits
        self._global: dict[bytes, bytes] = {}
        self._local: dict[bytes, bytes] = {}
        self._names: dict[bytes, bytes] = {}
        self._globals_raw = self._own_raw = b""
        self.active = False
        """Whether records modify the next header."""

    def read(self, flag: bytes, head: bytes, size: int) -> None:
        """Take the record whose header is ``head``; raises Invalid if it is malformed or a second one of its kind."""
        what = RECORDS[flag]
        offset = self._cursor.offset - SIZE
        name, most = ("path", self._limits.path) if flag in b"LK" else ("pax_record", self._limits.pax_record)
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
        self._names[kind] = parse_text(data) if flag in b"LK" else b""
        if flag in b"LK" and not self._names[kind]:
            raise Invalid(f"{what} at byte {offset} is empty")
        self._own_raw += raw
        if kind == b"x":
            self._local = pax.parse_records(data, self._limits)

    def _read_global(self, records: dict[bytes, bytes]) -> None:
        for key in records:
            if key in _NEVER_GLOBAL or key.startswith(b"GNU.sparse."):
                raise Invalid(f"global PAX header: {quoted_name(key)} may only be set for a single file")
        self._global = {key: value for key, value in {**self._global, **records}.items() if value}
        size = sum(len(key) + len(value) for key, value in self._global.items())
        # As they apply to every entry, a few bytes of archive could have gigabytes of records.
        self._limits.require("pax_global", size, "bytes of global PAX records in force")

    def close(self, head: bytes, name: bytes, size: int) -> tuple[bytes, int, Extra]:
        """The name and payload size of the entry with the main header ``head``, and its other blocks and records."""
        merged = self._global
        if self._local:
            pax.check_records(self._local, head[156:157])
            merged = {key: value for key, value in {**merged, **self._local}.items() if value}
        path = merged.get(b"GNU.sparse.name", merged.get(b"path"))
        if b"size" in merged:
            size = pax.integer(merged, b"size")
        extra = Extra(
            globals=self._globals_raw,
            records=self._own_raw,
            extension=self._extension(head) if head[156] == 0x53 else b"",
            pax=merged,
            inherited=bool(self._global),
            name=(written := self._one("L", self._names.get(b"L"), path) or None),
            linkname=self._one("K", self._names.get(b"K"), merged.get(b"linkpath")),
        )
        self._globals_raw = self._own_raw = b""
        if self._names:
            self._local, self._names = {}, {}
        self.active = bool(self._global)
        return written or name, size, extra

    @staticmethod
    def _one(flag: str, gnu: bytes | None, path: bytes | None) -> bytes | None:
        """Readers differ in which of two names wins, so an entry that has both must say the same twice."""
        if gnu is not None and path is not None and gnu != path:
            raise Invalid(
                f"an entry has two names: {quoted_name(gnu)} in its GNU {flag} record, "
                f"{quoted_name(path)} in its PAX records"
            )
        return path if gnu is None else gnu

    def _extension(self, head: bytes) -> bytes:
        """The further blocks of an old GNU sparse map."""
        blocks: list[bytes] = []
        more = head[482]
        while more:
            if len(blocks) * SIZE >= self._limits.pax_record:
                most = self._limits.pax_record
                raise LimitExceeded(
                    f"sparse map at byte {self._cursor.offset}: more than {most} bytes (limit: pax_record)"
                )
            blocks.append(self._cursor.take(SIZE, "sparse map"))
            more = blocks[-1][504]
        return b"".join(blocks)

    def finish(self) -> bytes:
        """Global headers that no entry follows, verbatim; raises Invalid if a record lacks its entry."""
        if self._names:
            what = " and ".join(RECORDS[kind] for kind in self._names)
            raise Invalid(f"unexpected end of archive: no entry follows its {what}")
        raw, self._globals_raw = self._globals_raw, b""
        return raw
