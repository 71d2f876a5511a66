"""Typed access to the members of JSON objects; an error's trail names the member, and the caller adds the rest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from converter.errors import Invalid
from converter.model.document import expect_type

T = TypeVar("T")


def required_member(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A required member; raises Invalid if it is missing or has another type."""
    if name not in value:
        raise Invalid("missing", name)
    return expect_type(value[name], kind, name)


def optional_member(value: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """An optional member, None if missing; raises Invalid if it has another type."""
    return required_member(value, name, kind) if name in value else None


def member_or_empty(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A member, empty where it is missing or null, as Go reads it; raises Invalid if it has another type."""
    found = value.get(name)
    return kind() if found is None else expect_type(found, kind, name)


def lenient_member(value: Any, name: str, kind: type[T]) -> T:
    """A member of what may not even be an object; empty where it has another type."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, kind) else kind()


def text_list(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of strings; empty where it is missing or null. Raises Invalid."""
    return tuple(
        expect_type(text, str, f"{name}[{place}]") for place, text in enumerate(member_or_empty(value, name, list))
    )


def text_map(value: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object of strings; empty where it is missing or null. Raises Invalid."""
    return {key: expect_type(text, str, name, key[:60]) for key, text in member_or_empty(value, name, dict).items()}


def object_list(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A required list of objects; raises Invalid."""
    return [
        expect_type(item, dict, f"{name}[{place}]") for place, item in enumerate(required_member(value, name, list))
    ]


def require_only(value: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Raises Invalid for a member that is not in ``names``: what is not understood cannot be approved."""
    for unknown in sorted(set(value).difference(names)):
        raise Invalid(f'unknown member "{unknown[:60]}" in {what} (known: {", ".join(sorted(names))})')


def decode_base64(text: str, what: str) -> bytes:
    """Decode base64 (RFC 4648, section 4), in which line breaks are allowed; raises Invalid."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"{what} is not base64") from None
