"""The files that a visitor looks for exist and are understood by GitHub."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / ".github/ISSUE_TEMPLATE"


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_a_form_for_issues_has_what_github_requires(name: str) -> None:
    form = yaml.safe_load((TEMPLATES / name).read_text())
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in fields)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "SUPPORT.md",
        "LICENSE",
        ".github/pull_request_template.md",
    ],
)
def test_a_visitor_finds(name: str) -> None:
    assert (ROOT / name).read_text().strip()
