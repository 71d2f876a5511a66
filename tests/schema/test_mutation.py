"""Each constraint of each schema matters: the corpus notices when it is gone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import referencing

from tests import corpus
from tests.trust.test_policy import VALID, variants

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).parent.parent.parent
FILES = {
    path.name: json.loads(path.read_bytes())
    for path in sorted((ROOT / "schemas").glob("*.json"))
    if path.stem not in {"sync", "verdicts", "profile"}
}
BASE = "https://schemas.transship.invalid/1/"
KEYWORDS = frozenset(
    (
        *("type", "const", "enum", "pattern", "not", "minimum", "maximum", "minItems", "minLength", "propertyNames"),
        *("items", "additionalProperties", "$ref", "if", "then", "else"),
    )
)
IMPLIED = {f"$defs/{name}/type" for name in ("requirement", "fulcio", "pki")}
"""Of policy.json: other constraints imply these, whose message is the better one."""

Places = tuple[str | int, ...]


def constraints(schema: Any, at: Places = ()) -> Iterator[Places]:
    """The place of each constraint below a schema: a keyword, or one item of ``required`` or ``allOf``."""
    if not isinstance(schema, dict):
        return
    yield from ((*at, word) for word in sorted(KEYWORDS & schema.keys()))
    yield from ((*at, word, index) for word in ("required", "allOf") for index in range(len(schema.get(word, ()))))
    for word in ("properties", "$defs"):
        for name, part in schema.get(word, {}).items():
            if part is False:
                yield (*at, word, name)
            yield from constraints(part, (*at, word, name))
    for word in ("items", "additionalProperties", "propertyNames", "then", "else"):
        yield from constraints(schema.get(word), (*at, word))
    for index, part in enumerate(schema.get("allOf", ())):
        yield from constraints(part, (*at, "allOf", index))


def without(file: str, place: Places) -> dict[str, Any]:
    """A schema file that lacks one constraint."""
    changed: Any = json.loads(json.dumps(FILES[file]))
    holder = changed
    for part in place[:-1]:
        holder = holder[part]
    if place[-2:-1] == ("allOf",):
        # An empty list is no schema.
        holder[place[-1]] = True
    else:
        del holder[place[-1]]
    assert isinstance(changed, dict)
    return changed


@cache
def documents() -> dict[str, list[Any]]:
    found = defaultdict(list)
    for case in corpus.documents():
        if not case.is_text:
            found[case.kind].append(case.value)
    found["policy"] = [one for document in VALID for one in variants(document)]
    return found


def users(file: str) -> list[str]:
    """The kinds whose schema leads to a file."""

    def reach(name: str, seen: set[str]) -> set[str]:
        if name not in seen:
            seen.add(name)
            text = json.dumps(FILES[name])
            for other in FILES:
                if f'"{other}#' in text or f'"{other}"' in text:
                    reach(other, seen)
        return seen

    return [kind for kind in documents() if file in reach(f"{kind}.json", set())]


def verdicts(kind: str, files: dict[str, Any]) -> list[bool]:
    registry = jsonschema_rs.Registry([(BASE + name, file) for name, file in files.items()])
    validator = jsonschema_rs.validator_for(files[f"{kind}.json"], registry=registry, offline=True)
    return [validator.is_valid(document) for document in documents()[kind]]


@cache
def before(kind: str) -> list[bool]:
    return verdicts(kind, FILES)


def python_verdict(kind: str, files: dict[str, Any], document: Any) -> bool:
    resources = ((BASE + name, referencing.Resource.from_contents(file)) for name, file in files.items())
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(resources)
    validator = jsonschema.Draft202012Validator(files[f"{kind}.json"], registry=registry)
    return validator.is_valid(document)


def line_breaks(file: str, place: Places, kind: str) -> bool:
    """Whether Python's validator takes a line break that it refused: there $ stands before a final newline as well."""
    files = FILES | {file: without(file, place)}
    suspects = (document for document in documents()[kind] if "\\n" in json.dumps(document))
    return any(python_verdict(kind, files, one) != python_verdict(kind, FILES, one) for one in suspects)


@pytest.mark.parametrize("file", [pytest.param(name, id=name) for name in FILES])
def test_no_constraint_can_go_unnoticed(file: str) -> None:
    survivors = []
    for place in constraints(FILES[file]):
        files = FILES | {file: without(file, place)}
        kinds = users(file)
        if any(verdicts(kind, files) != before(kind) for kind in kinds):
            continue
        if place[-1] == "not" and any(line_breaks(file, place, kind) for kind in kinds):
            continue
        survivors.append("/".join(map(str, place)))
    assert [one for one in survivors if one not in IMPLIED] == []
