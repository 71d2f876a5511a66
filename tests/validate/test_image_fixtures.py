"""The images in ``fixtures/`` break the rules that they are said to break, and the rules break no others."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from converter.schema import STRICTNESS_LEVELS, Strictness
from converter.validate import IMAGE_KINDS, all_rules, validate_image
from converter.validate.rules import IMAGE_RULES
from converter.validate.tar_rules import TARS

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
IMAGES: list[dict[str, Any]] = json.loads((FIXTURES / "index.json").read_bytes())["images"]


@pytest.mark.parametrize("profile", STRICTNESS_LEVELS)
@pytest.mark.parametrize("case", [pytest.param(case, id=case["path"]) for case in IMAGES])
def test_each_image_breaks_its_rules_and_no_other(case: dict[str, Any], profile: Strictness) -> None:
    wanted = case if profile == "compat" else case["strict"]

    verdict = validate_image(f"{case['transport']}:{FIXTURES / case['path']}", profile)

    assert sorted({one.rule for one in verdict.findings}) == wanted["rules"], verdict.findings
    assert verdict.valid == wanted["valid"]
    assert verdict.kind == case["kind"]


def test_each_rule_is_broken_by_an_image() -> None:
    broken = {rule for case in IMAGES for rule in (*case["rules"], *case["strict"]["rules"])}

    assert {rule.name for rule in IMAGE_RULES} - broken == set()
    assert broken <= {rule.name for rule in all_rules()}


def test_each_rule_of_tars_is_broken_by_an_image_of_each_kind_that_has_it() -> None:
    broken = {(rule, case["kind"]) for case in IMAGES for rule in (*case["rules"], *case["strict"]["rules"])}

    assert {(rule.name, kind) for rule in TARS for kind in rule.kinds} - broken == set()


def test_each_rule_that_is_an_error_decides_alone_over_an_image() -> None:
    alone = defaultdict(set)
    for case in IMAGES:
        for profile, verdict in (("compat", case), ("strict", case["strict"])):
            if not verdict["valid"] and len(verdict["rules"]) == 1:
                alone[profile].update(verdict["rules"])
    for profile, found in alone.items():
        errors = {rule.name for rule in IMAGE_RULES if getattr(rule, profile) == "error"}
        assert errors - found == set(), profile


def test_every_finding_says_what_is_wrong_and_where_that_is_written() -> None:
    for case in IMAGES:
        for one in validate_image(f"{case['transport']}:{FIXTURES / case['path']}", "strict").findings:
            assert not one.message.endswith("."), one
            assert one.spec, one


def test_rules_are_of_kinds_that_there_are() -> None:
    assert {kind for rule in IMAGE_RULES for kind in rule.kinds} == set(IMAGE_KINDS)
    assert len({rule.name for rule in all_rules()}) == len(all_rules())
