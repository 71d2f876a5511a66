"""Lists that come in pages: tags, and what refers to an image (distribution-spec, Content Discovery; RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converter.errors import Invalid
from converter.model.document import load_object
from converter.stores.registry.client import Answer, Client
from converter.stores.registry.urls import followed, plain

PAGE = 1000
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r'\brel\s*=\s*"?next\b', re.IGNORECASE)


def tags(client: Client) -> Iterator[str]:
    """Every tag of the repository, in the registry's order, a page at a time. Raises NotFound where it has no such."""
    for page in pages(client, client.url(f"tags/list?n={PAGE}")):
        found = load_object(page.body, client.access.limits).get("tags") or ()
        if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
            raise Invalid(f"got no list of tags from {plain(page.url)}, want one")
        yield from found


def pages(client: Client, url: str, accept: str = "application/json") -> Iterator[Answer]:
    """A list's pages, as long as each links to the next."""
    seen = set()
    while url not in seen:
        seen.add(url)
        page = client.call("GET", url, headers={"Accept": accept})
        yield page
        link = next_link(page.headers.get("Link") or "")
        if link is None:
            return
        url = followed(url, link)
    raise Invalid(f"got a list at {plain(url)} whose pages come round again, want it to end")


def next_link(header: str) -> str | None:
    """The page that a ``Link`` header calls the next, None where it names none."""
    return next((url for url, parameters in _LINK.findall(header) if _NEXT.search(parameters)), None)
