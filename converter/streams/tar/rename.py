"""Edits an entry's header blocks: changes its names, or merges global PAX records into its own.

Edits are minimal: dialect, numbers and unknown fields stay. ``strip_prefix`` and ``add_prefix`` undo each other for
nearly every header. A caller that must be sure compares the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from converter.errors import Invalid
from converter.streams.tar.fields import LINK, PREFIX, SIZE, clean_name, quoted_name
from converter.streams.tar.headers import Change, Headers


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


def add_prefix(raw: bytes, prefix: bytes = PREFIX) -> bytes:
    """The header blocks with ``prefix``, which ends in ``/``, put before the name and a hard link's target.

    A leading ``./`` stays in front, a leading ``/`` is dropped; the root itself becomes the prefix.
    """
    if len(raw) == SIZE or _is_named_by_last_block(raw):
        head = raw[-SIZE:]
        room = 100 - len(prefix)
        if _is_plain(head) and not head[room:100].strip(b"\0"):
            total = b"%06o" % (int(head[148:154], 8) + sum(prefix))  # below 2**18, as every sum of 512 bytes is
            start = head[:2]
            if start == b"./":
                return b"".join((raw[:-SIZE], b"./", prefix, head[2:room], head[100:148], total, head[154:]))
            if start[0] not in b"\0/" and start != b".\0":
                return b"".join((raw[:-SIZE], prefix, head[:room], head[100:148], total, head[154:]))
    return _change_names(raw, lambda name: _with_prefix(prefix, name))


def strip_prefix(raw: bytes, prefix: bytes = PREFIX) -> bytes:
    """The header blocks with ``prefix`` removed from the name and a hard link's target; symbolic links keep theirs.

    The prefix itself becomes ``./``. Raises Invalid if a name or a hard link's target is not below the prefix.
    """
    if len(raw) == SIZE or _is_named_by_last_block(raw):
        head = raw[-SIZE:]
        dot = 2 if head[:2] == b"./" else 0
        begin = dot + len(prefix)
        if _is_plain(head) and head[dot:begin] == prefix and head[begin] not in b"\0/":
            total = b"%06o" % (int(head[148:154], 8) - sum(prefix))
            fill = bytes(len(prefix))
            return b"".join((raw[:-SIZE], head[:dot], head[begin:100], fill, head[100:148], total, head[154:]))
    return _change_names(raw, lambda name: _without_prefix(prefix, name))


def _is_plain(head: bytes) -> bool:
    """Whether the name field alone names the file, and the checksum can be updated by changing six digits."""
    return head[345] == 0 and head[156] != 0x31 and head[154:156] == b"\0 " and head[148:154].isdigit()


def _is_named_by_last_block(raw: bytes) -> bool:
    """Whether ``raw`` is one PAX header without any names, followed by the main header."""
    digits = raw[124:135]
    if raw[156] != 0x78 or not digits.isdigit() or len(raw) != 2 * SIZE + (int(digits, 8) + 511 & -512):
        return False
    return b"path=" not in raw and b"GNU.sparse" not in raw


def merge_globals(own: bytes, records: Mapping[bytes, bytes]) -> bytes:
    """The header blocks ``own`` with all of ``records`` in their own PAX header, so that no global one is needed."""
    headers = Headers(own)
    headers.extend(records)
    return headers.raw


def _with_prefix(prefix: bytes, name: bytes) -> bytes:
    if name.startswith(b"./"):
        return b"./" + prefix + name[2:]
    return prefix if name == b"." else prefix + name.lstrip(b"/")


def _without_prefix(prefix: bytes, name: bytes) -> bytes:
    for start in (b"", b"./"):
        if name.startswith(start + prefix):
            return start + name[len(start + prefix) :].lstrip(b"/") or b"./"
    plain = clean_name(name) + b"/"
    if not plain.startswith(prefix):
        raise Invalid(f"name {quoted_name(name)} is not below {quoted_name(prefix)}")
    if plain == prefix:
        return b"./"
    return plain[len(prefix) :] if name.endswith(b"/") else plain[len(prefix) : -1]


def _change_names(raw: bytes, change: Change) -> bytes:
    headers = Headers(raw)
    headers.change_name(change)
    if headers.head[156:157] == LINK:
        headers.change_link(change)
    return headers.raw
