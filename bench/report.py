"""The figures as a page for people: tables, and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bench.figures import Figure
from bench.trees import MEMORY, TARGETS, TREES, Target

MIB = 1024 * 1024


def page(figures: Sequence[Figure]) -> str:
    """Markdown: what real images took as parts of what the peer took, then a row for each figure of generated ones."""
    trees = {tree.title for tree in TREES.values()}
    real = [figure for figure in figures if figure.shape in trees]
    generated = [figure for figure in figures if figure.shape not in trees]
    return "\n".join((*INTRODUCTION, *_real(real), *_generated(generated), *NOTES)) + "\n"


INTRODUCTION = (
    "# Benchmarks",
    "",
    "`bin/bench` writes this page. It runs each command in turn with the same conversion by another program, the peer;",
    "the first run of both does not count. Figures are medians, of whole processes from start to end. A ratio below 1",
    "means that transship is faster.",
)

NOTES = (
    "",
    "**floor**: the time that reading, hashing, inflating, deflating and writing would take by themselves on these",
    "cores, measured in the same run. Work that one core must do in order, such as hashing the largest layer, sets a",
    "lower bound to it. Start-up and the disk are not part of it.",
    "",
    "- *size* is the size of our output divided by the peer's, and *of floor* our wall time divided by the floor.",
    "- No other tool writes ACIs from today's archives, so `docker-archive → aci` is compared with skopeo's",
    "  `docker-archive → oci`.",
    "- pigz only packs the archive: it neither reads nor writes an image.",
    "- *again* is compared with our own first conversion.",
    "- transship syncs what it has written to the disk before it shows it. skopeo, umoci and pigz do not.",
    "- Between registries, Debian's docker-registry runs at both ends on the same cores. Its processor time is not",
    "  counted.",
)


def _real(figures: Sequence[Figure]) -> Iterator[str]:
    limits = ", ".join(
        f"{one.time:.2f} of the time and {one.size:.2f} of the size for {one.codec}" for one in TARGETS.values()
    )
    yield from (
        "",
        "## Real trees",
        "",
        "Images of real files, made by `bench/trees.py`. Wall time, processor time and size are divided by skopeo's",
        "for the same image; MiB is our peak memory. A figure that misses its target is **bold**. The targets are",
        f"{limits}, and {MEMORY // MIB} MiB of memory.",
        "",
        *_conditions(figures),
        "",
        "| image | " + " | ".join(f"{one.codec}: wall | CPU | size | MiB" for one in TARGETS.values()) + " |",
        "|---" * (1 + 4 * len(TARGETS)) + "|",
    )
    for shape in dict.fromkeys(figure.shape for figure in figures):
        of_route = {figure.route: figure for figure in figures if figure.shape == shape}
        first = next(iter(of_route.values()))
        many = "one layer" if first.layers == 1 else f"{first.layers} layers"
        cells = [f"{shape}, {first.unpacked / MIB:.0f} MiB in {many}"]
        for route, target in TARGETS.items():
            cells += _beside(of_route[route], target) if route in of_route else ["–"] * 4
        yield f"| {' | '.join(cells)} |"


def _beside(figure: Figure, target: Target) -> list[str]:
    def marked(value: str, *, beyond: bool) -> str:
        return f"**{value}**" if beyond else value

    cpu = figure.cpu / figure.peer_cpu
    return [
        marked(f"{figure.ratio:.2f}", beyond=figure.ratio > target.time),
        marked(f"{cpu:.2f}", beyond=cpu > target.time),
        marked(f"{figure.size_ratio:.3f}", beyond=figure.size_ratio > target.size),
        marked(f"{figure.rss / MIB:.0f}", beyond=figure.rss > MEMORY),
    ]


def _generated(figures: Sequence[Figure]) -> Iterator[str]:
    columns = ("image", "route", "peer", "ratio", "goal", "wall, s", "peer's", "CPU, s", "peer's", "RSS, MiB", "peer's")
    yield from (
        "",
        "## Generated images",
        "",
        "These show how time grows with the size of an image and with the number of its files. Their content is",
        "made up, so the sizes of the output say nothing about real images.",
        "",
        *_conditions(figures),
        "",
        "![wall time divided by the peer's](benchmarks.svg)",
        "",
        f"| {' | '.join((*columns, 'size', 'of floor'))} |",
        "|---" * (len(columns) + 2) + "|",
        *map(_row, figures),
    )


def _conditions(figures: Sequence[Figure]) -> Iterator[str]:
    """How they were measured: a line for each of the occasions."""
    for conditions in dict.fromkeys(figure.conditions for figure in figures):
        loads = [figure.load for figure in figures if figure.conditions == conditions and figure.load is not None]
        busy = f"; load {min(loads):.0f} to {max(loads):.0f}" if loads else ""
        yield f"- {conditions}{busy}."


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


LABELS, PANEL, BAR, TOP, ROW = 320, 180, 110, 58, 26
"""Widths of the column of routes, of an image's panel and of a bar that is as long as the peer's; heights."""

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.head { font-weight: 600 } .small { font-size: 11px; fill: #59636e } .number { font-size: 12px }
.track { fill: #818b981f } .met { fill: #0969da } .missed { fill: #bc4c00 } .free { fill: #818b98 }
.goal { stroke: #1f2328; stroke-width: 2 } .peer { stroke: #818b98; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .goal { stroke: #f0f6fc }
  .met { fill: #4493f8 } .missed { fill: #db6d28 } .free { fill: #656c76 }
}
"""


