"""Times in signatures: how expiries are read, and how messages show times (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from converter.errors import Invalid


def expiry_of(value: Any) -> datetime:
    """An expiry in UTC, from text or, in CBOR, from a datetime already; raises Invalid for anything without a zone."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise Invalid(f'invalid expiry "{str(value)[:40]}": expected a time with its zone (RFC 3339)')
    return found.astimezone(UTC)


def format_time(time: datetime) -> str:
    """The time in UTC, for display."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
