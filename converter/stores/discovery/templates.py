"""Reads the discovery ``meta`` tags of a page, and makes URLs from their templates (discovery.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice
from urllib.parse import quote

from converter.model.frozen import frozen
from converter.stores.discovery.app_name import AppName

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_BRACES = re.compile(r"\{.*\}", re.DOTALL)
_NAMES = ("ac-discovery", "ac-discovery-pubkeys")
_MOST_TAGS = 1000

_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|title|textarea)\b.*?(?:</\1\b|\Z)"
    r"""|<meta(?=[\s/])(?P<attributes>(?:[^>"']++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+)""",
    re.DOTALL | re.IGNORECASE,
)
"""A ``meta`` tag, or a construct that may contain text that only looks like one. An unterminated construct extends to
the end of the page, so that matching takes linear time; the standard library's parser takes minutes for a page of
``<!--``.
"""

_ATTRIBUTE = re.compile(r"""([^\s"'=/]++)(?:\s*+=\s*+(?:"([^"]*)"?|'([^']*)'?|([^\s"']+)))?""")


@frozen
class Endpoint:
    """The URLs of an image and of its signature."""

    image: str
    signature: str


@frozen
class Discovered:
    """What a page says about a name, in its order. ``keys`` are the URLs of public keys; that implies no trust."""

    endpoints: tuple[Endpoint, ...] = ()
    keys: tuple[str, ...] = ()


def read_page(page: str, app: AppName) -> Discovered:
    """The page's best templates for the name: those with no unknown variable, and with the most labels."""
    rendered = []
    keys = []
    for kind, content in islice(_discovery_tags(page), _MOST_TAGS):
        prefix, *rest = content.split()
        if not rest or not _is_prefix_of(prefix, app.name):
            continue
        if kind == "ac-discovery-pubkeys":
            keys.append(rest[0])
        else:
            made = _fill_in(rest[0], app)
            if made is not None:
                rendered.append(made)
    most = max((labels for labels, _ in rendered), default=0)
    return Discovered(
        endpoints=tuple(endpoint for labels, endpoint in rendered if labels == most), keys=tuple(dict.fromkeys(keys))
    )


def _is_prefix_of(prefix: str, name: str) -> bool:
    # A prefix ends at a slash: example.com/foo does not cover example.com/foobar.
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")


def _fill_in(template: str, app: AppName) -> tuple[int, Endpoint] | None:
    """The number of labels in a template, and its URLs; None if it has an unknown variable, or lacks ``ext``."""
    variables = set(_VARIABLE.findall(template))
    if not variables <= {"name", "ext", *app.labels} or "ext" not in variables:
        return None
    if _BRACES.search(_VARIABLE.sub("", template)):
        return None

    def filled(ext: str) -> str:
        values = {**app.labels, "name": app.name, "ext": ext}
        return _VARIABLE.sub(lambda match: quote(values[match[1]], safe="/:+~,=@"), template)

    return len(variables & set(app.labels)), Endpoint(image=filled("aci"), signature=filled("aci.asc"))


def _discovery_tags(page: str) -> Iterator[tuple[str, str]]:
    """The name and content of the discovery tags."""
    for tag in _TAG.finditer(page):
        values: dict[str, str] = {}
        for key, *forms in _ATTRIBUTE.findall(tag["attributes"] or ""):
            values.setdefault(key.lower(), unescape("".join(forms)))
        if values.get("name") in _NAMES and values.get("content", "").split():
            yield values["name"], values["content"]
