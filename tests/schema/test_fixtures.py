"""The corpus in ``fixtures/`` says the truth about the rules, and the rules about it."""

from __future__ import annotations

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

from converter.model.document import pointer
from converter.schema import KINDS, PROFILES, Profile, bundle, check, is_valid, rules
from tests.changing import changed, places

ROOT = Path(__file__).parent.parent.parent
FIXTURES = ROOT / "fixtures"
CASES = json.loads((FIXTURES / "index.json").read_bytes())["cases"]
NO_FILE = {"json/size"}
"""A document of more than 4 MiB: no file for a repository (test_check.py makes one)."""


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
@pytest.mark.parametrize("profile", PROFILES)
def test_each_document_breaks_its_rules_and_no_other(kind: str, profile: Profile) -> None:
    wrong = {}
    for case in CASES:
        if case["kind"] != kind:
            continue
        wanted = case if profile == "compat" else case["strict"]
        findings = check((FIXTURES / case["path"]).read_bytes(), kind, profile)
        got = is_valid(findings), sorted({finding.rule for finding in findings})
        if got != (wanted["valid"], wanted["rules"]):
            wrong[case["path"]] = got
    assert wrong == {}


def test_the_readmes_loop_tells_where_a_tool_is_wrong() -> None:
    loop = re.search(r"```sh\n(.*?)```", (FIXTURES / "README.md").read_text(), re.DOTALL)
    assert loop
    if shutil.which("jq") is None:
        pytest.skip("no jq")
    tool = "mytool() { case $2 in */valid-*) ;; *) false ;; esac; }\n"

    run = subprocess.run(["sh", "-c", tool + loop[1]], cwd=ROOT, capture_output=True, text=True, check=True)

    wrong = [case["path"] for case in CASES if case["valid"] and "/valid-" not in case["path"]]
    assert run.stdout.splitlines() == [f"{path}: got false, want true" for path in wrong], run.stderr


def test_each_rule_is_broken_by_a_document_of_each_kind_that_has_it() -> None:
    broken = {(rule, case["kind"]) for case in CASES for rule in (*case["rules"], *case["strict"]["rules"])}

    stated = {(rule.name, kind) for rule in rules() for kind in rule.kinds}
    assert broken <= stated
    # What is wrong with a text is wrong with that of any kind.
    assert {(name, kind) for name, kind in stated - broken if not name.startswith("json/")} == set()
    assert {name for name, _ in stated} - {name for name, _ in broken} == NO_FILE


def test_each_rule_that_is_an_error_decides_alone_over_a_document() -> None:
    alone = defaultdict(set)
    for case in CASES:
        for profile, verdict in (("compat", case), ("strict", case["strict"])):
            if not verdict["valid"] and len(verdict["rules"]) == 1:
                alone[profile].update(verdict["rules"])
    # 1,000 findings come first.
    inseparable = NO_FILE | {"json/too-many-findings"}
    for profile, found in alone.items():
        errors = {rule.name for rule in rules() if getattr(rule, profile) == "error"}
        assert errors - found - inseparable <= set(), profile


def test_any_validator_gives_the_verdicts_that_the_rules_of_the_schemas_foretell() -> None:
    stated = {rule["rule"] for rule in json.loads((FIXTURES / "rules.json").read_bytes()) if rule["schema"]}
    disagree = []
    for kind in KINDS:
        validator = jsonschema.Draft202012Validator(bundle(kind))
        for case in CASES:
            if case["kind"] == kind and "/json-" not in case["path"]:
                document = json.loads((FIXTURES / case["path"]).read_bytes())
                foretold = stated.isdisjoint(case["strict"]["rules"])
                if not validator.is_valid(document) == schema_says(document, kind) == foretold:
                    disagree.append(case["path"])
    assert disagree == []


def schema_says(document: Any, kind: str) -> bool:
    return _rust(kind).is_valid(document)


@cache
def _rust(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(bundle(kind), offline=True)


WRONG: tuple[Any, ...] = (None, True, 5, 1.5, "x", [], {}, [[]], [None], {"name": []}, {"a": {}})


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_value_anywhere_is_judged_and_nothing_is_raised(kind: str) -> None:
    for case in CASES:
        if case["kind"] != kind or "/valid-" not in case["path"]:
            continue
        document = json.loads((FIXTURES / case["path"]).read_bytes())
        for path in places(document):
            for value in WRONG:
                data = json.dumps(changed(document, path, value)).encode()
                for profile in PROFILES:
                    check(data, kind, profile)


@pytest.mark.parametrize("kind", KINDS)
def test_each_finding_points_into_the_document(kind: str) -> None:
    for case in CASES:
        if case["kind"] == kind and "/json-" not in case["path"]:
            data = (FIXTURES / case["path"]).read_bytes()
            paths = {pointer(*place) for place in places(json.loads(data))}
            for finding in check(data, kind):
                assert finding.path in paths, case["path"]
                assert finding.message.startswith("got "), finding
                assert "want " in finding.message, finding
                assert finding.spec, finding
