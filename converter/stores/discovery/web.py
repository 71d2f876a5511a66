"""Finds out on the web where an image is, and downloads it (appc spec 0.8.11, discovery.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from converter.errors import ConverterError, NotFound
from converter.model.limits import current_limits
from converter.stores.discovery.names import AppName
from converter.stores.discovery.templates import Discovered, read_page
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry.client import refusal_error
from converter.stores.registry.download import download_blob
from converter.stores.registry.urls import display_url
from converter.stores.registry.wire import Request, Wire
from converter.stores.retry import RetryPolicy
from converter.streams import Block
from converter.streams.blocks import read_whole

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Web:
    """Speaks https to any host, and http if ``options`` waive TLS; sends no credentials."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self.patience = RetryPolicy(options.retries)
        self._wire = Wire(options, Hosts())

    def close(self) -> None:
        self._wire.close()

    def discover(self, app: AppName) -> Discovered:
        """What the name's own page says about it, or else the page of a parent path.

        Raises NotFound with the failure of each page if no page has an endpoint.
        """
        said = []
        for place in app.places():
            for scheme in self._schemes():
                url = f"{scheme}://{place}?ac-discovery=1"
                try:
                    found = read_page(self.text(url), app)
                except ConverterError as error:
                    said.append(error.fact)
                    continue
                if found.endpoints:
                    return found
                said.append(f"{display_url(url)} has no ac-discovery tag that fits")
        how = " over HTTPS (--tls-verify=false allows HTTP)" if self._options.tls_verify else ""
        raise NotFound(f'no host serves "{str(app)[:200]}"{how}: {"; ".join(dict.fromkeys(said))[:1000]}')

    def text(self, url: str) -> str:
        """The text of a page no larger than a document. Raises NotFound, Denied, Unreachable, LimitExceeded."""
        page = read_whole(self.blocks(url), current_limits().document, f"from {display_url(url)}")
        return page.decode("utf-8", "replace")

    def blocks(self, url: str) -> Iterator[Block]:
        """The bytes at a URL, resumed when the connection breaks."""
        return download_blob(self, url, -1)

    def open(self, request: Request) -> BaseHTTPResponse:
        """As ``Client.open``, without credentials."""
        self.patience.wait()
        response = self._wire.exchange(request)
        if response.status in request.expect:
            return response
        with response:
            raise refusal_error(request, response, b"")

    def _schemes(self) -> tuple[str, ...]:
        return ("https",) if self._options.tls_verify else ("https", "http")

    def may_fetch(self, url: str) -> bool:
        """Whether a URL named by a page may be requested."""
        return url.startswith(tuple(f"{scheme}://" for scheme in self._schemes()))
