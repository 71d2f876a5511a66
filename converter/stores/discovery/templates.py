"""What a page says about where images lie: its ``meta`` tags, and the URLs made of them (discovery.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote

from converter.stores.discovery.names import AppName

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_MOST_TAGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The URLs of an image and of its signature."""

    image: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What a page says of a name, in its order. ``keys`` are where keys are to be had; that says nothing of trust."""

    endpoints: tuple[Endpoint, ...] = ()
    keys: tuple[str, ...] = ()


def read(page: str, app: AppName) -> Discovered:
    """The best templates that the page has for the name: all of their variables are told, and the most of them."""
    tags = _Tags()
    tags.feed(page)
    tags.close()
    rendered = []
    keys = []
    for kind, content in tags.found:
        prefix, *rest = content.split()
        if not rest or not _covers(prefix, app.name):
            continue
        if kind == "ac-discovery-pubkeys":
            keys.append(rest[0])
        else:
            made = _render(rest[0], app)
            if made is not None:
                rendered.append(made)
    most = max((labels for labels, _ in rendered), default=0)
    return Discovered(
        endpoints=tuple(endpoint for labels, endpoint in rendered if labels == most), keys=tuple(dict.fromkeys(keys))
    )


def _covers(prefix: str, name: str) -> bool:
    # At slashes: example.com/foo says nothing of example.com/foobar.
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")


def _render(template: str, app: AppName) -> tuple[int, Endpoint] | None:
    """The number of labels in a template, and its URLs; None where it has a variable that nobody told, or no ext."""
    wanted = set(_VARIABLE.findall(template))
    if not wanted <= {"name", "ext", *app.labels} or "ext" not in wanted:
        return None

    def filled(ext: str) -> str:
        values = {**app.labels, "name": app.name, "ext": ext}
        return _VARIABLE.sub(lambda match: quote(values[match[1]], safe="/:+~,=@"), template)

    return len(wanted & set(app.labels)), Endpoint(image=filled("aci"), signature=filled("aci.asc"))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        name, content = values.get("name") or "", values.get("content") or ""
        wanted = tag == "meta" and name in ("ac-discovery", "ac-discovery-pubkeys")
        if wanted and content.split() and len(self.found) < _MOST_TAGS:
            self.found.append((name, content))

    handle_startendtag = handle_starttag
