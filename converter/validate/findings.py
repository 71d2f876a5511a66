"""Collects findings about an image, each with its rule and place, up to a maximum per rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

from converter.errors import ConverterError, LimitExceeded
from converter.model.document import read_json
from converter.model.problems import ABOUT_THE_IMAGE, UNREADABLE, Problems
from converter.schema import Finding, Strictness, check_document
from converter.schema.finding import Tolerated
from converter.validate.rules import BY_NAME

MOST_OF_A_RULE = 100
"""The most findings of one rule about one image; a last finding counts the rest."""
_LONGEST = 400

_COUNTED = frozenset(("oci/history-length", "docker/config-history"))
"""Rules of configuration documents that are checked for the whole image instead."""

_UNREADABLE_RULES = {UNREADABLE, "image/descriptor"}
"""Rules for what a reader could not understand. They add nothing where another rule says what is wrong."""


class Findings(Problems):
    """The findings so far, in the order they were found."""

    def __init__(self, strictness: Strictness) -> None:
        self.strictness: Strictness = strictness
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._counts: Counter[str] = Counter()

    def applies(self, rule: str) -> bool:
        """Whether this level of strictness has the rule; if not, it need not be checked."""
        return BY_NAME[rule].severity(self.strictness) is not None

    def add(self, rule: str, place: str, fact: str) -> None:
        """Add a violation of a rule at a place; ``fact`` says what is wrong (docs/messages.md)."""
        if self._counts[rule] > MOST_OF_A_RULE:  # a hostile layer breaks one rule a million times
            self._counts[rule] += 1
            return
        found = BY_NAME[rule]
        severity = found.severity(self.strictness)
        if severity is not None:
            self._keep(Finding(_escaped(place[:_LONGEST]), rule, _escaped(fact), found.spec, severity))

    def load(self, data: bytes, kind: str, place: str) -> Any:
        """The value of a document, as far as it is JSON; adds the findings about it, as a part of an image."""
        for one in check_document(data, kind, self.strictness):
            if one.rule not in _COUNTED:
                path = path_of_member(place, one.path)
                # A configuration passes from Docker to OCI byte for byte, and whatever runs or unpacks the image reads
                # the null. The official schema refuses it in a document alone.
                null = isinstance(one, Tolerated) and one.rule == "schema/oci-config/type"
                severity = "warning" if null and self.strictness == "compat" else one.severity
                self._keep(Finding(_escaped(path), one.rule, _escaped(one.message), one.spec, severity))
        return read_json(data).value

    def report(self, error: ConverterError, place: str, rule: str = UNREADABLE) -> None:
        """Add an error as a finding, unless a rule has already explained it; raises it if it is not about the image."""
        if not isinstance(error, ABOUT_THE_IMAGE):
            raise error
        if rule not in _UNREADABLE_RULES or not self.has_error(place):
            self.add("image/limit" if isinstance(error, LimitExceeded) else rule, place, str(error))

    def has_error(self, place: str = "") -> bool:
        """Whether there is an error at a place or below it, or anywhere."""
        return any(
            one.severity == "error" and (not place or f"{one.path}/".startswith((f"{place}/", f"{place}#")))
            for one in self._found.values()
        )

    def all(self) -> tuple[Finding, ...]:
        """All findings and, for each rule with too many, a count of the rest."""
        rest = []
        for rule, count in self._counts.items():
            if count > MOST_OF_A_RULE:
                last = next(one for one in reversed(self._found.values()) if one.rule == rule)
                fact = f"{count - MOST_OF_A_RULE} more findings of this rule"
                rest.append(Finding("", rule, fact, last.spec, last.severity))
        return (*self._found.values(), *rest)

    def _keep(self, finding: Finding) -> None:
        key = finding.path, finding.rule, finding.message
        if key in self._found:
            return
        self._counts[finding.rule] += 1
        if self._counts[finding.rule] <= MOST_OF_A_RULE:
            self._found[key] = finding


def _escaped(text: str) -> str:
    """The text with lone surrogates, which cannot be encoded, escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def path_of_member(place: str, pointer: str) -> str:
    """The path of a member, by its JSON pointer, of the document at a place; without one, that of the document."""
    return f"{place}#{pointer}" if pointer else place


def path_below(place: str, part: str) -> str:
    """The path of a part of what is at a place; the image itself has the place ``""``."""
    return f"{place}/{part}" if place else part


def path_of_entry(place: str, name: bytes) -> str:
    """The path of an entry of the tar at a place; bytes that are not UTF-8 are escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return f"{place}!/{text.lstrip('/')}"
