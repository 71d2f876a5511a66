"""Edits an entry's header blocks: changes its names, or merges global PAX records into its own.

Edits are minimal: dialect, numbers and unknown fields stay. ``strip_prefix`` and ``add_prefix`` undo each other for
nearly every header. A caller that must be sure compares the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converter.errors import Invalid
from converter.streams.tar import pax
from converter.streams.tar.fields import (
    GNU_MAGIC,
    LINK,
    PREFIX,
    SIZE,
    USTAR_MAGIC,
    clean_name,
    joined_name,
    long_name,
    padding_bytes,
    padding_size,
    parse_number,
    parse_text,
    quoted_name,
    rewrite_number,
    with_checksum,
)
from converter.streams.tar.scan import RECORDS

Change = Callable[[bytes], bytes]

_PREFIX_SUM = sum(PREFIX)


@dataclass(slots=True)
class HeaderRecord:
    """A PAX header or a GNU long name: header block, payload, padding."""

    head: bytes
    data: bytes
    fill: bytes

    @property
    def flag(self) -> bytes:
        return self.head[156:157]

    @property
    def raw(self) -> bytes:
        return self.head + self.data + self.fill

    def store(self, data: bytes) -> None:
        """Replace the payload, and the size in the header; does nothing if the payload is the same."""
        if data == self.data:
            return
        self.data, self.fill = data, padding_bytes(len(data))
        size = rewrite_number(self.head[124:136], len(data))
        self.head = _with_field(self.head, 124, size)

    def change(self, change: Change, flag: bytes, keys: Sequence[bytes]) -> tuple[bytes, bytes] | None:
        """Apply ``change`` to the name in a GNU record with this ``flag``, or in PAX's under the first of ``keys``.

        Returns the old and the new name, or None if there is none. What follows the NUL of GNU's stays.
        """
        if self.flag == flag:
            old = parse_text(self.data)
            new = change(old)
            self.store(new + self.data[len(old) :])
            return old, new
        if self.flag not in b"xX":
            return None
        pairs = pax.record_pairs(self.data)
        for key in keys:
            names = [value for name, value in pairs if name == key and value]
            if names:
                changed = {(key, name): (key, change(name)) for name in names}
                self.store(pax.join_records(changed.get(pair, pair) for pair in pairs))
                return names[-1], change(names[-1])
        return None


def _record(raw: bytes, start: int = 0) -> HeaderRecord:
    data = start + SIZE
    head = raw[start:data]
    size = parse_number(head[124:136], "size")
    end = data + size
    return HeaderRecord(head, raw[data:end], raw[end : end + padding_size(size)])


class Headers:
    """The parts of ``Entry.raw``; ``raw`` joins them again."""

    def __init__(self, raw: bytes) -> None:
        self.records: list[HeaderRecord] = []
        start = 0
        while raw[start + 156 : start + 157] in RECORDS:
            record = _record(raw, start)
            self.records.append(record)
            start += len(record.raw)
        self.head = raw[start : start + SIZE]
        self._extension = raw[start + SIZE :]

    @property
    def raw(self) -> bytes:
        return b"".join(record.raw for record in self.records) + self.head + self._extension

    def _extended(self) -> HeaderRecord | None:
        return next((record for record in self.records if record.flag in b"xX"), None)

    def extend(self, records: pax.Records) -> None:
        """Put ``records`` into the entry's own PAX header, replacing those it already has."""
        record = self._extended()
        if record is None:
            self.records.append(_record(pax.extended_header(parse_text(self.head[:100]), records)))
            return
        kept = [(key, value) for key, value in pax.record_pairs(record.data) if records.get(key, value) == value]
        missing = sorted(records.keys() - dict(kept).keys())
        record.store(pax.join_records(kept + [(key, records[key]) for key in missing]))

    def change_name(self, change: Change) -> None:
        """Apply ``change`` to the entry's name wherever it occurs."""
        changed = self._change_records(change, b"L", b"GNU.sparse.name", b"path")
        if changed is not None:
            self._follow_name(change, *changed)
            return
        new = change(joined_name(self.head))
        where = self._place(new)
        if where is None:
            self._add_record(b"L", b"path", new)
            where = b"", new[:100]
        self._write_name(*where)

    def change_link(self, change: Change) -> None:
        """Apply ``change`` to a link's target wherever it occurs."""
        changed = self._change_records(change, b"K", b"linkpath")
        field = parse_text(self.head[157:257])
        if changed is not None:
            old, new = changed
            if old.startswith(field):
                self._write(157, new[: _width(field, old)], 100)
            return
        new = change(field)
        if len(new) > 100:
            self._add_record(b"K", b"linkpath", new)
        self._write(157, new[:100], 100)

    def _change_records(self, change: Change, flag: bytes, *keys: bytes) -> tuple[bytes, bytes] | None:
        """Apply ``change`` in all records; returns the old and the new name in the last that has one."""
        changed = None
        for record in self.records:
            changed = record.change(change, flag, keys) or changed
        return changed

    def _place(self, new: bytes) -> tuple[bytes, bytes] | None:
        """``new`` as prefix and name field, keeping the present name field if possible; None if it does not fit."""
        field = parse_text(self.head[:100])
        has_prefix = joined_name(self.head) != field
        posix = self.head[257:263] == USTAR_MAGIC
        fits = len(new) <= 100
        if new == field or (fits and not has_prefix):
            return b"", new
        if has_prefix or (posix and field):
            prefix = new.removesuffix(b"/" + field)
            if prefix != new and 0 < len(prefix) <= 155:
                return prefix, field
        if posix:
            return pax.split_name(new)
        return (b"", new) if fits else None

    def _follow_name(self, change: Change, old: bytes, new: bytes) -> None:
        """Update the name in the main header to match the record that overrides it, if it is a copy of it.

        bsdtar fills the prefix field, too, with what fits of a longer name.
        """
        field = joined_name(self.head)
        split_up = field != parse_text(self.head[:100])
        if old.startswith(field) and len(field) <= 100 and not (split_up and old == field):
            self._write_name(b"", new[: _width(field, old)])
            return
        try:
            where = self._place(new if old == field else change(field))
        except Invalid:  # not a valid name, and no reader uses it
            return
        self._write_name(*(where or (b"", new[:100])))

    def _write_name(self, prefix: bytes, name: bytes) -> None:
        if prefix or joined_name(self.head) != parse_text(self.head[:100]):
            self._write(345, prefix, 155)
        self._write(0, name, 100)

    def _write(self, start: int, value: bytes, width: int) -> None:
        if parse_text(self.head[start : start + width]) != value:
            self.head = _with_field(self.head, start, value.ljust(width, b"\0"))

    def _add_record(self, flag: bytes, key: bytes, value: bytes) -> None:
        """Add a record for a name that no field can hold: GNU's in a GNU header, otherwise PAX's."""
        if self.head[257:265] == GNU_MAGIC and self._extended() is None:
            self.records.append(_record(long_name(flag, value)))
        else:
            self.extend({key: value})


