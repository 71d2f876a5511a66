"""JSON in its canonical form, as TUF signs it (docker/go, canonical/json; OLPC's Canonical JSON)."""

from __future__ import annotations

from typing import Any

from converter.errors import Invalid


def dump(value: Any) -> bytes:
    r"""Encode a value: keys sorted, no spaces, only ``\`` and ``"`` escaped. Raises Invalid for fractions."""
    return _text(value).encode()


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case dict():
            return "{" + ",".join(f"{_text(key)}:{_text(value[key])}" for key in sorted(value)) + "}"
    raise Invalid("got a number with a fraction, want whole ones (canonical JSON)")
