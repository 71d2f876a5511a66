"""What is wrong goes to whoever asked: a strict reader raises the first problem, a validator collects all."""

from __future__ import annotations

import pytest

from converter.errors import ConverterError, Invalid, LimitExceeded, NotFound, Unreachable
from converter.model.problems import RAISE_FIRST
from converter.validate.findings import Findings

PLACE = "index.json#/manifests/0"


def test_a_strict_reader_raises_what_is_reported_with_its_place() -> None:
    with pytest.raises(Invalid) as raised:
        RAISE_FIRST.report(Invalid("no digest"), PLACE, "image/descriptor")
    assert str(raised.value) == f"{PLACE}: no digest"


@pytest.mark.parametrize(
    "error, rule",
    [
        pytest.param(Invalid("no digest"), "image/descriptor", id="what is wrong breaks the rule"),
        pytest.param(NotFound("no file"), "image/blob-missing", id="what is missing breaks a rule of its own"),
        pytest.param(LimitExceeded("too deep"), "image/limit", id="what is too large breaks the rule of limits"),
    ],
)
def test_a_validator_collects_what_a_block_raises(error: ConverterError, rule: str) -> None:
    findings = Findings("compat")

    with findings.at(PLACE, "image/descriptor", missing="image/blob-missing"):
        raise error

    assert [(one.path, one.rule, one.message) for one in findings.all()] == [(PLACE, rule, error.fact)]


def test_what_says_nothing_about_the_image_is_raised_by_both() -> None:
    for problems in (RAISE_FIRST, Findings("compat")):
        with pytest.raises(Unreachable), problems.at(PLACE):
            raise Unreachable("no answer")


def test_what_a_rule_explains_is_not_said_again() -> None:
    findings = Findings("compat")

    value = findings.load(b'{"imageLayoutVersion": "2"}', "oci-layout", "oci-layout")
    findings.report(Invalid("version 2 is not supported"), "oci-layout")

    assert value == {"imageLayoutVersion": "2"}
    assert [one.rule for one in findings.all()] == ["schema/oci-layout/enum"]
