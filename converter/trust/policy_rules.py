"""The rule by which a requirement compares names: ``signedIdentity`` (containers-policy.json(5), signedBy)."""

from __future__ import annotations

import re
from typing import Any

from converter.errors import Invalid
from converter.model.members import member, only
from converter.model.reference import COMPONENT, ImageName
from converter.trust import identity
from converter.trust.identity import Rule

_PLAIN = (identity.MATCH_EXACT, identity.MATCH_DIGEST_OR_EXACT, identity.MATCH_REPOSITORY)
_PREFIX = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?(?:/{COMPONENT})*")


def rule_of(row: dict[str, Any], name: str = "signedIdentity") -> Rule:
    """The rule for names in a requirement; raises Invalid."""
    value = member(row, name, dict)
    kind = member(value, "type", str)
    if kind in _PLAIN:
        only(value, ("type",), kind)
        return Rule(kind=kind)
    if kind == identity.EXACT_REFERENCE:
        only(value, ("type", "dockerReference"), kind)
        exact = ImageName.parse_signed(member(value, "dockerReference", str))
        if not (exact.tag or exact.digest):
            raise Invalid(f"got the dockerReference {str(exact)!r}, want one with a tag or a digest")
        return Rule(kind=kind, reference=str(exact))
    if kind == identity.EXACT_REPOSITORY:
        only(value, ("type", "dockerRepository"), kind)
        return Rule(kind=kind, reference=ImageName.parse_signed(member(value, "dockerRepository", str)).name)
    if kind == identity.REMAP:
        only(value, ("type", "prefix", "signedPrefix"), kind)
        return Rule(kind=kind, prefix=_prefix(value, "prefix"), signed_prefix=_prefix(value, "signedPrefix"))
    raise Invalid(f"got an identity of the type {kind[:80]!r}, want one of the manual page's")


def _prefix(value: dict[str, Any], name: str) -> str:
    text = member(value, name, str)
    if not _PREFIX.fullmatch(text):
        raise Invalid(f"got the {name} {text[:200]!r}, want HOST[:PORT][/PATH]")
    return text
