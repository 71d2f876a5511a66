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
    accepted = "Verified" if judgement.is_signed else "Accepted without a signature"
    outcome = accepted if judgement.ok else "Not verified"
    good = sum(one.ok for one in verdicts)
    return render("proof.html.j2", judgement=judgement, outcome=outcome, levels=PROOF_LEVELS, good=good)
