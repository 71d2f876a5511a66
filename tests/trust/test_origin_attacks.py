"""Without a key, nobody gets a changed image past ``verify``, whatever else they change to match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trust import origins
from tests.trust.attack_table import DOCUMENT, END, START, shown
from tests.trust.attacked import MADE, OCI_ACI, OCI_OCI, Attack, opened, read, refused
from tests.trust.attacks import ATTACKS
from tests.trust.changes.documents import OTHER, two_names
from tests.trust.changes.records import carried
from tests.trust.changes.tars import with_members
from tests.trust.making import NAME

pytestmark = pytest.mark.exhaustive

ROWS = [
    pytest.param(attack, made, reason, id=f"{attack.name}: {made}")
    for attack in ATTACKS
    for made, reason in attack.reasons.items()
]


@pytest.mark.parametrize("attack, made, reason", ROWS)
def test_an_attack_is_refused_with_its_reason(attack: Attack, made: str, reason: str, tmp_path: Path) -> None:
    found = refused(attack, made, tmp_path)
    assert reason in found
    assert f"| {attack.name} | {made} | {shown(found)} |\n" in DOCUMENT.read_text()


def test_the_table_has_no_other_rows() -> None:
    _, _, rest = DOCUMENT.read_text().partition(START)
    rows = rest.partition(END)[0].splitlines()[2:]
    told = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows]
    assert told == [(attack.name, made) for attack in ATTACKS for made in attack.reasons]


@pytest.mark.parametrize("made", MADE)
def test_what_is_only_written_again_is_accepted(made: str, tmp_path: Path) -> None:
    _, wanted = MADE[made](tmp_path)
    assert origins.asked(opened(tmp_path, wanted).write(), wanted).unmet == ()


def test_an_aci_whose_tar_is_written_otherwise_is_accepted_and_that_is_told(tmp_path: Path) -> None:
    _, wanted = MADE[OCI_ACI](tmp_path)
    target = opened(tmp_path, wanted)
    with_members()(target)
    report = origins.asked(target.write())
    assert (report.unmet, report.level) == ((), "P4")
    assert report.steps[0].proof.uncovered == ("the order of the files in the ACI, and how their headers are written",)


def test_a_weaker_proof_in_place_of_a_stronger_one_is_told(tmp_path: Path) -> None:
    """Whoever carries the layers along, and no recipe of them, proves the same; not in the same way."""
    _, wanted = MADE[OCI_ACI](tmp_path)
    target, source = opened(tmp_path, wanted), read(tmp_path / "source")
    rows = source.json(source.image["digest"])["layers"]
    target.layout.blobs |= {row["digest"]: source.blobs[row["digest"]] for row in rows}
    carried(target, *rows)

    def without_recipes(record: dict[str, Any]) -> None:
        for row in record["layers"]:
            row.pop("recipe", None)

    target.layout.said(without_recipes)
    report = origins.asked(target.write(), wanted)
    assert (report.unmet, report.level) == ((), "P5")
    assert [row.level for row in report.steps[0].proof.layers] == ["P5"]


def test_an_image_with_two_names_is_asked_for_by_one(tmp_path: Path) -> None:
    _, wanted = MADE[OCI_OCI](tmp_path)
    target = opened(tmp_path, wanted)
    two_names(target)
    reference = target.write().removesuffix(":")
    assert origins.asked(f"{reference}:{NAME}").ok
    assert not origins.asked(f"{reference}:{OTHER}").ok
    assert origins.asked(reference, replace(wanted, identity=NAME)).ok
