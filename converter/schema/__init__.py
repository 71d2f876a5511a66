"""Validation of documents by JSON Schemas, and by rules beyond them: takes documents, returns findings."""

from converter.schema.check import check_document, is_valid, rules
from converter.schema.finding import PROFILES, Finding, Profile, Rule, Severity, blocking, in_an_image
from converter.schema.kinds import FAMILIES, KINDS, bundle, guess, schema

__all__ = [
    "FAMILIES",
    "KINDS",
    "PROFILES",
    "Finding",
    "Profile",
    "Rule",
    "Severity",
    "blocking",
    "bundle",
    "check_document",
    "guess",
    "in_an_image",
    "is_valid",
    "rules",
    "schema",
]
