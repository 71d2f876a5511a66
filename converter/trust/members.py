"""Typed access to the members of signed JSON: missing, mistyped or unknown members are refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from converter.errors import Invalid
from converter.model.document import type_name

T = TypeVar("T")


def member(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A required member; raises Invalid if it is missing or has another type."""
    found = value.get(name)
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        got = "nothing" if name not in value else f"a JSON {type_name(found)}"
        raise Invalid(f"got {got} for {name}, want {_WANTED[kind]}")
    return found


def optional(value: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """An optional member, None if missing; raises Invalid if it has another type."""
    return member(value, name, kind) if name in value else None


def only(value: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Raises Invalid for a member that is not in ``names``: what is not understood cannot be approved."""
    for unknown in sorted(set(value).difference(names)):
        raise Invalid(f"got the member {unknown!r} in {what}, want only {', '.join(sorted(names))}")


def as_object(value: Any, what: str) -> dict[str, Any]:
    """The value as an object; raises Invalid."""
    if not isinstance(value, dict):
        raise Invalid(f"got a JSON {type_name(value)} for {what}, want an object")
    return value


def objects(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A member that is a list of objects; raises Invalid."""
    return [as_object(item, f"{name}[{place}]") for place, item in enumerate(member(value, name, list))]


def decoded(text: str, what: str) -> bytes:
    """Decode base64 (RFC 4648, section 4), in which line breaks are allowed; raises Invalid."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"got {what} that is not base64, want it so") from None


_WANTED: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}
