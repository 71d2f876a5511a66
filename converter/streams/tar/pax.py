"""PAX records for what a header cannot express, and headers made with as few as possible (POSIX.1-2001 pax).

Records are ``LENGTH KEY=VALUE`` lines ("Extended Header"). Headers are ustar where it suffices, and deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import Limits
from converter.streams.tar.fields import DIR, FILE, format_octal, header_block, padding_bytes, quoted_name

Records = Mapping[bytes, bytes]
"""Values by key."""

XATTR = b"SCHILY.xattr."
_NAMES = frozenset({b"path", b"linkpath", b"uname", b"gname", b"GNU.sparse.name"})
SPARSE_PAIR = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})
"""The only keys that may be repeated: one of each per region (sparse format 0.0)."""

_SPARSE = b"GNU.sparse."
_FORMATS = {(b"", b""): True, (b"0", b"0"): True, (b"0", b"1"): True, (b"1", b"0"): False}
"""The versions of sparse files, with whether the map is among the records; those before 0.1 may state none."""


def record_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """The records of ``data`` in order, including repeated keys; raises Invalid for a malformed record."""
    found = []
    position, size = 0, len(data)
    find = data.find
    while position < size:
        space = find(b" ", position, position + 20)
        digits = data[position:space]
        if space < 0 or not digits.isdigit():
            raise Invalid(
                f"invalid PAX record {quoted_name(data[position : position + 20])}: expected a length and a space"
            )
        end = position + int(digits)
        if not space + 1 < end <= size or data[end - 1] != 0x0A:
            raise Invalid(f"invalid PAX record: no line feed at its length of {int(digits)} bytes")
        equals = find(b"=", space + 1, end)
        if equals <= space + 1:
            raise Invalid(f"invalid PAX record {quoted_name(data[space + 1 : end - 1])}: expected KEY=VALUE")
        found.append((data[space + 1 : equals], data[equals + 1 : end - 1]))
        position = end
    if b"\0" in data:
        # NUL may be in values, but not in those that are names, which some readers would cut there.
        for key, value in found:
            if b"\0" in key:
                raise Invalid(f"PAX record: the key {quoted_name(key)} contains NUL")
            if key in _NAMES and b"\0" in value:
                raise Invalid(f"PAX record {quoted_name(key)}: the name {quoted_name(value)} contains NUL")
    return found


def parse_records(data: bytes, limits: Limits) -> dict[bytes, bytes]:
    """The records of ``data``; the last of a key wins, and an empty value means "as if the key were not there".

    The repeated ``GNU.sparse.offset`` and ``.numbytes`` of sparse format 0.0 become the ``GNU.sparse.map`` of 0.1.
    """
    found = record_pairs(data)
    records = dict(found)
    if len(data) > limits.xattr:
        for key, value in found:
            if len(value) > limits.xattr and key.startswith(XATTR):
                raise LimitExceeded(
                    f"extended attribute {quoted_name(key)} has {len(value)} bytes: "
                    f"at most {limits.xattr} are allowed (limit: xattr)"
                )
    if b"GNU.sparse.offset" in records:
        records[b"GNU.sparse.map"] = b",".join(value for key, value in found if key in SPARSE_PAIR)
    return records


def check_records(records: Records, kind: bytes) -> None:
    """Raise Invalid for the records of an entry of type ``kind`` that readers understand in different ways.

    To some an empty name is that of the archive's root, to others no name. Where the records of a sparse file are not
    of a version that Go's archive/tar knows, it takes the file for an ordinary one, with the name in its header.
    """
    for key in (b"path", b"linkpath", b"GNU.sparse.name"):
        if records.get(key) == b"":
            raise Invalid(f"PAX record {quoted_name(key)}: the name is empty")
    if not any(key.startswith(_SPARSE) for key in records):
        return
    version = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
    has_map = bool(records.get(b"GNU.sparse.map"))
    if _FORMATS.get(version) is not has_map:
        text = ".".join(one.decode(errors="replace")[:20] for one in version)
        where = "with a map" if has_map else "without a map"
        raise Invalid(
            f'sparse file: unsupported version "{text}" {where} in its PAX records '
            "(one of: 0.0 or 0.1 with a map, 1.0 without)"
        )
    if kind not in b"0\0":
        raise Invalid("sparse file: the entry with its PAX records is not a regular file")
    sizes = {records[key] for key in (b"GNU.sparse.size", b"GNU.sparse.realsize") if records.get(key)}
    if len(sizes) > 1:
        both = " and ".join(map(quoted_name, sorted(sizes)))
        raise Invalid(f"sparse file: its PAX records state two sizes, {both}")


def format_record(key: bytes, value: bytes) -> bytes:
    """One record; its length includes its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def join_records(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The payload of a PAX header with ``records``, in that order."""
    return b"".join(format_record(key, value) for key, value in records)


def integer(records: Records, key: bytes) -> int:
    """The decimal number under ``key``; raises Invalid if it is malformed."""
    value = records[key]
    digits = value.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 20:
        raise Invalid(f"PAX record {quoted_name(key)}: invalid number {quoted_name(value)}: expected decimal digits")
    return int(value)


def nanoseconds(value: bytes, key: bytes) -> int:
    """A PAX time (decimal seconds since 1970, with any fraction) in nanoseconds, rounded down; raises Invalid."""
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not (whole + fraction).isdigit() or len(value) > 64:
        raise Invalid(
            f"PAX record {quoted_name(key)}: invalid time {quoted_name(value)}: expected seconds as a decimal number"
        )
    billionths = int(fraction[:9].ljust(9, b"0"))
    exact = int(whole or b"0") * 10**9 + billionths
    if not value.startswith(b"-"):
        return exact
    more_precise = bool(fraction[9:].strip(b"0"))
    return -exact - more_precise


def seconds(nanoseconds: int) -> bytes:
    """``nanoseconds`` since 1970 as a PAX time: the shortest decimal that is exact."""
    whole, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{whole}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def _number(records: dict[bytes, bytes], key: bytes, value: int, width: int) -> int:
    """What the field of a number holds: 0 if it does not fit, and is in a record instead."""
    if 0 <= value < 8 ** (width - 1):
        return value
    records[key] = b"%d" % value
    return 0


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
    records: Records | None = None,
) -> bytes:
    """The header blocks of an entry: one, or at least three if PAX records are needed.

    ``mtime_ns`` is in nanoseconds since 1970, ``size`` in bytes, ``records`` are PAX records that take precedence; the
    name of a directory gets its final ``/``. The caller writes the payload and ``padding_bytes(size)``.
    """
    if type == DIR and not name.endswith(b"/"):
        name += b"/"
    texts = ((b"uname", uname, 32), (b"gname", gname, 32), (b"linkpath", linkname, 100))
    extended = {key: text for key, text, width in texts if len(text) > width}
    where = split_name(name)
    if where is None:
        extended[b"path"] = name
        where = b"", name
    whole, fraction = divmod(mtime_ns, 1_000_000_000)
    mtime = _number(extended, b"mtime", whole, 12)
    if fraction or b"mtime" in extended:
        extended[b"mtime"] = seconds(mtime_ns)
    major, minor = device
    prefix, last = where
    head = header_block(
        last,
        size=_number(extended, b"size", size, 12),
        kind=type,
        mode=mode,
        uid=_number(extended, b"uid", uid, 8),
        gid=_number(extended, b"gid", gid, 8),
        mtime=mtime,
        linkname=linkname,
        uname=uname,
        gname=gname,
        device=format_octal(major, 8) + format_octal(minor, 8),
        prefix=prefix,
    )
    extended.update(records or {})
    return extended_header(name, extended) + head if extended else head


def extended_header(name: bytes, records: Records) -> bytes:
    """The PAX header for the entry ``name``, which it precedes, with ``records`` sorted by key."""
    data = join_records(sorted(records.items()))
    title = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2]
    head = make_header(name=title[:100], size=len(data), type=b"x")
    return head + data + padding_bytes(len(data))


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """``name`` as the prefix and name fields of ustar, the prefix as short as possible; None if it does not fit."""
    if len(name) <= 100:
        return b"", name
    slash = name.find(b"/", len(name) - 101)
    if not 0 < slash <= 155 or slash == len(name) - 1:
        return None
    return name[:slash], name[slash + 1 :]
