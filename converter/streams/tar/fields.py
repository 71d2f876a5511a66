"""What the header of an entry says: names, types, numbers, checksum (POSIX.1-1988 ustar; GNU tar, "Basic Tar Format").

Names are bytes, normalised for comparison, and escaped for display (image-spec 1.1.1, layer.md).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from functools import lru_cache

from converter.errors import Invalid, printable
from converter.model.limits import Limits, current_limits

SIZE = 512
ZERO = bytes(SIZE)

END = ZERO * 2
"""The end-of-archive blocks."""

FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO = (b"%d" % n for n in range(7))

KINDS = {
    **{kind: kind for kind in (FILE, LINK, SYMLINK, CHAR, BLOCK, DIR, FIFO)},
    b"\0": FILE,  # v7
    b"7": FILE,  # contiguous
    b"S": FILE,  # GNU's sparse one
    b"D": DIR,  # GNU's, with the names in it
}
"""Typeflag → type, for files of a file system; every other flag is a record or a vendor's own."""

FILES = frozenset(KINDS.values())
"""The types of entries that are files of a file system."""

USTAR_MAGIC = b"ustar\0"
GNU_MAGIC = b"ustar  \0"

MANIFEST, ROOTFS = b"manifest", b"rootfs"
"""The two entries that an ACI has, and nothing beside them (appc spec 0.8.11, aci.md, "Image Archives")."""

PREFIX = ROOTFS + b"/"
"""What the names of an ACI's files begin with, and those of a layer's do not."""


def clean_name(name: bytes) -> bytes:
    """``name`` without leading ``/`` or ``./``, empty parts, ``.`` parts and trailing ``/``; the root is ``b""``.

    ``..`` is kept: whoever interprets the name calls :func:`require_contained` first.
    """
    return b"/".join(part for part in name.split(b"/") if part not in {b"", b"."})


def require_contained(name: bytes) -> bytes:
    """The clean ``name`` itself; raises Invalid if a part of it is ``..``, which may lead out of the root."""
    if b".." in name and b".." in name.split(b"/"):
        raise Invalid(f'invalid name {quoted_name(name)}: ".." is not allowed')
    return name


def parent_name(name: bytes) -> bytes:
    """The directory of the clean ``name``; the root is ``b""`` and its own parent."""
    return name.rpartition(b"/")[0]


def check_name_length(name: bytes, limits: Limits) -> None:
    """Raise LimitExceeded if the clean ``name`` is longer (bytes) or deeper (parts) than ``limits`` allow."""
    shown = quoted_name(name)
    limits.require("path", len(name), f"bytes in the name {shown}")
    limits.require("path_depth", name.count(b"/") + 1, f"parts in the name {shown}")


@dataclass(slots=True, eq=False, repr=False)
class Budget:
    """Counts what readers keep in memory, over all tars whose names are kept together."""

    limits: Limits = field(default_factory=current_limits)
    entries: int = 0
    """Entries in the tars that have been read."""
    names: int = 0
    """Bytes of names and link targets, and of other data held for a name."""

    def add(self, size: int) -> None:
        """Count ``size`` more bytes. Raises LimitExceeded."""
        self.names += size
        self.limits.require("names", self.names, "bytes of names")


_TYPES = ("a file", "a hard link", "a symlink", "a character device", "a block device", "a directory", "a FIFO")
"""Indexed by typeflag."""


def type_in_words(kind: bytes) -> str:
    """The type of an entry in words, for messages; by its letter if it is not a file."""
    return _TYPES[int(kind)] if kind in FILES else f"the type {quoted_name(kind)}"


def quoted_name(name: bytes, most: int = 120) -> str:
    """``name`` in quotes for a message: control and other unprintable characters escaped, cut after ``most`` bytes."""
    text = printable(name[:most].decode("utf-8", "backslashreplace"))
    return f'"{text}"' if len(name) <= most else f'"{text}"...'


def padding_size(size: int) -> int:
    """How many bytes pad a payload of ``size`` bytes to a whole number of blocks."""
    return -size & (SIZE - 1)


def padding_bytes(size: int) -> bytes:
    """The NULs that follow a payload of ``size`` bytes."""
    return bytes(padding_size(size))


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
    digits = _digits(field)
    if not digits:
        return 0
    try:
        if digits.isdigit():  # int() would also accept signs, underscores and '0o'
            return int(digits, 8)
    except ValueError:
        pass
    raise Invalid(f'header field "{what}": invalid number {quoted_name(field)}: expected octal digits or base-256')


