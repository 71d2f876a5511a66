"""Pages in HTML, each self-contained, made of the templates in this directory (Jinja2, autoescape on).

Text from an image is escaped twice: as markup, and so that it cannot change how the surrounding text reads. The policy
in the page allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from converter.errors import count, printable
from converter.model.document import shown_value
from converter.model.limits import size
from converter.version import __version__

HERE = Path(__file__).parent

LONGEST = 300
"""The most characters shown of one value; more would help nobody."""


def render(template: str, **values: Any) -> str:
    """The page that a template makes of the values."""
    style, script = _style_and_script()
    return (
        _environment()
        .get_template(template)
        .render(style=style, script=script, policy=policy(), version=__version__, now=_now(), **values)
    )


def policy() -> str:
    """What a page may do: use its own style and script."""
    style, script = map(_source_hash, _style_and_script())
    return f"default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"


@cache
def _style_and_script() -> tuple[Markup, Markup]:
    """The style and the script of every page."""
    style, script = (Markup((HERE / name).read_text("utf-8")) for name in ("page.css", "page.js"))  # noqa: S704 - ours
    return style, script


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": size, "short": short, "cut": cut, "data": data, "text": shown_value}
    made.filters |= {"share": share, "percent": percent, "seconds": seconds}
    made.globals |= {"count": count}
    return made


def safe(value: Any) -> Any:
    """A value that is safe in a page: text without control characters."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def short(digest: str) -> str:
    """A digest as people recognise it: its first twelve digits."""
    algorithm, colon, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:12]}" if colon else digest[:19]


def cut(value: str, most: int = LONGEST) -> str:
    """The start of a long value, and how long it is."""
    return value if len(value) <= most else f"{value[:most]}… ({len(value):,} characters)"


def share(part: float, whole: float) -> str:
    """A part of a whole as a length in SVG, in percent."""
    return f"{100 * part / whole:.3f}%" if whole else "0%"


def percent(change: float, whole: float) -> str:
    """A change of a whole, in percent, with its sign."""
    if abs(change) * 2000 < whole:
        return "less than 0.1 % " + ("more" if change > 0 else "less")
    return f"{100 * change / whole:+.1f} %".replace("-", "\N{MINUS SIGN}")


def seconds(value: float) -> str:
    """A short time with its unit."""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def data(value: Any) -> Markup:
    """JSON for the page's own script: no character in it can end the element that holds it."""
    plain = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped


def _source_hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
