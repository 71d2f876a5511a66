"""Checks any tar, entry by entry, and its end (POSIX.1-2001 pax; GNU tar manual)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from converter.errors import Invalid, LimitExceeded
from converter.streams.blocks import Blocks
from converter.streams.tar import fields, pax
from converter.streams.tar.aci import ReportProblem
from converter.streams.tar.entry import Cursor, Entry
from converter.streams.tar.fields import Budget, quoted_name
from converter.streams.tar.headers import Headers
from converter.streams.tar.scan import Scanner
from converter.streams.tar.sparse import expand_sparse

_DEVICES = frozenset({fields.CHAR, fields.BLOCK})
_plain = re.compile(rb"(?:[0-7]{7}[\0 ]){3}(?:[0-7]{11}[\0 ]){2}").match
"""Whether the numbers of a header, from the mode on, have the usual form, and so need no closer look."""
_TEXTS = frozenset({b"path", b"linkpath", b"uname", b"gname"})
_NUMBERS: tuple[Callable[[Entry], object], ...] = (
    lambda entry: entry.mode,
    lambda entry: entry.uid,
    lambda entry: entry.gid,
    lambda entry: entry.mtime_ns,
    lambda entry: entry.device,
)


def scan_tar(blocks: Blocks, tell: ReportProblem, visit: Callable[[Entry], None], budget: Budget | None = None) -> bool:
    """Read an uncompressed archive as far as possible, and call ``visit`` with each file in it.

    ``budget`` counts over the layers of an image. Returns whether every entry was visited. The blocks are not closed,
    nor read further if the archive is damaged. Their errors are raised, except Invalid, which is taken for damage.
    """
    scanner = Scanner(Cursor(blocks), budget)
    try:
        for entry in scanner:
            if _plain(entry.head, 100) is None or entry.extra is not None or entry.type in _DEVICES:
                _numbers(entry, tell)
            if entry.extra is not None:
                _records(entry, tell)
            if entry.type in fields.FILES:
                visit(entry)
            else:
                tell("tar/type", entry.name, f"unsupported type {quoted_name(entry.type)}")
        _ending(scanner, tell)
        return True
    except LimitExceeded as error:
        tell("image/limit", None, str(error))
    except Invalid as error:
        tell("tar/readable", None, str(error))
    return False


def _numbers(entry: Entry, tell: ReportProblem) -> None:
    for number in _NUMBERS:
        try:
            number(entry)
        except Invalid as error:
            tell("tar/field", entry.name, str(error))


def _records(entry: Entry, tell: ReportProblem) -> None:
    for record in Headers(entry.own).records:
        if record.flag not in b"xX":
            continue
        seen: set[bytes] = set()
        for key, value in pax.record_pairs(record.data):
            if key in seen and key not in pax.SPARSE_PAIR:
                tell("tar/pax-repeated", entry.name, f"PAX record {quoted_name(key)} occurs twice")
            seen.add(key)
            if key in _TEXTS and value.decode(errors="ignore").encode() != value and b"hdrcharset" not in entry.pax:
                tell(
                    "tar/pax-encoding", entry.name, f"PAX record {quoted_name(key)}: {quoted_name(value)} is not UTF-8"
                )
    if entry.type == fields.FILE and entry.sparse:
        try:
            # The map is checked before the first block is yielded.
            next(iter(expand_sparse(entry, sys.maxsize)), None)
        except LimitExceeded as error:
            tell("image/limit", entry.name, str(error))
        except Invalid as error:
            tell("tar/sparse", entry.name, str(error))


def _ending(scanner: Scanner, tell: ReportProblem) -> None:
    """Check for two blocks of zeros, then only zeros; missing padding of the last entry is the same finding."""
    zeros, garbage = 0, 0
    for block in scanner.trailing():
        if not garbage:
            rest = bytes(block).lstrip(b"\0")
            zeros += len(block) - len(rest)
            garbage = len(rest)
        else:
            garbage += len(block)
    if zeros < 2 * fields.SIZE:
        tell("tar/end-missing", None, f"{zeros} zeros at the end: expected at least {2 * fields.SIZE}")
    if garbage:
        tell("tar/trailing-data", None, f"{garbage} bytes of data after the end")
