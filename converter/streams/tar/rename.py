"""Change the names in an entry's header blocks with the least edit: dialect, numbers and unknown fields stay.

``stripped`` and ``prefixed`` undo each other for nearly every header; who must know compares the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from converter.errors import Invalid
from converter.streams.tar.fields import LINK, SIZE
from converter.streams.tar.headers import Change, Headers
from converter.streams.tar.names import clean, shown

ROOTFS = b"rootfs/"
"""What the names of the files in an ACI begin with."""


def renamed(raw: bytes, name: bytes) -> bytes:
    """The header blocks ``raw`` (``Entry.own`` or ``Entry.raw``) for the name ``name``."""
    headers = Headers(raw)
    headers.change_name(lambda _: name)
    return headers.raw


def relinked(raw: bytes, target: bytes) -> bytes:
    """The header blocks of a hard or symbolic link with ``target`` for its target."""
    headers = Headers(raw)
    headers.change_link(lambda _: target)
    return headers.raw


def prefixed(raw: bytes, prefix: bytes = ROOTFS) -> bytes:
    """The header blocks with ``prefix``, which ends in ``/``, before the name and a hard link's target.

    A leading ``./`` stays in front, a leading ``/`` goes; the root itself becomes the prefix.
    """
    room = 100 - len(prefix)
    if (
        len(raw) == SIZE
        and raw[345] == 0
        and raw[156] != 0x31
        and not raw[room:100].strip(b"\0")
        and raw[154:156] == b"\0 "
        and raw[148:154].isdigit()
    ):
        total = b"%06o" % (int(raw[148:154], 8) + sum(prefix))  # below 2**18, as every sum of 512 bytes is
        start = raw[:2]
        if start == b"./":
            return b"".join((b"./", prefix, raw[2:room], raw[100:148], total, raw[154:]))
        if start[0] not in b"\0/" and start != b".\0":
            return b"".join((prefix, raw[:room], raw[100:148], total, raw[154:]))
    return _edited(raw, lambda name: _under(prefix, name))


def stripped(raw: bytes, prefix: bytes = ROOTFS) -> bytes:
    """The header blocks without ``prefix`` before the name and a hard link's target; symbolic links keep theirs.

    The prefix itself becomes ``./``. Raises Invalid when a name or a hard link's target is not below the prefix.
    """
    length = len(prefix)
    if len(raw) == SIZE and raw[345] == 0 and raw[156] != 0x31 and raw[154:156] == b"\0 " and raw[148:154].isdigit():
        dot = 2 if raw[:2] == b"./" else 0
        begin = dot + length
        if raw[dot:begin] == prefix and raw[begin] not in b"\0/":
            total = b"%06o" % (int(raw[148:154], 8) - sum(prefix))
            return b"".join((raw[:dot], raw[begin:100], bytes(length), raw[100:148], total, raw[154:]))
    return _edited(raw, lambda name: _above(prefix, name))


def localised(own: bytes, records: Mapping[bytes, bytes]) -> bytes:
    """The header blocks ``own`` with all of ``records`` in their own PAX header, so that no global one is needed."""
    headers = Headers(own)
    headers.extend(records)
    return headers.raw


def _under(prefix: bytes, name: bytes) -> bytes:
    if name.startswith(b"./"):
        return b"./" + prefix + name[2:]
    return prefix if name == b"." else prefix + name.lstrip(b"/")


def _above(prefix: bytes, name: bytes) -> bytes:
    for start in (b"", b"./"):
        if name.startswith(start + prefix):
            return start + name[len(start + prefix) :].lstrip(b"/") or b"./"
    plain = clean(name) + b"/"
    if not plain.startswith(prefix):
        raise Invalid(f"name: got {shown(name)}, want one below {shown(prefix)}")
    if plain == prefix:
        return b"./"
    return plain[len(prefix) :] if name.endswith(b"/") else plain[len(prefix) : -1]


def _edited(raw: bytes, change: Change) -> bytes:
    headers = Headers(raw)
    headers.change_name(change)
    if headers.head[156:157] == LINK:
        headers.change_link(change)
    return headers.raw
