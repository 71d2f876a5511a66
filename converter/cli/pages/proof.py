"""The report of ``verify``: the chain from what is here to what was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.pages import render

if TYPE_CHECKING:
    from converter.verification.judgement import Judgement


def page(judgement: Judgement) -> str:
    """The whole page."""
    from converter.verification.proof import PROOF_LEVELS

    verdicts = [*judgement.verdicts, *(one for step in judgement.steps for one in step.verdicts)]
    return render("proof.html.j2", judgement=judgement, levels=PROOF_LEVELS, good=sum(one.ok for one in verdicts))
