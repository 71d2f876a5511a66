"""The canonical text of a file tree: mtree(5), one full path a line, sorted by bytes.

NetBSD's mtree and libarchive's bsdtar read it. Numbers that depend on a file system (links, sizes of directories) are
left out, as are the modes of symbolic links, which have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from converter.errors import Invalid
from converter.streams.tar import fields
from converter.streams.tar.node import Node

FIRST = b"#mtree\n"

TYPES = {
    fields.FILE: b"file",
    fields.DIR: b"dir",
    fields.SYMLINK: b"link",
    fields.CHAR: b"char",
    fields.BLOCK: b"block",
    fields.FIFO: b"fifo",
}
_KINDS = {word: kind for kind, word in TYPES.items()}

_PLAIN = re.compile(rb"[^!-~]|[\\#]")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_KNOWN = frozenset((b"type", b"mode", b"uid", b"gid", b"size", b"sha256digest", b"sha256", b"link", b"device", b"time"))


class File(NamedTuple):
    """A file of a tree: its path, without a slash before it (empty: the root), and what it is."""

    path: bytes
    node: Node


def format_line(file: File, *, times: bool = False) -> bytes:
    """The line of a file; with ``times``, its modification time too."""
    path, node = file
    words = [escape_name(b"./" + path if path else b"."), b"type=" + TYPES[node.type]]
    if node.type != fields.SYMLINK:
        words.append(b"mode=%04o" % node.mode)
    words.append(b"uid=%d gid=%d" % (node.uid, node.gid))
    if node.type == fields.FILE:
        words.append(b"size=%d sha256digest=%s" % (node.size, node.sha256.hex().encode()))
    elif node.type == fields.SYMLINK:
        words.append(b"link=" + escape_name(node.linkname))
    elif node.type in {fields.CHAR, fields.BLOCK}:
        words.append(b"device=native,%d,%d" % node.device)
    if times:
        words.append(b"time=%d.%09d" % divmod(node.mtime_ns, 1_000_000_000))
    return b" ".join(words) + b"\n"


def escape_name(name: bytes) -> bytes:
    """The name with three octal digits after a backslash for all but printable ASCII, and for a backslash and ``#``."""
    return _PLAIN.sub(lambda found: b"\\%03o" % found[0][0], name)


def parse_mtree(lines: Iterable[bytes]) -> Iterator[tuple[File, frozenset[bytes]]]:
    """The files of a text with full paths, in its order, each with the keywords that are told of it.

    Raises Invalid for anything else, such as mtree's older form, in which a path depends on the lines before it.
    """
    for number, text in enumerate(lines, 1):
        words = text.split()
        if not words or words[0].startswith(b"#"):
            continue
        try:
            yield _file(words)
        except (ValueError, KeyError) as error:
            raise Invalid(f"profile, line {number}: {error}") from None


def _file(words: list[bytes]) -> tuple[File, frozenset[bytes]]:
    name, told = words[0], {}
    for word in words[1:]:
        key, equals, value = word.partition(b"=")
        if not equals or key not in _KNOWN:
            raise ValueError(f"unknown keyword {word.decode(errors='replace')!r}")
        told[b"sha256digest" if key == b"sha256" else key] = value
    if name != b"." and not name.startswith(b"./"):
        raise ValueError(f"{name.decode(errors='replace')!r} is not a full path, which begins with ./")
    if b"type" not in told or told[b"type"] not in _KINDS:
        raise ValueError("no type that is known")
    device = told.get(b"device", b"native,0,0").split(b",")
    node = Node(
        type=_KINDS[told[b"type"]],
        mode=int(told.get(b"mode", b"0"), 8),
        uid=int(told.get(b"uid", b"0")),
        gid=int(told.get(b"gid", b"0")),
        mtime_ns=_nanoseconds(told.get(b"time", b"0")),
        size=int(told.get(b"size", b"0")),
        linkname=_unescaped(told.get(b"link", b"")),
        device=(int(device[-2]), int(device[-1])),
        sha256=bytes.fromhex(told.get(b"sha256digest", b"").decode()),
    )
    return File(_unescaped(name[2:]), node), frozenset(told)


def _nanoseconds(text: bytes) -> int:
    seconds, _, fraction = text.partition(b".")
    return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), text)
