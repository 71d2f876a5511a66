"""The rules ``json/…`` for documents of any kind: syntax, UTF-8, numbers, keys, depth and size (RFC 8259)."""

from __future__ import annotations

from typing import Any

from converter.schema.finding import Rule
from converter.schema.kinds import KINDS

SPEC = "RFC 8259"


def _rule(name: str, title: str, section: str = "", **more: Any) -> Rule:
    return Rule(name=f"json/{name}", title=title, spec=f"{SPEC}{section}", kinds=KINDS, **more)


RULES = (
    _rule("syntax", "The document is JSON."),
    _rule("utf-8", "The document is in UTF-8.", ", section 8.1", note="Go puts U+FFFD for what is not."),
    _rule("trailing-data", "Nothing stands after the document.", ", section 2"),
    _rule("duplicate-key", "No object has the same key twice.", ", section 4", note="Go takes the last one."),
    _rule("number", "NaN and infinities are no JSON numbers.", ", section 6"),
    _rule("number-range", "Numbers fit in 64 bits.", ", section 6"),
    _rule(
        "integer-form",
        "Whole numbers are written without a fraction or an exponent.",
        ", section 6",
        note="JSON Schema takes 1.0 for an integer; Go does not.",
    ),
    _rule("surrogate", "Text has no half of a surrogate pair.", ", section 8.2", compat="warning"),
    _rule("depth", "The document is not nested deeper than the limit.", ", section 9"),
    _rule("size", "The document is not larger than the limit.", ", section 9"),
    _rule(
        "ambiguous-key",
        "No object has two keys that differ in case alone, where one is known.",
        ", section 4",
        note="Go takes the last one, others the one that is spelt right.",
    ),
    _rule(
        "key-case",
        "Known keys are spelt as they are known.",
        ", section 4",
        compat="warning",
        strict="warning",
        note="Go reads them without regard to case, others do not know them.",
    ),
    _rule("too-many-findings", "The rest of the findings is left out.", compat="error"),
)
BY_NAME = {rule.name: rule for rule in RULES}
