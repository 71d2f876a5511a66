"""The corpus in ``fixtures/`` and the rules agree with each other."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import referencing

from converter.model.document import json_pointer
from converter.schema import (
    KINDS,
    STRICTNESS_LEVELS,
    Strictness,
    bundled_schema,
    check_document,
    document_rules,
    is_valid,
)
from tests.changing import changed, places
from tests.corpus import FIXTURES, INDEX, Case, documents

ROOT = FIXTURES.parent
CASES = documents()
FEW = ("docker-archive-manifest", "oci-index", "oci-layout")
"""Kinds with few documents, and with some of each form: the document itself, text, and bytes."""
NO_FILE = {"json/size"}
"""A document of more than 4 MiB: too large for a repository (test_check.py makes one)."""


def test_the_script_makes_what_is_there(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FIXTURES / "make.py", tmp_path], check=True)

    made, there = files(tmp_path), files(FIXTURES)
    assert made.keys() == there.keys()
    assert made == there


def files(corpus: Path) -> dict[Path, bytes]:
    """All that the script makes."""
    paths = [corpus / "index.json", *(corpus / "documents").rglob("*"), *(corpus / "images").rglob("*")]
    return {path.relative_to(corpus): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", STRICTNESS_LEVELS)
def test_each_document_breaks_its_rules_and_no_other(kind: str, profile: Strictness) -> None:
    wrong = {}
    for case in CASES:
        if case.kind != kind:
            continue
        wanted = (case.valid, case.rules) if profile == "compat" else (case.strict["valid"], case.strict["rules"])
        findings = check_document(case.data, kind, profile)
        got = is_valid(findings), sorted({finding.rule for finding in findings})
        if got != wanted:
            wrong[case.description] = got
    assert wrong == {}


def test_the_index_and_the_documents_follow_their_schemas() -> None:
    schemas = {path.name: json.loads(path.read_bytes()) for path in (FIXTURES / "schemas").iterdir()}
    resources = ((schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas.values())
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(resources)
    validators = {name: jsonschema.Draft202012Validator(schema, registry=registry) for name, schema in schemas.items()}

    validators["index.json"].validate(INDEX)
    for file in INDEX["documents"]:
        rows = json.loads((FIXTURES / file["path"]).read_bytes())
        validators["documents.json"].validate(rows)
        assert len(rows) == file["count"]
        assert len({row["description"] for row in rows}) == len(rows)


def test_the_readmes_loop_hands_documents_to_a_tool_and_tells_where_it_is_wrong(tmp_path: Path) -> None:
    loop = re.search(r"```sh\n(.*?)```", (FIXTURES / "README.md").read_text(), re.DOTALL)
    assert loop
    if shutil.which("jq") is None:
        pytest.skip("no jq")
    (tmp_path / "fixtures/documents").mkdir(parents=True)
    for kind in FEW:
        (tmp_path / f"fixtures/documents/{kind}.json").symlink_to(FIXTURES / f"documents/{kind}.json")
    cases = [case for case in CASES if case.kind in FEW]
    tool = 'mytool() { printf "%s " "$1" >>seen; base64 -w0 "$2" >>seen; echo >>seen; false; }\n'

    run = subprocess.run(["sh", "-c", tool + loop[1]], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert run.stdout.splitlines() == [
        f"{case.name}: expected true, mytool said false" for case in cases if case.valid
    ], run.stderr
    seen = [line.partition(" ") for line in (tmp_path / "seen").read_text().splitlines()]
    assert [kind for kind, _, _ in seen] == [case.kind for case in cases]
    data = (base64.b64decode(text) for _, _, text in seen)
    # jq writes a document in its own way.
    assert [case.name for case, one in zip(cases, data, strict=True) if one != case.data and not same(one, case)] == []


def same(data: bytes, case: Case) -> bool:
    return not case.is_text and bool(json.loads(data) == case.value)


def test_each_rule_is_broken_by_a_document_of_each_kind_that_has_it() -> None:
    broken = {(rule, case.kind) for case in CASES for rule in (*case.rules, *case.strict["rules"])}

    stated = {(rule.name, kind) for rule in document_rules() for kind in rule.kinds}
    assert broken <= stated
    # What is wrong with a text is wrong with that of any kind.
    assert {(name, kind) for name, kind in stated - broken if not name.startswith("json/")} == set()
    assert {name for name, _ in stated} - {name for name, _ in broken} == NO_FILE


def test_each_rule_that_is_an_error_decides_alone_over_a_document() -> None:
    alone = defaultdict(set)
    for case in CASES:
        for profile, valid, broken in (("compat", case.valid, case.rules), ("strict", *case.strict.values())):
            if not valid and len(broken) == 1:
                alone[profile].update(broken)
    # 1,000 findings come first.
    inseparable = NO_FILE | {"json/too-many-findings"}
    for profile, found in alone.items():
        errors = {rule.name for rule in document_rules() if getattr(rule, profile) == "error"}
        assert errors - found - inseparable <= set(), profile


@pytest.mark.no_cover  # It runs no line that others do not, and measuring doubles its time.
@pytest.mark.exhaustive
def test_any_validator_gives_the_verdicts_of_the_rules_that_the_schemas_state() -> None:
    stated = {rule["rule"] for rule in json.loads((FIXTURES / "rules.json").read_bytes()) if rule["schema"]}
    disagree = []
    for kind in KINDS:
        validator = jsonschema.Draft202012Validator(bundled_schema(kind))
        for case in CASES:
            if case.kind == kind and not case.is_text:
                document = case.value
                foretold = stated.isdisjoint(case.strict["rules"])
                if not validator.is_valid(document) == schema_says(document, kind) == foretold:
                    disagree.append(case.name)
    assert disagree == []


def schema_says(document: Any, kind: str) -> bool:
    return _rust(kind).is_valid(document)


@cache
def _rust(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(bundled_schema(kind), offline=True)


WRONG: tuple[Any, ...] = (None, True, 5, 1.5, "x", [], {}, [[]], [None], {"name": []}, {"a": {}})


@pytest.mark.no_cover  # Likewise.
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_value_anywhere_is_judged_and_nothing_is_raised(kind: str) -> None:
    for case in CASES:
        if case.kind != kind or not case.is_base:
            continue
        document = case.value
        for path in places(document):
            for value in WRONG:
                data = json.dumps(changed(document, path, value)).encode()
                for profile in STRICTNESS_LEVELS:
                    check_document(data, kind, profile)


@pytest.mark.parametrize("kind", KINDS)
def test_each_finding_points_into_the_document(kind: str) -> None:
    for case in CASES:
        if case.kind == kind and not case.is_text:
            paths = {json_pointer(*place) for place in places(case.value)}
            for finding in check_document(case.data, kind):
                assert finding.path in paths, case.name
                assert not finding.message.endswith("."), finding
                assert finding.spec, finding
