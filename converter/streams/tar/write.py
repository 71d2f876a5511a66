"""Makes headers: ustar where it suffices, PAX records where it does not; deterministic."""

from __future__ import annotations

from collections.abc import Mapping

from converter.streams.tar import pax
from converter.streams.tar.fields import DIR, FILE, ZERO, format_octal, header_block, padding_size

END = ZERO * 2
"""The end-of-archive blocks."""


def padding_bytes(size: int) -> bytes:
    """The NULs that follow a payload of ``size`` bytes."""
    return bytes(padding_size(size))


class _Extended:
    """The PAX records for what the fields of a header cannot hold."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def number(self, key: bytes, value: int, width: int) -> bytes:
        """The field of a number; 0 if that is in a record."""
        try:
            return format_octal(value, width)
        except ValueError:
            self.records[key] = b"%d" % value
            return format_octal(0, width)

    def text(self, key: bytes, value: bytes, width: int) -> bytes:
        """The field of a text; its beginning if the whole is in a record."""
        if len(value) > width:
            self.records[key] = value
        return value[:width].ljust(width, b"\0")


def make_header(
    *,
    name: bytes,
    size: int = 0,
    type: bytes = FILE,  # noqa: A002 - the field's own name
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    uname: bytes = b"",
    gname: bytes = b"",
    mtime_ns: int = 0,
    linkname: bytes = b"",
    device: tuple[int, int] = (0, 0),
    records: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The header blocks of an entry: one, or at least three if PAX records are needed.

    ``mtime_ns`` is in nanoseconds since 1970, ``size`` in bytes, ``records`` are PAX records that take precedence; the
    name of a directory gets its final ``/``. The caller writes the payload and ``padding_bytes(size)``.
    """
    if type == DIR and not name.endswith(b"/"):
        name += b"/"
    extended = _Extended()
    where = split_name(name)
    if where is None:
        extended.records[b"path"] = name
        where = b"", name[:100]
    seconds, fraction = divmod(mtime_ns, 1_000_000_000)
    mtime = extended.number(b"mtime", seconds, 12)
    if fraction or b"mtime" in extended.records:
        extended.records[b"mtime"] = pax.seconds(mtime_ns)
    owner = extended.text(b"uname", uname, 32) + extended.text(b"gname", gname, 32)
    head = header_block(
        where[1],
        size=extended.number(b"size", size, 12),
        kind=type,
        mode=mode,
        uid=extended.number(b"uid", uid, 8),
        gid=extended.number(b"gid", gid, 8),
        mtime=mtime,
        linkname=extended.text(b"linkpath", linkname, 100),
        rest=owner + format_octal(device[0], 8) + format_octal(device[1], 8) + where[0],
    )
    found = extended.records | dict(records or {})
    return (extended_header(name, found) if found else b"") + head


def extended_header(name: bytes, records: Mapping[bytes, bytes]) -> bytes:
    """The PAX header for the entry ``name``, which it precedes, with ``records`` sorted by key."""
    data = pax.join_records(sorted(records.items()))
    title = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2]
    return make_header(name=title[:100], size=len(data), type=b"x") + data + padding_bytes(len(data))


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """``name`` as the prefix and name fields of ustar, the prefix as short as possible; None if it does not fit."""
    if len(name) <= 100:
        return b"", name
    slash = name.find(b"/", len(name) - 101)
    if not 0 < slash <= 155 or slash == len(name) - 1:
        return None
    return name[:slash], name[slash + 1 :]
