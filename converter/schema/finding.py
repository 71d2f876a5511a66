"""What validation says: findings, and the rules they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from converter.model.frozen import frozen

Severity = Literal["error", "warning"]
Profile = Literal["compat", "strict"]
PROFILES: tuple[Profile, ...] = ("compat", "strict")

Hit = tuple[str, str]
"""A JSON pointer (RFC 6901), and a message with what was got and what was wanted."""


@frozen(kw_only=False)
class Finding:
    """One thing wrong with a document or an image; only an ``error`` makes it invalid.

    ``path`` is a JSON pointer (RFC 6901) into the document, empty for the whole of it. Of an image it begins with the
    part that is meant (docs/validation.md).
    """

    path: str
    rule: str
    message: str
    spec: str
    severity: Severity = "error"


@frozen
class Rule:
    """One thing that a document must, or should, keep to.

    ``compat`` and ``strict`` are the severities under the two profiles; None: the profile has no such rule. ``note``
    says where the reference and the text differ. ``check`` finds the breaches of a document; it is None for what the
    reader of JSON and the schemas find. It is called for documents that break their schema too, and must bear them.
    """

    name: str
    title: str
    spec: str
    kinds: tuple[str, ...]
    check: Callable[[Any], Iterable[Hit]] | None = None
    compat: Severity | None = "error"
    strict: Severity | None = "error"
    note: str = ""

    def severity(self, profile: Profile) -> Severity | None:
        """How much a breach weighs under a profile."""
        return self.compat if profile == "compat" else self.strict
