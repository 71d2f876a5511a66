"""The report of ``validate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converter.cli.finding_formats import Checked
from converter.errors import count
from converter.pages import render
from converter.validate.rules import all_rules

MOST_SHOWN = 2000
"""The most findings of one target on the page; the JSON has all."""


def page(checked: Sequence[Checked]) -> str:
    """The whole page."""
    every = [finding for one in checked for finding in one.findings]
    return render(
        "findings.html.j2",
        title=title(checked),
        targets=[(one, grouped(one)) for one in checked],
        invalid=sum(not one.valid for one in checked),
        errors=sum(finding.severity == "error" for finding in every),
        warnings=sum(finding.severity == "warning" for finding in every),
    )


def title(checked: Sequence[Checked]) -> str:
    """The verdict, in a sentence."""
    invalid = sum(not one.valid for one in checked)
    if len(checked) == 1:
        return f"{'Invalid' if invalid else 'Valid'}: {checked[0].target}"
    return (
        f"{invalid} of {count(len(checked), 'target')} invalid" if invalid else f"All {len(checked)} targets are valid"
    )


def grouped(one: Checked) -> list[dict[str, Any]]:
    """The findings of a target by rule, errors first, then those with most findings."""
    titles = {rule.name: rule.title for rule in all_rules()}
    found: dict[str, dict[str, Any]] = {}
    for finding in one.findings[:MOST_SHOWN]:
        group = found.setdefault(
            finding.rule,
            {
                "rule": finding.rule,
                "title": titles.get(finding.rule, ""),
                "spec": finding.spec,
                "severity": finding.severity,
                "rows": [],
            },
        )
        place = one.places.get(finding.path)
        group["rows"].append((finding, place))
        if finding.severity == "error":
            group["severity"] = "error"
    return sorted(found.values(), key=lambda group: (group["severity"] != "error", -len(group["rows"])))
