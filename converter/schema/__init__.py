"""Validation of documents by JSON Schemas, and by rules beyond them: takes documents, returns findings."""

from converter.schema.check import check, is_valid, rules
from converter.schema.finding import PROFILES, Finding, Profile, Rule, Severity
from converter.schema.guess import guess
from converter.schema.kinds import FAMILIES, KINDS, bundle, schema
from converter.schema.tolerance import blocking, in_an_image

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
    "check",
    "guess",
    "in_an_image",
    "is_valid",
    "rules",
    "schema",
]
