"""Finds images of rkt by name: ``appc:NAME[:VERSION][,LABEL=VALUE…]`` (appc spec 0.8.11, discovery.md)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from converter.errors import ConverterError, Invalid, NotFound, Unsupported, within
from converter.model.content import Blocks, Known
from converter.model.document import load_object
from converter.model.limits import current_limits
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import aci_file
from converter.stores.base_source import WrappedSource
from converter.stores.discovery.app_name import AppName
from converter.stores.discovery.templates import Discovered, Endpoint, read_page
from converter.stores.disk import disk_error
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry.client import refusal_error
from converter.stores.registry.download import download_blob
from converter.stores.registry.urls import display_url, refuse_link_local
from converter.stores.registry.wire import Request, Wire
from converter.stores.retry import RetryPolicy
from converter.streams.blocks import Block, closing, read_blocks, read_whole
from converter.streams.tar.aci import manifest_in

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["DiscoveredImage", "open_source"]


def open_source(location: Location, options: StoreOptions) -> DiscoveredImage:
    """Find an image and download it with its signature; over https only, unless the caller waives TLS.

    Raises NotFound if no host knows the name, Invalid if the image has another name or other labels.
    """
    app = AppName.parse(location.path)
    folder = tempfile.TemporaryDirectory(prefix="transship-")
    client = AnonymousClient(options)
    try:
        completed = app.completed()
        path = Path(folder.name, "image.aci")
        with within(str(app)):
            _download_first(client, client.discover(completed).endpoints, path)
            _check_labels(path, app)
        inner = aci_file.open_source(Location(transport="aci", path=str(path)), options)
        return DiscoveredImage(inner, folder)
    except BaseException:
        folder.cleanup()
        raise
    finally:
        client.close()


class DiscoveredImage(WrappedSource):
    """An ACI in a temporary folder, which is removed when the source is left."""

    def __init__(self, source: Source, folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__(source)
        self._folder = folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._folder:
            super().__exit__(kind, error, trace)

    def _blocks(self, known: Known) -> Blocks:
        return known.raw()


def _download_first(client: AnonymousClient, endpoints: Iterable[Endpoint], path: Path) -> None:
    """Download the image from the first endpoint that has it, and its signature if there is one."""
    failures: list[ConverterError] = []
    for endpoint in endpoints:
        try:
            _download(client, endpoint.image, path)
        except ConverterError as error:
            failures.append(error)
            continue
        try:
            _download(client, endpoint.signature, aci_file.signature_path(path))
        except NotFound:
            aci_file.signature_path(path).unlink(missing_ok=True)
        return
    raise failures[0]


def _download(client: AnonymousClient, url: str, path: Path) -> None:
    if not client.may_fetch(url):
        raise Unsupported(f"refused to download {url[:200]}: not https (--tls-verify=false allows http)")
    refuse_link_local(url)
    try:
        with path.open("wb") as file, closing(client.blocks(url)) as blocks:
            for block in blocks:
                file.write(block)
    except OSError as error:
        raise disk_error(error, "a temporary file", "write") from error


def _check_labels(path: Path, app: AppName) -> None:
    """Raise Invalid if the image is not the requested one (discovery.md, "Validation").

    It must have every requested label; its platform, if not requested, may be absent but must not differ from the
    machine's.
    """
    with path.open("rb") as file:
        manifest = load_object(manifest_in(read_blocks(file)))
    if manifest.get("name") != app.name:
        raise Invalid(f'the image found is named "{str(manifest.get("name"))[:200]}": expected "{app.name}"')
    labels = {}
    for label in manifest.get("labels") or ():
        if isinstance(label, dict):
            labels[label.get("name")] = label.get("value")
    for name, expected in app.labels.items():
        if name not in labels:
            raise Invalid(f'the image found has no label "{name}": expected "{expected}"')
        if labels[name] != expected:
            raise Invalid(f'the image found has the label {name}="{str(labels[name])[:200]}": expected "{expected}"')
    completed = app.completed().labels
    for name in ("os", "arch"):
        if labels.get(name, completed[name]) != completed[name]:
            raise Invalid(f'the image found is for {name} "{str(labels[name])[:200]}": expected "{completed[name]}"')


class AnonymousClient:
    """Speaks https to any host, and http if ``options`` waive TLS; sends no credentials."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self.retry_policy = RetryPolicy(options.retries)
        self._wire = Wire(options, Hosts())

    def close(self) -> None:
        self._wire.close()

    def discover(self, app: AppName) -> Discovered:
        """What the name's own page says about it, or else the page of a parent path.

        Raises NotFound with the failure of each page if no page has an endpoint.
        """
        failures = []
        for place in app.places():
            for scheme in self._schemes():
                url = f"{scheme}://{place}?ac-discovery=1"
                try:
                    found = read_page(self.text(url), app)
                except ConverterError as error:
                    failures.append(error.fact)
                    continue
                if found.endpoints:
                    return found
                failures.append(f"{display_url(url)} has no ac-discovery tag that fits")
        how = " over HTTPS (--tls-verify=false allows HTTP)" if self._options.tls_verify else ""
        raise NotFound(f'no host serves "{str(app)[:200]}"{how}: {"; ".join(dict.fromkeys(failures))[:1000]}')

    def text(self, url: str) -> str:
        """The text of a page no larger than a document. Raises NotFound, Denied, Unreachable, LimitExceeded."""
        page = read_whole(self.blocks(url), current_limits().document, f"from {display_url(url)}")
        return page.decode("utf-8", "replace")

    def blocks(self, url: str) -> Iterator[Block]:
        """The bytes at a URL, resumed when the connection breaks."""
        return download_blob(self, url, -1)

    def open(self, request: Request) -> BaseHTTPResponse:
        """As ``Client.open``, without credentials."""
        self.retry_policy.wait()
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
