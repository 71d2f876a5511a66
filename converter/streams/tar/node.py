"""One file of a tree, as plain data to compare, and in packed form."""

from __future__ import annotations

from typing import NamedTuple

from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import FILE


class Node(NamedTuple):
    """One file of a tree. Hard links to one file are equal nodes, whichever of them the archive stores as a link."""

    type: bytes
    """A constant of ``fields``, never LINK."""
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    """Bytes of a regular file, holes included."""
    linkname: bytes = b""
    """The target of a symbolic link, as written."""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """Names and values, sorted by name."""
    sha256: bytes = b""
    """The digest of a regular file's content."""


_NUMBERS = b"%x %x %x %x %x %x %x %x"


def encode_node(entry: Entry, size: int, sha256: bytes) -> bytes:
    """What an entry says of a file, equal for equal files; ``size`` and ``sha256`` are for regular files."""
    linkname = entry.linkname
    numbers = (entry.mode, entry.uid, entry.gid, entry.mtime_ns, size, *entry.device, len(linkname))
    xattrs = [part for pair in sorted(entry.xattrs.items()) for part in pair]
    lengths = b"".join(b" %x" % len(part) for part in xattrs) if xattrs else b""
    return b"".join((entry.type, _NUMBERS % numbers, lengths, b"\n", sha256, linkname, *xattrs))


def decode_node(record: bytes) -> Node:
    """The file that the record describes."""
    kind = record[:1]
    head, _, rest = record[1:].partition(b"\n")
    mode, uid, gid, mtime, size, major, minor, *lengths = (int(number, 16) for number in head.split())
    parts = []
    for length in (32 if kind == FILE else 0, *lengths):
        parts.append(rest[:length])
        rest = rest[length:]
    sha256, linkname, *xattrs = parts
    return Node(
        type=kind,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime_ns=mtime,
        size=size,
        linkname=linkname,
        device=(major, minor),
        xattrs=tuple(zip(xattrs[::2], xattrs[1::2], strict=True)),
        sha256=sha256,
    )
