"""The figures as a page for people: a table, and a plot that can be read without it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One route on one image: medians of the runs."""

    shape: str
    route: str
    peer_name: str
    ratio: float
    goal: float | None
    ours: float
    peer: float
    cpu: float
    peer_cpu: float
    rss: int
    peer_rss: int
    size_ratio: float
    floor: float

    @property
    def aim(self) -> str:
        """The goal, where there is one."""
        return "–" if self.goal is None else f"{self.goal:.2f}"

    @property
    def of_floor(self) -> str:
        """Our wall time over the floor, where there is one."""
        return f"{self.ours / self.floor:.2f}" if self.floor else "–"


def page(figures: Sequence[Figure], runs: int, peer: str) -> str:
    """Markdown: what was run, on what, and one row a figure."""
    columns = ("image", "route", "peer", "ratio", "goal", "wall, s", "peer's", "CPU, s", "peer's", "RSS, MiB", "peer's")
    lines = [
        "# Benchmarks",
        "",
        f"Written by `bin/bench`: {runs} counted runs of each command after one that does not count, in turn with the",
        f"peer's ({peer}). Whole-process figures; medians. {platform.machine()},",
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}. A ratio below 1 is faster than the",
        "peer. The floor is the time that hashing, inflating and deflating alone would take on these cores, measured",
        "in the same run; it knows neither start-up nor disk.",
        "",
        "![wall time as a part of the peer's](benchmarks.svg)",
        "",
        f"| {' | '.join((*columns, 'size', 'of floor'))} |",
        "|---" * (len(columns) + 2) + "|",
        *map(_row, figures),
        "",
        "*size* is our output over the peer's, *of floor* our wall time over the floor. For `docker-archive → aci` the",
        "peer is skopeo's `docker-archive → oci`, since no other tool writes an ACI from today's archives. pigz packs",
        "the archive as it is. *again* is measured beside our own first conversion. Ours makes what it wrote durable",
        "before it shows it; skopeo, umoci and pigz do not.",
    ]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    cells = (
        figure.shape,
        figure.route,
        figure.peer_name,
        f"{figure.ratio:.2f}",
        figure.aim,
        f"{figure.ours:.2f}",
        f"{figure.peer:.2f}",
        f"{figure.cpu:.2f}",
        f"{figure.peer_cpu:.2f}",
        f"{figure.rss / MIB:.0f}",
        f"{figure.peer_rss / MIB:.0f}",
        f"{figure.size_ratio:.3f}",
        figure.of_floor,
    )
    return f"| {' | '.join(cells)} |"


def plot(figures: Sequence[Figure]) -> str:
    """A bar a figure: wall time over the peer's, with the goal as a mark."""
    left, width, row = 320, 560, 26
    most = max(1.2, *(figure.ratio for figure in figures)) if figures else 1.2
    height = row * len(figures) + 60

    def x(ratio: float) -> float:
        return left + width * ratio / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 80} {height}">',
        "<style>text { font: 13px sans-serif; fill: #222 } .goal { stroke: #222; stroke-width: 2 }</style>",
        f'<rect width="{left + width + 80}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="20" fill="#555">wall time, peer = 1 (mark: goal)</text>',
    ]
    for number, figure in enumerate(figures):
        top = 34 + number * row
        goal = figure.ratio if figure.goal is None else figure.goal
        colour = "#2a7de1" if figure.ratio <= goal else "#d98c1f"
        label = escape(f"{figure.shape}: {figure.route}")
        parts += [
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{label}</text>',
            f'<rect x="{left}" y="{top + 2}" width="{x(figure.ratio) - left:.1f}" height="16" fill="{colour}"/>',
            f'<path class="goal" d="M{x(goal):.1f} {top}v20"/>' if figure.goal is not None else "",
            f'<text x="{x(max(figure.ratio, goal)) + 6:.1f}" y="{top + 14}">{figure.ratio:.2f}</text>',
        ]
    end = 34 + len(figures) * row
    parts.append(f'<line x1="{x(1):.1f}" y1="28" x2="{x(1):.1f}" y2="{end}" stroke="#888" stroke-dasharray="4 3"/>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
