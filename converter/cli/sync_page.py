"""The report of a run as one self-contained HTML page: no script, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from os.path import commonprefix

from converter.cli.text import size
from converter.conversion.sync.outcome import Outcome, Summary
from converter.errors import printable
from converter.model.loss import Loss
from converter.version import __version__

BARS = 20
"""The most images in the plot, the largest first."""

_WIDTH, _LABEL, _SIZES, _ROW = 960, 260, 190, 30
_WORDS = {"written": "written", "there": "already there", "planned": "would be written", "failed": "failed"}

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1c2024; --faint: #667079; --line: #8883; --card: #f4f6f8;
  --before: #aab4bf; --after: #2870c9; --bad: #b42318; --good: #1e7e42; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #e8eaed; --faint: #9aa4ae; --card: #1e2328;
  --before: #5c6670; --after: #5ea2f2; --bad: #ff8a80; --good: #6fcf97; } }
* { box-sizing: border-box; }
body { background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 70rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .6rem; }
p, .faint { color: var(--faint); margin: 0; }
code { font-size: .85em; overflow-wrap: anywhere; }
.sum { display: flex; flex-wrap: wrap; gap: .7rem; list-style: none; margin: 1.4rem 0 0; padding: 0; }
.sum li { background: var(--card); border-radius: .6rem; color: var(--faint); flex: 1 1 auto; padding: .6rem 1rem; }
.sum b { color: var(--text); display: block; font-size: 1.3rem; font-weight: 600; white-space: nowrap; }
.sum .failed b { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .7rem .4rem 0; text-align: left; vertical-align: top; }
th { color: var(--faint); font-size: .85rem; font-weight: 500; }
td.text { min-width: 12rem; overflow-wrap: anywhere; } td.text.faint { font-size: .85rem; }
td.number, th.number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
td.state { white-space: nowrap; }
td.failed { color: var(--bad); } td.written, td.there { color: var(--good); }
svg { display: block; height: auto; width: 100%; } svg text { fill: var(--text); font: 13px system-ui, sans-serif; }
svg text.faint { fill: var(--faint); }
.before { fill: var(--before); } .after { fill: var(--after); }
"""