def _with_field(head: bytes, start: int, field: bytes) -> bytes:
    """``head`` with another field at ``start``, and the checksum that it has then."""
    return with_checksum(head[:start] + field + head[start + len(field) :])


def _width(field: bytes, old: bytes) -> int:
    """How many bytes of a new name go into a field that held ``field`` of the ``old`` one."""
    return len(field) if len(field) < len(old) else 100


def rename_entry(raw: bytes, name: bytes) -> bytes:
    """The header blocks ``raw`` (``Entry.own`` or ``Entry.raw``) with the name ``name``."""
    headers = Headers(raw)
    headers.change_name(lambda _: name)
    return headers.raw


def relink_entry(raw: bytes, target: bytes) -> bytes:
    """The header blocks of a hard or symbolic link with the target ``target``."""
    headers = Headers(raw)
    headers.change_link(lambda _: target)
    return headers.raw


def add_prefix(raw: bytes) -> bytes:
    """The header blocks with PREFIX put before the name and a hard link's target.

    A leading ``./`` stays in front, a leading ``/`` is dropped; the root itself becomes the prefix.
    """
    head = _head_to_shift(raw)
    room = 100 - len(PREFIX)
    if head and not head[room:100].strip(b"\0"):
        dot = 2 if head[:2] == b"./" else 0
        if dot or (head[0] not in b"\0/" and head[:2] != b".\0"):
            total = b"%06o" % (int(head[148:154], 8) + _PREFIX_SUM)  # below 2**18, as every sum of 512 bytes is
            return b"".join((raw[:-SIZE], head[:dot], PREFIX, head[dot:room], head[100:148], total, head[154:]))
    return _change_names(raw, _with_prefix)


def strip_prefix(raw: bytes) -> bytes:
    """The header blocks with PREFIX removed from the name and a hard link's target; symbolic links keep theirs.

    The prefix itself becomes ``./``. Raises Invalid if a name or a hard link's target is not below it.
    """
    head = _head_to_shift(raw)
    dot = 2 if head[:2] == b"./" else 0
    begin = dot + len(PREFIX)
    if head[dot:begin] == PREFIX and head[begin] not in b"\0/":
        total = b"%06o" % (int(head[148:154], 8) - _PREFIX_SUM)
        fill = bytes(len(PREFIX))
        return b"".join((raw[:-SIZE], head[:dot], head[begin:100], fill, head[100:148], total, head[154:]))
    return _change_names(raw, _without_prefix)


def _head_to_shift(raw: bytes) -> bytes:
    """The main header, if its name field alone names the file, and six digits are its checksum; otherwise nothing."""
    head = raw[-SIZE:]
    if head[345] or head[156] == 0x31 or head[154:156] != b"\0 " or not head[148:154].isdigit():
        return b""
    return head if len(raw) == SIZE or _is_named_by_last_block(raw) else b""


def _is_named_by_last_block(raw: bytes) -> bool:
    """Whether ``raw`` is one PAX header without any names, followed by the main header."""
    digits = raw[124:135]
    if raw[156] != 0x78 or not digits.isdigit() or len(raw) != 2 * SIZE + (int(digits, 8) + 511 & -512):
        return False
    return b"path=" not in raw and b"GNU.sparse" not in raw


def merge_globals(own: bytes, records: pax.Records) -> bytes:
    """The header blocks ``own`` with all of ``records`` in their own PAX header, so that no global one is needed."""
    headers = Headers(own)
    headers.extend(records)
    return headers.raw


def _with_prefix(name: bytes) -> bytes:
    if name.startswith(b"./"):
        return b"./" + PREFIX + name[2:]
    return PREFIX if name == b"." else PREFIX + name.lstrip(b"/")


def _without_prefix(name: bytes) -> bytes:
    for start in (PREFIX, b"./" + PREFIX):
        if name.startswith(start):
            return start.removesuffix(PREFIX) + name[len(start) :].lstrip(b"/") or b"./"
    plain = clean_name(name) + b"/"
    if not plain.startswith(PREFIX):
        raise Invalid(f"name {quoted_name(name)} is not below {quoted_name(PREFIX)}")
    if plain == PREFIX:
        return b"./"
    return plain[len(PREFIX) :] if name.endswith(b"/") else plain[len(PREFIX) : -1]


def _change_names(raw: bytes, change: Change) -> bytes:
    headers = Headers(raw)
    headers.change_name(change)
    if headers.head[156:157] == LINK:
        headers.change_link(change)
    return headers.raw
