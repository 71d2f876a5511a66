"""JSON documents, read strictly: RFC 8259, and nothing that two parsers could read in two ways."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import DEFAULT, Limits

INT64 = range(-(2**63), 2**63)


def load(data: bytes, limits: Limits = DEFAULT) -> Any:
    """Parse one JSON document.

    Raises Invalid for a duplicate key, a number outside 64 bits, NaN, bytes that are not UTF-8,
    or data after the document; LimitExceeded for a document that is too large or too deep.
    """
    if len(data) > limits.document:
        raise LimitExceeded(f"got a document of {len(data)} bytes, want at most {limits.document} (limit: document)")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"got bytes that are not UTF-8 at offset {error.start}, want a JSON document") from None
    check_depth(text, limits.json_depth)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_int64, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Invalid(f"got {error.msg.lower()} at line {error.lineno}, want a JSON document") from None


def load_object(data: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """Parse a document whose root is an object, as that of every image document but one is."""
    value = load(data, limits)
    if not isinstance(value, dict):
        raise Invalid(f"got a JSON {type_name(value)}, want an object")
    return value


def dump(value: Any) -> bytes:
    """The document as this program writes it: compact, keys in the order given, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def type_name(value: Any) -> str:
    """The JSON name of a value's type."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def check_depth(text: str, most: int) -> None:
    """Refuse nesting deeper than ``most`` before a recursive parser meets it."""
    if text.count("[") + text.count("{") <= most:
        return
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > most:
                raise LimitExceeded(f"got a document nested more than {most} deep, want less (limit: json_depth)")
        elif character in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Invalid(f"got the key {twice!r} twice in one object, want it once")
    return found


def _int64(digits: str) -> int:
    # Go, which wrote nearly all of these documents, has int64 there; Python's own limit on digits comes later.
    if len(digits) > 20 or int(digits) not in INT64:
        raise Invalid(f"got the number {digits[:24]}, want one that fits in 64 bits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise Invalid(f"got {name}, want a JSON number")
