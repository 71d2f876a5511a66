"""Lists that come in pages: tags, referrers of an image, repositories (distribution-spec, Content Discovery; RFC 8288).

How repositories are listed is in distribution's docs/spec/api.md, "Listing Repositories".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from converter.errors import Invalid, NotFound, within
from converter.model.document import load_object, text_list
from converter.stores.registry.client import Client, Missing, Response
from converter.stores.registry.urls import display_url
from converter.stores.registry.wire import Request

PAGE = 1000
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r"\brel\s*=", re.IGNORECASE)
_NEXT = re.compile(_REL.pattern + r'\s*"?next\b', re.IGNORECASE)


def list_tags(client: Client) -> Iterator[str]:
    """Every tag of the repository, in the registry's order, page by page. Raises NotFound if there is no such
    repository.
    """
    # A tag has no colon: Artifactory lists digests as well.
    try:
        for tag in _listed_names(client, "tags/list", "tags"):
            if ":" not in tag:
                yield tag
    except Missing as error:
        raise NotFound(f'no repository "{client.repository}" in {client.host}') from error


def list_repositories(client: Client) -> Iterator[str]:
    """Every repository of the registry of a client without one. Raises NotFound or Denied if the registry, as Docker
    Hub's, lists none.
    """
    return _listed_names(client, "_catalog", "repositories")


def _listed_names(client: Client, path: str, member: str) -> Iterator[str]:
    for page in list_pages(client, client.url(f"{path}?n={PAGE}")):
        with within(display_url(page.url)):
            names = text_list(load_object(page.body), member)
        yield from names


def list_pages(client: Client, url: str, accept: str = "application/json") -> Iterator[Response]:
    """The pages of a list, as long as each links to the next.

    Only the query of a link is followed: behind a proxy, registries state other hosts and paths.
    """
    seen = set()
    while url not in seen:
        seen.add(url)
        page = client.call(Request("GET", url, {"Accept": accept}))
        yield page
        link = next_link(page.headers.get("Link") or "")
        if link is None:
            return
        url = f"{url.partition('?')[0]}?{link.partition('?')[2]}"
    raise Invalid(f"{display_url(url)}: the pages of the list link to each other in a circle")


def next_link(header: str) -> str | None:
    """The URL of the next page in a ``Link`` header: of the link with ``rel=next``, or without ``rel``; None without
    either.
    """
    found = _LINK.findall(header)
    return next((url for url, parameters in found if _NEXT.search(parameters) or not _REL.search(parameters)), None)
