"""The report of ``convert``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from converter.cli.steps import Step
from converter.errors import count
from converter.pages import render
from converter.verification.proof import CONFIG, IDENTICAL, PROOF_LEVELS, REBUILT

if TYPE_CHECKING:
    from converter.conversion import LayerResult, Result, TargetResult

FORMAT_NAMES = {"aci": "ACI", "docker": "Docker", "oci": "OCI", "runtime": "a root file system"}
"""The formats in the title; in a bundle, the root file system has a ``config.json``."""

RELATIONS = {
    "identical": "the same bytes",
    "recompressed": "the same tar, compressed otherwise",
    "retarred": "the same files, in another tar",
    "squashed": "the files of several layers in one",
}

LAYER_LEVELS = {"identical": IDENTICAL, "recompressed": CONFIG, "retarred": REBUILT, "squashed": REBUILT}
"""The level at which `verify` proves a layer to be what was signed: REBUILT is CARRIED if the record has the source."""

STEPS = 60
"""The most steps in the plot, the longest."""


def page(result: Result, steps: Sequence[Step] = (), *, dry_run: bool) -> str:
    """The whole page."""
    longest_steps = sorted(steps, key=lambda one: one.began - one.ended)[:STEPS]
    return render(
        "conversion.html.j2",
        title=title(result, dry_run=dry_run),
        result=result,
        dry_run=dry_run,
        targets=[(target, before(target), longest(target)) for target in result.targets],
        relations=RELATIONS,
        levels=LAYER_LEVELS,
        proof_levels=PROOF_LEVELS,
        steps=[step for step in steps if step in longest_steps],
        left_out=max(0, len(steps) - STEPS),
    )


def title(result: Result, *, dry_run: bool) -> str:
    """What happened, in a sentence."""
    formats = " and ".join(dict.fromkeys(FORMAT_NAMES.get(target.format, target.format) for target in result.targets))
    fields = count(len({loss.field for loss in result.losses}), "field")
    lost = f"{fields} lost or kept elsewhere" if result.losses else "nothing lost"
    return f"{'Would be converted' if dry_run else 'Converted'} to {formats}, {lost}"


def before(target: TargetResult) -> int:
    """The bytes of the layers that a target was made of."""
    return sum(map(input_size, target.layers))


def longest(target: TargetResult) -> int:
    """The largest layer on either side."""
    sizes = [max(input_size(layer), layer.size or 0) for layer in target.layers]
    return max(sizes, default=0)


def input_size(layer: LayerResult) -> int:
    """The bytes of the blobs that a layer was made of, as far as known."""
    return sum(max(0, one.size) for one in layer.sources)