def plot(figures: Sequence[Figure]) -> str:
    """A row a route, a panel an image: wall time as a part of the peer's, with the goal as a mark.

    Without a ground of its own, and in colours for dark pages as well as light ones.
    """
    shapes = list(dict.fromkeys(figure.shape for figure in figures))
    names = list(dict.fromkeys(figure.route for figure in figures))
    width, end = LABELS + PANEL * len(shapes), TOP + ROW * len(names)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {end + 40}">', f"<style>{STYLE}</style>"]
    parts.append(f'<text class="head" x="{LABELS - 12}" y="24" text-anchor="end">wall time, peer = 1</text>')
    for column, shape in enumerate(shapes):
        left = LABELS + PANEL * column
        parts += [
            f'<text class="head" x="{left}" y="24">{escape(shape)}</text>',
            f'<text class="small" x="{left + BAR}" y="44" text-anchor="middle">1</text>',
            f'<path class="peer" d="M{left + BAR} {TOP - 8}V{end}"/>',
        ]
    for row, name in enumerate(names):
        parts.append(f'<text x="{LABELS - 12}" y="{TOP + ROW * row + 13}" text-anchor="end">{escape(name)}</text>')
    for figure in figures:
        parts += _bar(figure, LABELS + PANEL * shapes.index(figure.shape), TOP + ROW * names.index(figure.route))
    legend = (("met", "within the goal"), ("missed", "beyond it"), ("free", "no goal"))
    for place, (kind, text) in enumerate(legend):
        left = LABELS + 130 * place
        parts.append(f'<rect class="{kind}" x="{left}" y="{end + 14}" width="12" height="12" rx="2"/>')
        parts.append(f'<text class="small" x="{left + 18}" y="{end + 24}">{text}</text>')
    left = LABELS + 130 * len(legend)
    parts.append(f'<path class="goal" d="M{left} {end + 11}v18"/>')
    parts.append(f'<text class="small" x="{left + 8}" y="{end + 24}">the goal</text>')
    return "\n".join((*parts, "</svg>")) + "\n"


def _bar(figure: Figure, left: int, top: int) -> Iterator[str]:
    """What is longer than a panel has room for ends where that does; the number tells."""
    most = BAR * 1.25
    kind = "free" if figure.goal is None else "met" if figure.ratio <= figure.goal else "missed"
    length = min(most, BAR * figure.ratio)
    yield f'<rect class="track" x="{left}" y="{top}" width="{BAR}" height="18" rx="2"/>'
    yield f'<rect class="{kind}" x="{left}" y="{top}" width="{length:.1f}" height="18" rx="2"/>'
    end = max(length, BAR)
    if figure.goal is not None:
        goal = min(most, BAR * figure.goal)
        end = max(end, goal)
        yield f'<path class="goal" d="M{left + goal:.1f} {top - 2}v22"/>'
    yield f'<text class="number" x="{left + end + 5:.1f}" y="{top + 13}">{figure.ratio:.2f}</text>'