def _digits(field: bytes) -> bytes:
    """What is in a number's field, without spaces and NULs around it."""
    return parse_text(field.strip(b" \0")).rstrip(b" ")


def format_octal(value: int, width: int) -> bytes:
    """``value`` as octal digits in ``width`` bytes including a final NUL; raises ValueError if it does not fit."""
    digits = b"%0*o" % (width - 1, value)
    if value < 0 or len(digits) >= width:
        raise ValueError(value)
    return digits + b"\0"


_OCTAL_SIZE = 8**11
_HEADER = struct.Struct("100s 8s 8s 8s 12s 12s 8s 1s 100s 8s 32s 32s 16s 167s")
"""Texts that are too long are cut, and NULs follow short ones."""


def header_block(
    name: bytes,
    *,
    size: int,
    kind: bytes = FILE,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    uname: bytes = b"",
    gname: bytes = b"",
    device: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    """A header block of these fields, sealed; of texts, only what fits.

    Sizes of 8 GiB or more are in base 256, as in GNU tar and Go. Raises ValueError for other numbers that do not fit.
    """
    size_field = format_octal(size, 12) if size < _OCTAL_SIZE else b"\x80" + size.to_bytes(11, "big")
    head = _HEADER.pack(
        name,
        format_octal(mode, 8),
        format_octal(uid, 8),
        format_octal(gid, 8),
        size_field,
        format_octal(mtime, 12),
        b" " * 8,
        kind,
        linkname,
        magic,
        uname,
        gname,
        device,
        prefix,
    )
    return with_checksum(head)


def long_name(flag: bytes, name: bytes) -> bytes:
    """GNU tar's record of a long name: ``L`` for that of the entry that follows, ``K`` for what it links to."""
    size = len(name) + 1
    head = header_block(b"././@LongLink", size=size, kind=flag, magic=GNU_MAGIC)
    return head + name.ljust(size + padding_size(size), b"\0")


def verify_checksum(head: bytes, offset: int) -> int:
    """Raise Invalid unless the checksum of ``head`` is right, summed as unsigned or (old Sun, v7) signed bytes.

    Returns the low 16 bits that ``zlib.adler32`` has of each header with this field, if that is the sum of unsigned
    bytes: 1 + the sum mod 65521. It is the one byte sum that runs in C: checking a header this way costs a fifth of
    ``sum(header)``. A stored sum that is wrong by exactly 65521 passes.
    """
    field = head[148:156]
    try:
        stored = parse_number(field, "checksum")
    except Invalid:
        raise Invalid(
            f"header at byte {offset}: invalid checksum {quoted_name(field)}: expected octal digits"
        ) from None
    beyond = sum(field) - 8 * 0x20  # the checksum itself counts as spaces
    unsigned = sum(head) - beyond
    if stored != unsigned:
        signed = unsigned - 256 * sum(byte > 0x7F for byte in head[:148] + head[156:])
        if stored != signed:
            raise Invalid(f"header at byte {offset}: checksum mismatch: expected {stored}, computed {unsigned}")
    return (1 + stored + beyond) % 65521


def rewrite_number(field: bytes, value: int) -> bytes:
    """``field`` with ``value`` in the place and width of its octal digits, or in all of it if it does not fit."""
    digits = _digits(field)
    new = b"%0*o" % (len(digits), value)
    if digits.isdigit() and len(new) == len(digits):
        start = field.index(digits)
        return field[:start] + new + field[start + len(new) :]
    return format_octal(value, len(field))


def with_checksum(head: bytes) -> bytes:
    """``head`` with the right checksum, written as the old one was, or as six octal digits, NUL, space."""
    start, field, end = head[:148], head[148:156], head[156:]
    blank = b" " * 8
    total = (zlib.adler32(start + blank + end) & 0xFFFF) - 1
    if not head.isascii():  # the sum may exceed 65521
        total = sum(start + blank + end)
    new = b"%06o\0 " % total if field == blank else rewrite_number(field, total)
    return start + new + end


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
    joins = magic.startswith(USTAR_MAGIC)
    if magic == GNU_MAGIC:
        try:
            parse_number(head[345:357], "atime")
        except Invalid:
            joins = prefix.isascii()
    return prefix + b"/" + name if joins else name
