"""The report of a run as one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from converter.bulk.outcome import Outcome, Summary

BARS = 40
"""Most images in the plot, the largest first."""

_WIDTH, _LABEL, _ROW = 960, 280, 34
_WORDS = {"written": "written", "there": "already there", "planned": "would be written", "failed": "failed"}

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --before: #9aa7b5; --after: #2f7dd1; --bad: #c6352b; --good: #2b8a4b; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.sum { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; padding: 0; list-style: none; }
.sum li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; }
.sum b { display: block; font-size: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.text { overflow-wrap: anywhere; } code { font-size: .85em; overflow-wrap: anywhere; }
.failed { color: var(--bad); font-weight: 600; } .written, .there { color: var(--good); }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.before { fill: var(--before); } .after { fill: var(--after); }
"""


def page(summary: Summary) -> str:
    """The whole page. Texts that come from images are escaped, and nothing on it is a link."""
    title = "Images brought to their places" if not summary.failed else "Not all images are where they should be"
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>transship sync</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        *_sum(summary),
        *_failures(summary.outcomes),
        *_plot(summary.outcomes),
        *_images(summary.outcomes),
        *_losses(summary.outcomes),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _sum(summary: Summary) -> Iterator[str]:
    rows = [("images", str(len(summary.outcomes) + summary.unstarted))]
    rows += [(_WORDS[state], str(number)) for state, number in summary.counts.items() if number]
    if summary.unstarted:
        rows.append(("not begun", str(summary.unstarted)))
    rows += [
        ("before, all images", size(summary.before)),
        ("after, all images", size(summary.after)),
        ("fetched from registries", size(summary.fetched)),
        ("time", f"{summary.seconds:.1f} s"),
    ]
    yield '<ul class="sum">'
    for what, number in rows:
        yield f"<li><b>{escape(number)}</b>{escape(what)}</li>"
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
    of = f", the largest {BARS} of {len(sized)}" if len(sized) > BARS else ""
    height = _ROW * len(bars) + 28
    yield f"<h2>Sizes before and after{of}</h2>"
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Sizes of images before and after">'
    yield _rect("before", _LABEL, 4, 12, 12) + _text(_LABEL + 18, 14, "before")
    yield _rect("after", _LABEL + 80, 4, 12, 12) + _text(_LABEL + 98, 14, "after")
    room = _WIDTH - _LABEL - 90
    for number, one in enumerate(bars):
        top = 26 + _ROW * number
        name = f"<title>{shown(one.destination)}</title>{_short(one.destination)}"
        yield _text(_LABEL - 8, top + 17, name, 'text-anchor="end"')
        for offset, kind, value in ((0, "before", one.before), (13, "after", one.after)):
            width = max(1.0, room * value / most) if value else 0.0
            yield _rect(kind, _LABEL, top + offset, width, 12)
            yield _text(_LABEL + width + 6, top + offset + 10, size(value) if value else "?")
    yield "</svg>"


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}"/>'


def _text(x: float, y: float, markup: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{markup}</text>'


def _images(outcomes: Iterable[Outcome]) -> Iterator[str]:
    yield '<h2>Images</h2>\n<div class="wide"><table>\n<tr><th>Image</th><th>State</th><th class="number">Before</th>'
    yield '<th class="number">After</th><th class="number">Time</th></tr>'
    for one in outcomes:
        digest = f"<br><code>{shown(one.digest)}</code>" if one.digest else ""
        where = f"{shown(one.source)}<br>→ {shown(one.destination)}" if one.destination else shown(one.source)
        yield f'<tr><td class="text">{where}{digest}</td><td class="{one.state}">{_WORDS[one.state]}</td>'
        yield f'<td class="number">{size(one.before) if one.before else ""}</td>'
        yield f'<td class="number">{size(one.after) if one.after else ""}</td>'
        yield f'<td class="number">{one.seconds:.1f} s</td></tr>'
    yield "</table></div>"


def _losses(outcomes: Iterable[Outcome]) -> Iterator[str]:
    rows = [(one, loss) for one in outcomes for loss in one.losses]
    if not rows:
        return
    yield '<h2>Losses</h2>\n<div class="wide"><table>'
    yield "<tr><th>Image</th><th>Field</th><th>Why</th><th>Kept in</th></tr>"
    for one, loss in rows:
        cells = (one.destination, loss.field, loss.reason, loss.kept or "nowhere")
        yield "<tr>" + "".join(f'<td class="text">{shown(cell)}</td>' for cell in cells) + "</tr>"
    yield "</table></div>"


def _largest(one: Outcome) -> int:
    return max(one.before, one.after)


def _short(text: str) -> str:
    return shown(text if len(text) <= 38 else f"…{text[-37:]}")


def shown(text: str) -> str:
    """A text on the page; characters that turn the reading direction, or show nothing, are told by their number."""
    safe = (one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return escape("".join(safe))


def size(number: int) -> str:
    """Bytes for people."""
    value = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{number} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
