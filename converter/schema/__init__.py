"""Validation of documents by JSON Schemas, and by rules beyond them: takes documents, returns findings."""

from converter.schema.check import check_document, document_rules, is_valid
from converter.schema.finding import (
    STRICTNESS_LEVELS,
    Finding,
    Rule,
    Severity,
    Strictness,
    blocking_findings,
)
from converter.schema.kinds import FAMILIES, KINDS, bundled_schema, guess_kind, schema_of

__all__ = [
    "FAMILIES",
    "KINDS",
    "STRICTNESS_LEVELS",
    "Finding",
    "Rule",
    "Severity",
    "Strictness",
    "blocking_findings",
    "bundled_schema",
    "check_document",
    "document_rules",
    "guess_kind",
    "is_valid",
    "schema_of",
]
