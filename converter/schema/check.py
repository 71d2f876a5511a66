"""Checks one document: its text, its schema, and the rules that no schema states. Reports all findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import chain

from converter.errors import Usage, printable
from converter.model.document import (
    Reading,
    WrittenAsFloat,
    has_surrogates,
    json_pointer,
    read_json,
    without_surrogates,
)
from converter.schema import json_rules
from converter.schema.compiled import schema_rules, schema_violations
from converter.schema.finding import STRICTNESS_LEVELS, Finding, Rule, Strictness, Tolerated, is_tolerated
from converter.schema.go_json import Folded, fold_members, plain_json
from converter.schema.kinds import FAMILIES, actual_kind, check_kind, kind_member, schema_file
from converter.schema.shared_checks import follow_pointer

_WITH_RULES = ("json", "oci", "docker", "aci")
"""The families whose rules stand in a module, ``oci_rules`` for ``oci``, which is imported on use."""
MOST_FINDINGS = 1000
"""Findings that are reported of one document; more would help nobody."""


def check_document(data: bytes, kind: str, strictness: Strictness = "compat") -> tuple[Finding, ...]:
    """Everything wrong with a document of a kind, in no particular order; () if nothing is.

    ``compat`` agrees with the reference implementations, ``strict`` with the text of the specifications; a document is
    valid if no finding is an ``error``. Raises Usage for an unknown kind or strictness, and nothing for any ``data``.
    """
    check_kind(kind)
    if strictness not in STRICTNESS_LEVELS:
        raise Usage(f'unknown profile "{strictness}" (one of: {", ".join(STRICTNESS_LEVELS)})')
    found: dict[tuple[str, str, str], Finding] = {}
    for one in _findings(read_json(data), data, kind, strictness):
        message = printable(one.message)
        found.setdefault((one.path, one.rule, message), replace(one, message=message))
        if len(found) > MOST_FINDINGS:
            found.popitem()
            rest = f"more than {MOST_FINDINGS} findings: the rest is left out"
            return (*found.values(), Finding("", "json/too-many-findings", rest, json_rules.SPEC))
    return tuple(found.values())


@cache
def document_rules() -> tuple[Rule, ...]:
    """All rules: those of JSON text, of the families, and of the schemas."""
    return (*chain.from_iterable(map(_rules, _WITH_RULES)), *schema_rules())


def is_valid(findings: Iterable[Finding]) -> bool:
    """Whether none of the findings is an error."""
    return not any(finding.severity == "error" for finding in findings)


def _findings(reading: Reading, data: bytes, kind: str, strictness: Strictness) -> Iterator[Finding]:
    for problem in reading.problems:
        yield _text_finding(problem.rule, problem.path, problem.fact, strictness)
    if not reading.complete:
        return
    value = reading.value
    if has_surrogates(data):
        mended = without_surrogates(value)
        if mended != value:
            yield _text_finding("json/surrogate", "", "half of a surrogate pair in a string", strictness)
        value = mended
    if strictness == "compat":
        actual = actual_kind(value, kind)
        if actual != kind:
            from converter.schema.aci_rules import OTHER_KIND

            key = kind_member(value)
            fact = f'the document is of kind "{value[key]}", not {kind}: it is checked as what it is'
            yield Finding(json_pointer(key), "aci/kind", fact, OTHER_KIND.spec, "warning")
        kind = actual
    folded = fold_members(value, kind)
    yield from _spelling(folded, strictness)
    if strictness == "strict" or FAMILIES[kind] not in {"docker", "aci"}:
        folded = Folded(value)
    yield from _schema(folded, reading.odd, kind, strictness)
    yield from _by_rules(folded, kind, strictness)


def _by_rules(folded: Folded, kind: str, strictness: Strictness) -> Iterator[Finding]:
    value = folded.value
    if FAMILIES[kind] == "aci" and isinstance(value, dict):
        # A pod, for example, has no labels, and any in it mean nothing.
        known = schema_file(f"{kind}.json")["properties"]
        value = {key: member for key, member in value.items() if key in known}
    for rule in _rules(FAMILIES[kind]):
        severity = rule.severity(strictness)
        if kind in rule.kinds and rule.check is not None and severity is not None:
            for path, message in rule.check(value):
                sort = Tolerated if is_tolerated(rule.name, path, None) else Finding
                yield sort(folded.original(path), rule.name, message, rule.spec, severity)


def _schema(folded: Folded, odd: bool, kind: str, strictness: Strictness) -> Iterator[Finding]:
    value = plain_json(folded.value) if odd else folded.value
    for finding in schema_violations(value, kind, strictness):
        path = folded.original(finding.path)
        written = follow_pointer(folded.value, finding.path)
        if isinstance(written, WrittenAsFloat) and written.is_integer():
            fact = f"expected a whole number without a fraction or an exponent, found {written!r}"
            yield _text_finding("json/integer-form", path, fact, strictness)
        else:
            yield replace(finding, path=path)


def _spelling(folded: Folded, strictness: Strictness) -> Iterator[Finding]:
    """Members that a schema knows in different case."""
    for path, key in folded.clashes:
        fact = f'key "{key}" is ambiguous: another key differs from it only in case'
        yield _text_finding("json/ambiguous-key", folded.original(path), fact, strictness)
    clashing = {path + json_pointer(key) for path, key in folded.clashes}
    for path, part in folded.renamed.items():
        if path.rpartition("/")[0] + part not in clashing:
            fact = f'key "{part[1:]}" is spelled in the wrong case: expected "{path.rpartition("/")[2]}"'
            yield _text_finding("json/key-case", folded.original(path), fact, strictness)


def _text_finding(name: str, path: str, fact: str, strictness: Strictness) -> Finding:
    """Every rule of JSON text holds at both levels of strictness."""
    rule = json_rules.BY_NAME[name]
    return Finding(path, name, fact, rule.spec, rule.severity(strictness) or "error")


def _rules(family: str) -> tuple[Rule, ...]:
    if family not in _WITH_RULES:
        return ()
    return tuple(import_module(f"converter.schema.{family}_rules").RULES)
