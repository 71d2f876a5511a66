"""The fields of a 512-byte header block: types, numbers, checksum (POSIX.1-1988 ustar; GNU tar, "Basic Tar Format")."""

from __future__ import annotations

import zlib
from functools import lru_cache

from converter.errors import Invalid, printable

SIZE = 512
ZERO = bytes(SIZE)

FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO = (b"%d" % n for n in range(7))

KINDS = {
    **{kind: kind for kind in (FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO)},
    b"\0": FILE,  # v7
    b"7": FILE,  # contiguous
}
"""Typeflag → type, for files of a file system; every other flag is a record or a vendor's own."""

FILES = frozenset(KINDS.values())
"""The types of entries that are files of a file system."""

USTAR_MAGIC = b"ustar\0"
GNU_MAGIC = b"ustar  \0"


def padding_size(size: int) -> int:
    """How many bytes pad a payload of ``size`` bytes to a whole number of blocks."""
    return -size & (SIZE - 1)


def parse_text(field: bytes) -> bytes:
    """The bytes of ``field`` before its first NUL."""
    return field.partition(b"\0")[0]


@lru_cache(maxsize=1024)  # most entries have the mode, the owner and the time of those before them
def parse_number(field: bytes, what: str) -> int:
    """The number in ``field``: octal digits among spaces and NULs, or base-256 (GNU); an empty field is 0.

    ``what`` names the field in the Invalid raised for anything else. Only base-256 can be negative.
    """
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    digits = parse_text(field.strip(b" \0")).rstrip(b" ")
    if not digits:
        return 0
    try:
        if digits.isdigit():  # int() would also accept signs, underscores and '0o'
            return int(digits, 8)
    except ValueError:
        pass
    raise Invalid(f'header field "{what}": invalid number {_quoted(field)}: expected octal digits or base-256')


def _quoted(field: bytes) -> str:
    return f'"{printable(field.decode("ascii", "backslashreplace"))}"'


def format_octal(value: int, width: int) -> bytes:
    """``value`` as octal digits in ``width`` bytes including a final NUL; raises ValueError if it does not fit."""
    digits = b"%0*o" % (width - 1, value)
    if value < 0 or len(digits) >= width:
        raise ValueError(value)
    return digits + b"\0"


def header_block(
    name: bytes,
    *,
    size: bytes,
    kind: bytes = FILE,
    mode: int = 0o644,
    uid: bytes = b"",
    gid: bytes = b"",
    mtime: bytes = b"",
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    rest: bytes = b"",
) -> bytes:
    """A header block of these fields, sealed; ``rest`` follows the magic. Empty numbers are 0."""
    zero = format_octal(0, 8)
    numbers = (format_octal(mode, 8), uid or zero, gid or zero, size, mtime or format_octal(0, 12), b" " * 8)
    head = b"".join((name.ljust(100, b"\0"), *numbers, kind, linkname.ljust(100, b"\0"), magic, rest))
    return with_checksum(head.ljust(SIZE, b"\0"))


def long_name(flag: bytes, name: bytes) -> bytes:
    """GNU tar's record of a long name: ``L`` for that of the entry that follows, ``K`` for what it links to."""
    size = len(name) + 1
    head = header_block(b"././@LongLink", size=format_octal(size, 12), kind=flag, magic=GNU_MAGIC)
    return head + name.ljust(size + padding_size(size), b"\0")


def adler_of_checksum(field: bytes) -> int:
    """The low 16 bits that ``zlib.adler32(header)`` has if the checksum ``field`` in it is right.

    These bits are 1 + the sum of the bytes mod 65521, and adler32 is the one byte sum that runs in C: checking a header
    this way costs a fifth of ``sum(header)``. A stored sum that is wrong by exactly 65521 passes.
    """
    return (1 + parse_number(field, "checksum") - 8 * 0x20 + sum(field)) % 65521


def verify_checksum(head: bytes, offset: int) -> None:
    """Raise Invalid unless the checksum of ``head`` is right, summed as unsigned or (old Sun, v7) signed bytes."""
    field = head[148:156]
    try:
        stored = parse_number(field, "checksum")
    except Invalid:
        raise Invalid(f"header at byte {offset}: invalid checksum {_quoted(field)}: expected octal digits") from None
    unsigned = sum(head) - sum(field) + 8 * 0x20
    if stored == unsigned:
        return
    signed = unsigned - 256 * sum(byte > 0x7F for byte in head[:148] + head[156:])
    if stored != signed:
        raise Invalid(f"header at byte {offset}: checksum mismatch: expected {stored}, computed {unsigned}")


def rewrite_number(field: bytes, value: int) -> bytes:
    """``field`` with ``value`` in the place and width of its octal digits, or in all of it if it does not fit."""
    digits = parse_text(field.strip(b" \0")).rstrip(b" ")
    new = b"%0*o" % (len(digits), value)
    if digits.isdigit() and len(new) == len(digits):
        start = field.index(digits)
        return field[:start] + new + field[start + len(new) :]
    return format_octal(value, len(field))


def with_checksum(head: bytes) -> bytes:
    """``head`` with the right checksum, written as the old one was, or as six octal digits, NUL, space."""
    field = head[148:156]
    total = (zlib.adler32(head[:148] + b"        " + head[156:]) & 0xFFFF) - 1
    if not head.isascii():  # the sum may exceed 65521
        total = sum(head) - sum(field) + 8 * 0x20
    new = b"%06o\0 " % total if field == b"        " else rewrite_number(field, total)
    return head[:148] + new + head[156:]


def joined_name(head: bytes) -> bytes:
    """The name in ``head`` alone: the name field, preceded by the prefix field if there is one.

    A GNU header has other fields in place of the prefix. But Go before 1.8, and so Docker at that time, wrote GNU
    headers with a prefix: as in Go, if the access time is not a number and the "prefix" is ASCII, it is read as a
    prefix.
    """
    name, prefix = parse_text(head[:100]), parse_text(head[345:500])
    if not prefix:
        return name
    magic = head[257:265]
    if magic == GNU_MAGIC:
        try:
            parse_number(head[345:357], "atime")
        except Invalid:
            return prefix + b"/" + name if prefix.isascii() else name
        return name
    return prefix + b"/" + name if magic.startswith(USTAR_MAGIC) else name
