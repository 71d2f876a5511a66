"""Finds the line and column of JSON pointers (RFC 6901) in the text of a document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from converter.model.document import json_pointer
from converter.model.frozen import frozen

_SPACE = re.compile(r"[ \t\n\r]*")
# Numbers stay text: their values are not needed, and Python refuses very long ones.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


@frozen(kw_only=False)
class Position:
    """A line and a column, both counted from 1, in characters."""

    line: int
    column: int


def find_positions(data: bytes, pointers: Iterable[str]) -> Mapping[str, Position]:
    """The positions of those pointers that have a value, found in one pass; for a duplicate key, that of the first."""
    text, asked = data.decode("utf-8", "replace"), frozenset(pointers)
    # The paths of the values that contain one of those asked for; all others are skipped.
    ways = frozenset(name[: match.start()] for name in asked for match in re.finditer("/", name))
    found: dict[str, int] = {}

    def skip(at: int) -> int:
        match = _SPACE.match(text, at)
        return match.end() if match else at

    def visit(at: int, path: str) -> int:
        """Visit the value that begins there; returns where it ends."""
        if path in asked:
            found.setdefault(path, at)
        opened = text[at]
        if not path and not ways:
            return at
        if path not in ways or opened not in "{[":
            return _DECODER.raw_decode(text, at)[1]
        at, index = skip(at + 1), 0
        while text[at] not in "}]":
            part: str | int = index
            if opened == "{":
                part, at = _DECODER.raw_decode(text, at)
                at = skip(skip(at) + 1)
            at = skip(visit(at, path + json_pointer(part)))
            if text[at] == ",":
                at = skip(at + 1)
            index += 1
        return at + 1

    # Text that is not JSON has no positions from there on; that error is reported elsewhere.
    with suppress(ValueError, IndexError, RecursionError):
        visit(skip(0), "")
    return {name: Position(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)) for name, at in found.items()}
