"""The report of a run of ``sync``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonprefix

from converter.conversion.sync.outcome import WORDS, Outcome, Summary
from converter.errors import count
from converter.pages import render

BARS = 20
"""The most images in the plot, those that change most first."""


def page(summary: Summary) -> str:
    """The whole page."""
    sources, destinations = _ends(summary.outcomes)
    changed = sorted((one for one in summary.outcomes if _changes(one)), key=_largest, reverse=True)
    return render(
        "sync.html.j2",
        title=title(summary),
        summary=summary,
        words=WORDS,
        source=shared(sources),
        destination=shared(destinations),
        failed=[one for one in summary.outcomes if one.state == "failed"],
        bars=changed[:BARS],
        changed=len(changed),
        longest=max(map(_largest, changed), default=0),
    )


def title(summary: Summary) -> str:
    """What happened, in a sentence."""
    counts = summary.counts
    whole = len(summary.outcomes)
    images = count(whole, "image")
    others = [f"{counts[state]} {WORDS[state]}" for state in ("there", "failed", "unstarted") if counts[state]]
    for state in ("planned", "written"):
        if counts[state] or (state == "written" and summary.failed):
            verb = WORDS[state]
            first = f"{images} {verb}" if counts[state] == whole else f"{counts[state]} of {images} {verb}"
            return ", ".join([first, *others])
    if not whole:
        return "No images to copy"
    return f"{'The image was' if whole == 1 else f'All {images} were'} already there"


def shared(names: Sequence[str]) -> str:
    """The common prefix of all names, up to the end of a component."""
    start = commonprefix(names)  # noqa: RUF071 - these are not paths, and their components also end at colons
    if len(set(names)) == 1:
        start = start[:-1]
    return start[: max(start.rfind("/"), start.rfind(":")) + 1]


def _ends(outcomes: Iterable[Outcome]) -> tuple[list[str], list[str]]:
    """The sources of images, and their destinations as far as known."""
    rows = list(outcomes)
    return [one.source for one in rows], [one.destination for one in rows if one.destination]


def _changes(one: Outcome) -> bool:
    return bool(one.before and one.after and one.before != one.after)


def _largest(one: Outcome) -> int:
    return max(one.before, one.after)