def page(summary: Summary) -> str:
    """The whole page. Texts from images are escaped, and nothing on it is a link."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>transship sync</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        *_head(summary),
        *_sum(summary),
        *_failures(summary.outcomes),
        *_plot(summary.outcomes),
        *_images(summary.outcomes),
        *_losses(summary.losses),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _head(summary: Summary) -> Iterator[str]:
    title = "Not all images are where they should be" if summary.failed else "Images brought to their places"
    if summary.counts["planned"] and not summary.failed:
        title = "What would be done"
    yield f"<h1>{title}</h1>"
    source, destination = (shared(names) for names in _ends(summary.outcomes))
    if source and destination:
        yield f"<p>from <code>{shown(source)}</code> to <code>{shown(destination)}</code></p>"
    yield f"<p>{summary.began:%Y-%m-%d %H:%M} UTC, transship {escape(__version__)}</p>"


def _sum(summary: Summary) -> Iterator[str]:
    number = len(summary.outcomes) + summary.unstarted
    rows = [("", "image" if number == 1 else "images", str(number))]
    rows += [(state, _WORDS[state], str(number)) for state, number in summary.counts.items() if number]
    if summary.unstarted:
        rows.append(("failed", "not begun", str(summary.unstarted)))
    rows.append(("", "size of all images", f"{size(summary.before)} → {size(summary.after)}"))
    rows.append(("", "fetched from registries", size(summary.fetched)))
    rows.append(("", "time", f"{summary.seconds:.1f} s"))
    yield '<ul class="sum">'
    for kind, what, figure in rows:
        yield f'<li class="{kind}"><b>{escape(figure)}</b>{escape(what)}</li>'
    yield "</ul>"


def _failures(outcomes: Iterable[Outcome]) -> Iterator[str]:
    bad = [one for one in outcomes if one.state == "failed"]
    if not bad:
        return
    yield '<h2>Failures</h2>\n<div class="wide"><table>\n<tr><th>Image</th><th>Why</th></tr>'
    for one in bad:
        yield f'<tr><td class="text">{shown(one.source)}</td><td class="text failed">{shown(one.error)}</td></tr>'
    yield "</table></div>"


def _plot(outcomes: Iterable[Outcome]) -> Iterator[str]:
    sized = sorted((one for one in outcomes if one.before or one.after), key=_largest, reverse=True)
    if not sized:
        return
    bars = sized[:BARS]
    most = max(map(_largest, bars))
    place = shared([one.destination for one in bars])
    of = f", the largest {BARS} of {len(sized)}" if len(sized) > BARS else ""
    height = _ROW * len(bars) + 28
    room = _WIDTH - _LABEL - _SIZES
    yield f"<h2>Sizes before and after{of}</h2>"
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Sizes of images before and after">'
    yield _rect("before", _LABEL, 4, 12, 12) + _text(_LABEL + 18, 14, "before")
    yield _rect("after", _LABEL + 80, 4, 12, 12) + _text(_LABEL + 98, 14, "after")
    for number, one in enumerate(bars):
        top = 28 + _ROW * number
        name = f"<title>{shown(one.destination)}</title>{_short(one.destination.removeprefix(place))}"
        yield _text(_LABEL - 10, top + 15, name, 'text-anchor="end"')
        for offset, kind, value in ((0, "before", one.before), (11, "after", one.after)):
            yield _rect(kind, _LABEL, top + offset, max(1.0, room * value / most) if value else 0.0, 10)
        sizes = f"{size(one.before)} → {size(one.after) if one.after else '?'}"
        yield _text(_WIDTH, top + 15, sizes, 'text-anchor="end" class="faint"')
    yield "</svg>"


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}" rx="2"/>'


def _text(x: float, y: float, markup: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{markup}</text>'


def _images(outcomes: Sequence[Outcome]) -> Iterator[str]:
    source, destination = (shared(names) for names in _ends(outcomes))
    yield '<h2>Images</h2>\n<div class="wide"><table>\n<tr><th>From</th><th>To</th><th>State</th>'
    yield '<th class="number">Before</th><th class="number">After</th><th class="number">Time</th></tr>'
    for one in outcomes:
        yield f'<tr><td class="text">{shown(one.source.removeprefix(source))}</td>'
        digest = f'<br><code class="faint">{shown(one.digest)}</code>' if one.digest else ""
        yield f'<td class="text">{shown(one.destination.removeprefix(destination))}{digest}</td>'
        yield f'<td class="state {one.state}">{_WORDS[one.state]}</td>'
        yield f'<td class="number">{size(one.before) if one.before else ""}</td>'
        yield f'<td class="number">{size(one.after) if one.after else ""}{_change(one)}</td>'
        yield f'<td class="number">{one.seconds:.1f} s</td></tr>'
    yield "</table></div>"


def _losses(found: Mapping[Loss, Sequence[str]]) -> Iterator[str]:
    if not found:
        return
    yield '<h2>Losses</h2>\n<div class="wide"><table>'
    yield "<tr><th>Field</th><th>Why</th><th>Kept in</th><th>Images</th></tr>"
    for loss, images in found.items():
        cells = (loss.field, loss.reason, loss.kept or "nowhere")
        yield "<tr>" + "".join(f'<td class="text">{shown(cell)}</td>' for cell in cells)
        more = f" and {len(images) - 1} more" if len(images) > 1 else ""
        yield f'<td class="text">{shown(images[0])}{more}</td></tr>'
    yield "</table></div>"


def _ends(outcomes: Iterable[Outcome]) -> tuple[list[str], list[str]]:
    """The sources of images, and their destinations as far as known."""
    rows = list(outcomes)
    return [one.source for one in rows], [one.destination for one in rows if one.destination]


def shared(names: Sequence[str]) -> str:
    """The common prefix of all names, up to the end of a component."""
    start = commonprefix(names)  # noqa: RUF071 - these are not paths, and their components also end at colons
    if len(set(names)) == 1:
        start = start[:-1]
    return start[: max(start.rfind("/"), start.rfind(":")) + 1]


def _largest(one: Outcome) -> int:
    return max(one.before, one.after)


def _change(one: Outcome) -> str:
    if not one.before or not one.after or one.before == one.after:
        return ""
    return f'<br><span class="faint">{(one.after - one.before) / one.before:+.1%}</span>'


def _short(text: str) -> str:
    return shown(text if len(text) <= 31 else f"…{text[-30:]}")


def shown(text: str) -> str:
    """The text, escaped for the page."""
    return escape(printable(text))
