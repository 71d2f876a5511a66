"""The users and groups of an image, collected while the tar of its files passes (image-spec 1.1.1, conversion.md).

``USER[:GROUP]`` is looked up in the account files of the image, not in those of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join, normpath
from typing import Any

from converter.errors import Unsupported
from converter.model.content import LayerFacts
from converter.model.limits import MIB
from converter.streams.blocks import Block, Blocks, closing
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import FILE, LINK, SYMLINK, clean_name, parent_name
from converter.streams.tar.scan import scan_entries

PASSWD, GROUP = b"etc/passwd", b"etc/group"
MOST_BYTES = 1 * MIB
MOST_FILES = 64
"""An account file may be a link to one elsewhere, as in Nix images; up to this many files of that size are kept."""
MOST_LINKS = 8
MOST_ID = 2**32 - 2


class Accounts:
    """The account files of a tree, whose names begin with ``prefix`` in its tar.

    Links are followed by name only, never through linked directories.
    """

    def __init__(self, prefix: bytes = b"") -> None:
        self._prefix = prefix
        self._texts: dict[bytes, bytes] = {}
        self._links: dict[bytes, bytes] = {}

    def watched(self, blocks: Blocks) -> Iterator[Block]:
        """Pass on the entries of a tar, without its end; the accounts are complete once the iteration has ended."""
        with closing(blocks) as source:
            for entry in scan_entries(source):
                yield from self.watch(entry)

    def watch(self, entry: Entry) -> Iterator[Block]:
        """Pass on one entry."""
        yield entry.raw
        if entry.name.endswith((b"passwd", b"group")):
            yield from self._read_account(entry, entry.name.removeprefix(self._prefix))
        else:
            yield from entry.body

    def text(self, path: bytes) -> str:
        """An account file as text; empty if there is none."""
        for _ in range(MOST_LINKS):
            path = self._links.get(path, path)
        return self._texts.get(path, b"").decode("utf-8", "surrogateescape")

    def _read_account(self, entry: Entry, name: bytes) -> Blocks:
        if name not in (PASSWD, GROUP) and len(self._texts) + len(self._links) >= MOST_FILES:
            return entry.body
        if entry.type == SYMLINK:
            # Computed from names only; ".." of the root is the root.
            target = normpath(join(b"/" + parent_name(name), entry.linkname))
            self._links[name] = target.lstrip(b"/")
        elif entry.type == LINK:
            self._links[name] = clean_name(entry.linkname).removeprefix(self._prefix)
        elif entry.type == FILE and entry.size <= MOST_BYTES and not entry.sparse:
            body = list(entry.body)
            self._texts[name] = b"".join(body)[: entry.size]
            return body
        return entry.body


def process_user(text: str, passwd: str, group: str) -> dict[str, Any]:
    """The ``process.user`` of ``USER[:GROUP]`` (conversion.md, "Config.User"; config.md, "User").

    Numbers are used as given; a user's group is that of its account, else 0. Supplementary groups are added only for a
    user given by name without a group. Raises Unsupported for a name that has no account.
    """
    who, which, *_ = f"{text}:".split(":")
    account = _find_row(passwd, who, 4) if who else None
    members: dict[str, Any] = {"uid": 0, "gid": 0}
    if account is not None:
        members = {"uid": _parse_id(account[2]), "gid": _parse_id(account[3])}
    elif who:
        members["uid"] = _require_id(who, "user", "/etc/passwd")
    if which:
        row = _find_row(group, which, 3)
        members["gid"] = _require_id(which, "group", "/etc/group") if row is None else _parse_id(row[2])
    elif account is not None and not _is_number(who):
        more = _memberships(group, account[0])
        if more:
            members["additionalGids"] = more
    return members


def has_account(user: str, passwd: str) -> bool:
    """Whether the image's password file has the user, given by name or number."""
    return _find_row(passwd, user, 4) is not None


def _find_row(text: str, key: str, width: int) -> list[str] | None:
    """The first row whose name, or number, is ``key``; rows with malformed numbers are ignored."""
    number = int(key) if _is_number(key) else None
    for row in _rows(text, width):
        if key == row[0] if number is None else number == int(row[2]):
            return row
    return None


def _rows(text: str, width: int) -> Iterator[list[str]]:
    """The rows with at least ``width`` columns, of which those from the third one on are numbers."""
    for line in text.split("\n"):
        row = line.split(":")
        if len(row) >= width and all(map(_is_number, row[2:width])):
            yield row


def _memberships(text: str, name: str) -> list[int]:
    groups = (row for row in _rows(text, 3) if len(row) > 3)
    return list(dict.fromkeys(_parse_id(row[2]) for row in groups if name in row[3].split(",")))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _parse_id(digits: str) -> int:
    value = int(digits)
    if value > MOST_ID:
        raise Unsupported(f"the user or group {value} is out of range: 0 to {MOST_ID} are possible")
    return value


def _require_id(text: str, what: str, file: str) -> int:
    if not _is_number(text):
        raise Unsupported(f'no {what} "{text}" in {file} of the image')
    return _parse_id(text)


def note_accounts(accounts: Accounts, facts: LayerFacts, below: LayerFacts | None = None) -> None:
    """Write down the account files; those of the layers ``below`` are there unless others hide them."""
    facts.passwd = accounts.text(PASSWD) or (below.passwd if below else "")
    facts.group = accounts.text(GROUP) or (below.group if below else "")
