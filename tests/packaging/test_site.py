"""The pages that the documentation site is built from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import converter
from converter.cli.commands import COMMANDS
from distribution.site import ROOT, assemble


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembled pages."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    assemble(folder)
    return folder


def test_every_command_rule_schema_and_name_has_its_place(site: Path) -> None:
    reference = site / "reference"
    assert set(re.findall(r"^## transship (\w+)$", (reference / "commands.md").read_text(), re.MULTILINE)) == {
        *COMMANDS
    }
    rules = {rule["rule"] for rule in json.loads((ROOT / "fixtures/rules.json").read_text())}
    assert set(re.findall(r"^\| `([^`]+)`", (reference / "rules.md").read_text(), re.MULTILINE)) == rules
    schemas = {path.stem for path in (ROOT / "schemas").glob("*.json")}
    assert set(re.findall(r"^## (\S+)$", (reference / "schemas.md").read_text(), re.MULTILINE)) == schemas
    named = set(re.findall(r"^ +- (\w+)$", (reference / "api.md").read_text(), re.MULTILINE))
    assert named == {name for name in converter.__all__ if not name.startswith("_")}


def test_every_link_between_pages_leads_somewhere(site: Path) -> None:
    broken = []
    for page in site.rglob("*.md"):
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if path and "://" not in target and not (page.parent / path).is_file():
                broken.append(f"{page.relative_to(site)}: {target}")
    assert broken == []


def test_every_page_is_in_the_navigation(site: Path) -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = set(re.findall(r"[\w/.-]+\.md", str(settings["nav"])))
    found = {str(page.relative_to(site)) for page in site.rglob("*.md")}
    assert {page for page in found if not page.startswith("docs/decisions/0")} == listed
