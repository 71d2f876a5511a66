"""Tar entries of which every header byte is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SIZE = 512
END = bytes(2 * SIZE)
REGULAR, HARD, SYMBOLIC, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A header field by field; numbers may be given as the bytes of their field."""

    name: bytes = b"f"
    mode: bytes = b"0000644\0"
    uid: bytes = b"0000000\0"
    gid: bytes = b"0000000\0"
    size: int | bytes = 0
    mtime: bytes = b"00000000000\0"
    kind: bytes = REGULAR
    link: bytes = b""
    magic: bytes = b"ustar\x0000"
    major: bytes = b"0000000\0"
    minor: bytes = b"0000000\0"
    prefix: bytes = b""
    checksum: bytes | None = None
    rest: bytes = b""

    def packed(self) -> bytes:
        """The 512 bytes."""
        size = b"%011o\0" % self.size if isinstance(self.size, int) else self.size
        head = b"".join(
            (
                self.name[:100].ljust(100, b"\0"),
                self.mode.ljust(8, b"\0"),
                self.uid.ljust(8, b"\0"),
                self.gid.ljust(8, b"\0"),
                size.ljust(12, b"\0"),
                self.mtime.ljust(12, b"\0"),
                b" " * 8,
                self.kind,
                self.link[:100].ljust(100, b"\0"),
                self.magic.ljust(8, b"\0"),
                bytes(64),
                self.major.ljust(8, b"\0"),
                self.minor.ljust(8, b"\0"),
                self.prefix.ljust(155, b"\0"),
            )
        ).ljust(SIZE, b"\0")
        head = head[: SIZE - len(self.rest)] + self.rest
        return head[:148] + (self.checksum or b"%06o\0 " % sum(head)) + head[156:]


def padded(data: bytes) -> bytes:
    """The data up to the next block."""
    return data + bytes(-len(data) % SIZE)


def entry(name: str | bytes, data: bytes = b"", **fields: Any) -> bytes:
    """An entry with its data; a name that needs it gets a PAX record."""
    raw = name.encode() if isinstance(name, str) else name
    link = fields.get("link", b"")
    before = b""
    if len(raw) > 100:
        before += pax(path=raw)
    if isinstance(link, bytes) and len(link) > 100:
        before += pax(linkpath=link)
    fields.setdefault("size", len(data))
    return before + Head(name=raw, **fields).packed() + padded(data)


def folder(name: str | bytes) -> bytes:
    """A directory."""
    return entry(name, kind=DIRECTORY, mode=b"0000755\0")


def symlink(name: str | bytes, to: bytes) -> bytes:
    """A symbolic link."""
    return entry(name, kind=SYMBOLIC, link=to)


def hardlink(name: str | bytes, to: bytes) -> bytes:
    """A hard link."""
    return entry(name, kind=HARD, link=to)


def record(key: bytes, value: bytes) -> bytes:
    """A PAX record with the length that it has."""
    size = len(key) + len(value) + 3
    while len(b"%d" % size) + len(key) + len(value) + 3 != size:
        size = len(b"%d" % size) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (size, key, value)


def extended(data: bytes, kind: bytes = b"x") -> bytes:
    """A PAX header of these raw records."""
    return Head(name=b"PaxHeaders/x", kind=kind, size=len(data)).packed() + padded(data)


def pax(kind: bytes = b"x", raw: tuple[tuple[bytes, bytes], ...] = (), **records: bytes) -> bytes:
    """A PAX header of these records."""
    pairs = (*raw, *((key.replace("__", ".").encode(), value) for key, value in records.items()))
    return extended(b"".join(record(key, value) for key, value in pairs), kind)


def long_name(data: bytes, kind: bytes = b"L") -> bytes:
    """GNU's record of a long name or, with kind ``K``, of a long link."""
    return Head(name=b"././@LongLink", kind=kind, size=len(data)).packed() + padded(data)


def base256(number: int, width: int = 12) -> bytes:
    """A number as GNU tar writes those that octal digits cannot hold."""
    return ((1 << (8 * width - 1)) | (number & ((1 << (8 * width - 1)) - 1))).to_bytes(width, "big")
