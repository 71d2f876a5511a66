"""The pages of the documentation site: those of the repository, at their places, and a reference made from the program.

``python -m distribution.site FOLDER`` writes them; `bin/docs` has MkDocs turn them into the site.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import converter
from distribution.manual import markdown, pages, stacked

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs", "schemas", "fixtures/README.md", "fixtures/rules.json", "converter/errors.py")
"""What is taken as it is, so that links between the pages stay as they are in the repository."""


def assemble(folder: Path) -> None:
    """Write every page into a new folder."""
    for pattern in PAGES:
        for path in ROOT.glob(pattern):
            target = folder / path.relative_to(ROOT)
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    for name in ("iframe-worker.js", "site.css"):
        shutil.copy2(Path(__file__).with_name(name), folder)
    for page in folder.rglob("*.md"):
        page.write_text(_ranked(page.relative_to(folder)) + _without_links_to_folders(page.read_text()))
    made = {"commands": commands(), "rules": rules(), "schemas": schemas(), "api": api()}
    (folder / "reference").mkdir()
    for name, text in made.items():
        page = Path(f"reference/{name}.md")
        (folder / page).write_text(_ranked(page) + text)


def _ranked(page: Path) -> str:
    """What puts guides first in a search, and what was decided or changed last."""
    if page.name == "CHANGELOG.md" or page.parent.name == "decisions":
        boost = 0.2
    else:
        boost = 3.0 if page.parent.name == "docs" or page.name == "commands.md" else 1.0
    return f"---\nsearch:\n  boost: {boost}\n---\n"


def _without_links_to_folders(text: str) -> str:
    """GitHub shows the README of a folder; a site needs its name."""
    return re.sub(r"\]\(([^):]*/)\)", r"](\1README.md)", text)


def commands() -> str:
    """All commands on one page."""
    return "# Commands\n\n" + "\n".join(map(markdown, pages()))


def rules() -> str:
    """Every rule, by what it is about."""
    listed: dict[str, list[Mapping[str, Any]]] = {}
    for rule in json.loads((ROOT / "fixtures/rules.json").read_text()):
        listed.setdefault(rule["rule"].partition("/")[0], []).append(rule)
    parts = ["# Rules", "What `transship validate` checks. A severity in brackets is that of `--profile strict`."]
    for name, group in listed.items():
        parts += [f"## {name}", _table(("rule", "what holds", "severity", "from"), map(_rule, group))]
    return "\n\n".join(parts) + "\n"


def _rule(rule: Mapping[str, Any]) -> tuple[str, ...]:
    compat, strict = rule["compat"], rule["strict"]
    severity = compat if compat == strict else f"{compat} ({strict})"
    return f"`{rule['rule']}`", f"{rule['title']} {rule['note']}", severity, rule["spec"]


def schemas() -> str:
    """Each schema with its members; the whole of it is one link away."""
    parts = ["# Schemas", "JSON Schema 2020-12; [how to use them](../schemas/README.md) with any validator."]
    for path in sorted((ROOT / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        parts.append(f"## {path.stem}")
        parts.append(" ".join(filter(None, [schema.get("description", schema.get("title", "")), _link(path)])))
        required = schema.get("required", ())
        members = [
            (f"`{name}`", "required" if name in required else "", _type(member), _meaning(member))
            for name, member in schema.get("properties", {}).items()
        ]
        if members:
            parts.append(_table(("member", "", "type", "meaning"), members))
    return "\n\n".join(parts) + "\n"


def _link(path: Path) -> str:
    return f"[{path.name}](../schemas/{path.name})"


def _type(member: Any) -> str:
    if not isinstance(member, Mapping):
        return ""
    if "$ref" in member:
        return f"`{member['$ref'].rpartition('/')[2]}`"
    return f"`{member['type']}`" if "type" in member else ""


def _meaning(member: Any) -> str:
    return str(member.get("description", member.get("title", ""))) if isinstance(member, Mapping) else ""


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [names, ("---",) * len(names), *rows]
    return stacked("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def api() -> str:
    """The public names of the package, for mkdocstrings to describe."""
    names = "\n".join(f"        - {name}" for name in converter.__all__ if not name.startswith("_"))
    about = "The functions, errors and types of `import converter`; [with examples](../docs/python.md)."
    return f"# Python\n\n{about}\n\n::: converter\n    options:\n      members:\n{names}\n"


if __name__ == "__main__":
    assemble(Path(sys.argv[1]))
