"""Nobody who holds no key gets a changed image past ``verify``, whatever else of it they change to fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust import origins
from tests.trust.attacks import ATTACKS, DOCUMENT, END, MADE, START, Attack, opened, refused, shown

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
