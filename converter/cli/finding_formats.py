"""Writes the findings of validation, for people, for programs, for the common CI servers, and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, field
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from converter.cli.flags import flags
from converter.cli.text import BOLD, FAINT, GREEN, RED, YELLOW, show, show_json, show_parts
from converter.errors import ConverterError, count, printable
from converter.model.frozen import frozen
from converter.model.json_positions import Position
from converter.model.reference import Location
from converter.schema import Finding, Rule
from converter.validate import Verdict, all_rules
from converter.version import __version__

MOST_SHOWN = 2000
"""The most findings of one target on the page; the JSON has all."""


@frozen
class Checked(Verdict):
    """One target, the kind it was taken for, its findings and, for a document, their places in the text."""

    target: str
    places: Mapping[str, Position] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The target as services show files: without transport and name if it is at a path."""
        try:
            place = Location.parse(self.target)
        except ConverterError:
            return self.target
        return place.path if place.kind.on_disk else self.target


def _text(checked: Sequence[Checked]) -> None:
    """Text for people; ``--quiet`` omits valid targets."""
    quiet = flags().quiet
    for one in checked:
        if quiet and one.valid:
            continue
        verdict = ("valid", GREEN) if one.valid else ("invalid", RED)
        show_parts((f"{one.target}: {one.kind}: ", BOLD), verdict)
        # In a document of one line, line numbers are useless.
        lines = any(place.line > 1 for place in one.places.values())
        for finding in one.findings:
            place = one.places.get(finding.path)
            line = f" (line {place.line})" if place and lines else ""
            colour = RED if finding.severity == "error" else YELLOW
            show_parts(
                (f"  {finding.severity}: ", colour),
                (f"{finding.path or '/'}{line}: ", BOLD),
                (f"{finding.message}  ", ""),
                (f"[{finding.rule}; {finding.spec}]", FAINT),
                fold=True,
            )
    if len(checked) > 1 and not quiet:
        invalid = _invalid(checked)
        show(f"{count(len(checked), 'target')}, {invalid} invalid", colour=RED if invalid else GREEN)


def _invalid(checked: Iterable[Checked]) -> int:
    """The number of invalid targets."""
    return sum(not one.valid for one in checked)


def json_of(checked: Sequence[Checked]) -> list[dict[str, Any]]:
    """The JSON of ``validate --json``."""
    return [
        {
            "target": one.target,
            "kind": one.kind,
            "valid": one.valid,
            "findings": [asdict(finding) for finding in one.findings],
        }
        for one in checked
    ]


def _junit(checked: Sequence[Checked]) -> None:
    """JUnit as Jenkins and GitLab read it, with one failure per case: one suite, one test case per target."""
    tests, failures = str(len(checked)), str(_invalid(checked))
    totals = {"name": "transship validate", "tests": tests, "failures": failures, "errors": "0"}
    suites = ET.Element("testsuites", totals)
    suite = ET.SubElement(suites, "testsuite", totals | {"skipped": "0", "time": "0"})
    for one in checked:
        case = ET.SubElement(suite, "testcase", {"classname": one.kind, "name": printable(one.target), "time": "0"})
        errors = [finding for finding in one.findings if finding.severity == "error"]
        warnings = [finding for finding in one.findings if finding.severity == "warning"]
        if errors:
            first = {"message": printable(errors[0].message), "type": errors[0].rule}
            ET.SubElement(case, "failure", first).text = _xml_lines(errors)
        if warnings:
            ET.SubElement(case, "system-out").text = _xml_lines(warnings)
    ET.indent(suites)
    for line in ET.tostring(suites, encoding="unicode", xml_declaration=False).splitlines():
        show(line)


def _github(checked: Sequence[Checked]) -> None:
    """Workflow commands, which GitHub turns into annotations."""
    for one in checked:
        for finding in one.findings:
            place = one.places.get(finding.path)
            line = f",line={place.line},col={place.column}" if place else ""
            where = f"file={_property(one.file)}{line},title={_property(finding.rule)}"
            text = f"{finding.path or '/'}: {finding.message} [{finding.spec}]"
            show(f"::{finding.severity} {where}::{_message(text)}")


def _sarif(checked: Sequence[Checked]) -> None:
    """SARIF 2.1.0, one run; a JSON pointer is a logical location, next to the line and column of a document."""
    used = {finding.rule for one in checked for finding in one.findings}
    rules = [_described(rule) for rule in all_rules() if rule.name in used]
    tool = {"driver": {"name": "transship", "version": __version__, "rules": rules}}
    results = [_result(one, finding) for one in checked for finding in one.findings]
    show_json(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": tool, "results": results}],
        }
    )


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title} {rule.note}".strip()},
        "help": {"text": rule.spec},
    }


def _result(one: Checked, finding: Finding) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(one.file, safe="/:@._-")}}
    if place := one.places.get(finding.path):
        physical["region"] = {"startLine": place.line, "startColumn": place.column}
    logical = {"fullyQualifiedName": finding.path, "kind": "member"}
    return {
        "ruleId": finding.rule,
        "level": finding.severity,
        "message": {"text": f"{finding.path or '/'}: {finding.message}"},
        "locations": [{"physicalLocation": physical, "logicalLocations": [logical]}],
    }


def _xml_lines(findings: Sequence[Finding]) -> str:
    return "\n".join(printable(f"{one.path or '/'}: {one.message} [{one.rule}; {one.spec}]") for one in findings)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


WRITERS: Mapping[str, Callable[[Sequence[Checked]], None]] = {
    "text": _text,
    "json": lambda checked: show_json(json_of(checked)),
    "junit": _junit,
    "github": _github,
    "sarif": _sarif,
}
"""What writes all findings to standard output, by ``--format``."""


def page(checked: Sequence[Checked]) -> str:
    """The report of ``validate``."""
    from converter.pages import render

    severities = Counter(finding.severity for one in checked for finding in one.findings)
    return render(
        "findings.html.j2",
        title=title(checked),
        targets=[(one, grouped(one)) for one in checked],
        invalid=_invalid(checked),
        errors=severities["error"],
        warnings=severities["warning"],
    )


def title(checked: Sequence[Checked]) -> str:
    """The verdict, in a sentence."""
    invalid = _invalid(checked)
    if len(checked) == 1:
        return f"{'Invalid' if invalid else 'Valid'}: {checked[0].target}"
    if invalid:
        return f"{invalid} of {count(len(checked), 'target')} invalid"
    return f"All {len(checked)} targets are valid"


def grouped(one: Checked) -> list[dict[str, Any]]:
    """The findings of a target by rule, errors first, then those with most findings."""
    titles = {rule.name: rule.title for rule in all_rules()}
    found: dict[str, list[Finding]] = {}
    for finding in one.findings[:MOST_SHOWN]:
        found.setdefault(finding.rule, []).append(finding)
    groups: list[dict[str, Any]] = []
    for rule, findings in found.items():
        wrong = any(finding.severity == "error" for finding in findings)
        groups.append(
            {
                "rule": rule,
                "title": titles.get(rule, ""),
                "spec": findings[0].spec,
                "severity": "error" if wrong else "warning",
                "rows": [(finding, one.places.get(finding.path)) for finding in findings],
            }
        )
    return sorted(groups, key=lambda group: (group["severity"] != "error", -len(group["rows"])))
