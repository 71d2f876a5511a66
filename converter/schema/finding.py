"""The results of validation: findings, and the rules behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from converter.model.frozen import frozen

Severity = Literal["error", "warning"]
Profile = Literal["compat", "strict"]
PROFILES: tuple[Profile, ...] = ("compat", "strict")

Hit = tuple[str, str]
"""A JSON pointer (RFC 6901), and a message with what was found and what was expected."""


@frozen(kw_only=False)
class Finding:
    """One thing wrong with a document or an image; only an ``error`` makes it invalid.

    ``path`` is a JSON pointer (RFC 6901) into the document, empty for the whole document. For an image it begins with
    the part of the image concerned (docs/validation.md).
    """

    path: str
    rule: str
    message: str
    spec: str
    severity: Severity = "error"


@frozen
class Rule:
    """One thing that a document must or should comply with.

    ``compat`` and ``strict`` are the severities under the two profiles; None if the profile lacks the rule. ``note``
    says where the reference and the text differ. ``check`` finds the violations in a document; it is None for rules
    that the JSON reader or a schema checks. It must also cope with documents that violate their schema.
    ``in_schema`` is true of what a schema states, so that any validator finds it.
    """

    name: str
    title: str
    spec: str
    kinds: tuple[str, ...]
    check: Callable[[Any], Iterable[Hit]] | None = None
    compat: Severity | None = "error"
    strict: Severity | None = "error"
    note: str = ""
    in_schema: bool = False

    def severity(self, profile: Profile) -> Severity | None:
        """The severity of a violation under a profile."""
        return self.compat if profile == "compat" else self.strict
