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
from converter.streams.tar.fields import quoted_name
from converter.streams.tar.listing import Node

FIRST = b"#mtree\n"

TYPES = {
    fields.FILE: b"file",
    fields.DIR: b"dir",
    fields.SYMLINK: b"link",
    fields.CHAR: b"char",
    fields.BLOCK: b"block",
    fields.FIFO: b"fifo",
}
_TYPES_BY_WORD = {word: kind for kind, word in TYPES.items()}

_FILE = b"%b type=file mode=%04o uid=%d gid=%d size=%d sha256digest=%b"
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
    name = first_word(path)
    if node.type == fields.FILE:
        digest = node.sha256.hex().encode()
        text = _FILE % (name, node.mode, node.uid, node.gid, node.size, digest)
    elif node.type == fields.SYMLINK:
        text = b"%b type=link uid=%d gid=%d link=%b" % (name, node.uid, node.gid, escape_name(node.linkname))
    else:
        text = b"%b type=%b mode=%04o uid=%d gid=%d" % (name, TYPES[node.type], node.mode, node.uid, node.gid)
        if node.type in {fields.CHAR, fields.BLOCK}:
            text += b" device=native,%d,%d" % node.device
    if times:
        text += b" time=%d.%09d" % divmod(node.mtime_ns, 1_000_000_000)
    return text + b"\n"


def escape_name(name: bytes) -> bytes:
    """The name with three octal digits after a backslash for all but printable ASCII, and for a backslash and ``#``."""
    return _PLAIN.sub(lambda found: b"\\%03o" % found[0][0], name)


def first_word(path: bytes) -> bytes:
    """The first word of the line of a path."""
    return escape_name(b"./" + path) if path else b"."


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines of a text that are about files, each with its number."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith(b"#"))


def check_start(lines: Iterable[bytes]) -> None:
    """Raise Invalid for a text of another kind, which its first line about a file shows."""
    first = next(numbered(lines), None)
    if first is None:
        raise Invalid("not a profile: it states no file")
    parse_line(*first)


def parse_path(number: int, text: bytes) -> bytes:
    """The path of a line alone. Raises Invalid as ``parse_line`` does."""
    try:
        return _path(text.split(None, 1)[0])
    except ValueError as error:
        raise Invalid(f"not a profile, in line {number}: {error}") from None


def parse_line(number: int, text: bytes) -> tuple[File, frozenset[bytes]]:
    """The file of a line with a full path, and the keywords stated for it; ``number`` is the line's.

    Raises Invalid for anything else, such as mtree's older form, in which a path depends on the lines before it.
    """
    try:
        return _parse_file(text.split())
    except (ValueError, KeyError) as error:
        raise Invalid(f"not a profile, in line {number}: {error}") from None


def _parse_file(words: list[bytes]) -> tuple[File, frozenset[bytes]]:
    name, keywords = words[0], {}
    for word in words[1:]:
        key, equals, value = word.partition(b"=")
        if not equals or key not in _KNOWN:
            raise ValueError(f"unknown keyword {quoted_name(word)}")
        keywords[b"sha256digest" if key == b"sha256" else key] = value
    path = _path(name)
    if b"type" not in keywords or keywords[b"type"] not in _TYPES_BY_WORD:
        raise ValueError("no type that is known")
    device = keywords.get(b"device", b"native,0,0").split(b",")
    node = Node(
        type=_TYPES_BY_WORD[keywords[b"type"]],
        mode=int(keywords.get(b"mode", b"0"), 8),
        uid=int(keywords.get(b"uid", b"0")),
        gid=int(keywords.get(b"gid", b"0")),
        mtime_ns=_nanoseconds(keywords.get(b"time", b"0")),
        size=int(keywords.get(b"size", b"0")),
        linkname=_unescaped(keywords.get(b"link", b"")),
        device=(int(device[-2]), int(device[-1])),
        sha256=bytes.fromhex(keywords.get(b"sha256digest", b"").decode()),
    )
    return File(path, node), frozenset(keywords)


def _path(name: bytes) -> bytes:
    if name != b"." and not name.startswith(b"./"):
        raise ValueError(f"{quoted_name(name)} is not a full path, which begins with ./")
    return _unescaped(name[2:])


def _nanoseconds(text: bytes) -> int:
    seconds, _, fraction = text.partition(b".")
    return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), text)
