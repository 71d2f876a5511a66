"""A read-only registry over images of any format, which are converted when they are first asked for (docs/serve.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Self

from converter.conversion import Options
from converter.errors import Unsupported, Usage, from_system, within
from converter.events import Report, Warned, silent
from converter.model.frozen import frozen
from converter.model.limits import enforce_limits
from converter.serving import appc_pages
from converter.serving.catalogue import Catalogue
from converter.serving.conversions import CONVERSIONS_AT_ONCE, Conversions, policy_of
from converter.serving.image_store import DEFAULT_SIZE, ImageStore
from converter.serving.rate_limit import RateLimit
from converter.serving.registry import Registry
from converter.serving.responses import TEXT, Request, Response, refusal

if TYPE_CHECKING:
    from converter.conversion.sync.sync_file import SyncEntry
    from converter.model.reference import Location
    from converter.serving.http import LogEntry

PORT = 5000
WAITING = 0.75
"""The part of the threads that may wait for sources and conversions; the others serve what is there."""


@frozen
class ServerSettings:
    """How to serve: where to listen, with which certificate (PEM), to whom (an htpasswd file), from which folder, and
    from which repository, ``docker://HOST/REPO``, that other servers share.

    ``store_size`` is how many bytes of blobs are kept; ``at_once`` how many images are converted at a time, ``threads``
    how many requests are answered at a time, ``rate`` how many a client may make in a second, if not 0; ``grace`` how
    many seconds requests under way may take at the end.
    Without a certificate, only the loopback is listened on, unless ``insecure``.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    htpasswd: Path | None = None
    store: Path
    shared: Location | None = None
    store_size: int = DEFAULT_SIZE
    at_once: int = CONVERSIONS_AT_ONCE
    threads: int = 256
    rate: float = 0.0
    grace: float = 30.0


class Server:
    """A registry, from ``start`` to ``stop``, or as a context manager."""

    def __init__(
        self,
        entries: Iterable[SyncEntry],
        settings: ServerSettings,
        options: Options | None = None,
        *,
        log: Callable[[LogEntry], None] = lambda _: None,
        report: Report = silent,
    ) -> None:
        """List the sources, and open the store. Raises Usage, NotFound, StorageFailed."""
        _check_exposure(settings)
        try:
            from converter.serving.http import Bounds, Listener
            from converter.serving.metrics import Metrics
        except ModuleNotFoundError as error:
            raise Unsupported(f"serving needs the package {error.name}: pip install 'transship[serve]'") from None
        self._settings = settings
        self._limits = (options or Options()).store.limits
        self._gates: list[Callable[[Request], Response | None]] = []
        if settings.rate:
            self._gates.append(RateLimit(settings.rate).refuse)
        if settings.htpasswd is not None:
            from converter.serving.htpasswd import Htpasswd

            self._gates.append(Htpasswd(settings.htpasswd).refuse)
        entries = list(entries)
        for entry in entries:
            _check_target(entry)
        policies = frozenset(policy_of(one.options) for one in entries)
        kept = settings.store, settings.store_size, policies
        if settings.shared is None:
            self._store = ImageStore(*kept)
        else:
            from converter.serving.shared_store import SharedStore

            access = (options or Options()).store
            self._store = SharedStore(*kept, place=settings.shared, options=access, report=report)
        self._conversions = Conversions(
            self._store,
            options or Options(),
            at_once=settings.at_once,
            waiting=max(1, int(settings.threads * WAITING)),
            report=report,
        )
        self._registry = Registry(Catalogue(entries, report), self._conversions, self._store)
        self._metrics = Metrics()
        self._stopped = threading.Event()

        def note(served: LogEntry) -> None:
            self._metrics.add(served)
            log(served)

        bounds = Bounds(
            host=settings.host,
            port=settings.port,
            certificate=settings.certificate,
            key=settings.key,
            threads=settings.threads,
            grace=settings.grace,
        )
        self._listener = Listener(bounds, self._answer, note, lambda fact: report(Warned(fact)))

    @property
    def host(self) -> str:
        """Host and port, as references to its images have them."""
        return self._listener.address

    @property
    def url(self) -> str:
        """The address of the page for people."""
        return f"{self._listener.scheme}://{self.host}/"

    def start(self) -> Self:
        """Begin to serve; raises Usage if the address cannot be had."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Finish what is under way within the grace, then call it off, and end."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        ending = threading.Thread(target=self._listener.stop, name="stop")
        ending.start()
        ending.join(self._settings.grace)
        self._conversions.close()
        ending.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, request: Request) -> Response:
        try:
            return self._route(request)
        except OSError as error:
            return refusal(503, "UNAVAILABLE", str(from_system(error)))

    def _route(self, request: Request) -> Response:
        if request.path == "/healthz":
            return Response(kind=TEXT, body=b"ok\n")
        for refuse in self._gates:
            if (refused := refuse(request)) is not None:
                return refused
        if request.method not in ("GET", "HEAD"):
            return refusal(405, "UNSUPPORTED", "this registry is read-only", {"Allow": "GET, HEAD"})
        if request.path == "/metrics":
            from converter.serving.metrics import KIND

            return Response(kind=KIND, body=self._metrics.text(self._conversions, self._store).encode())
        if request.query.get("ac-discovery") == "1":
            return appc_pages.discovery_page(request)
        with enforce_limits(self._limits):
            if request.path == "/":
                from converter.serving.page import page

                return page(request, self._registry)
            return appc_pages.serve_aci(request, self._registry) or self._registry.answer(request)


def _check_exposure(settings: ServerSettings) -> None:
    """Raise Usage for what would send passwords and images in the clear without being asked to."""
    if settings.key is not None and settings.certificate is None:
        raise Usage("a key without a certificate: add --tls-cert")
    if settings.certificate is None and not settings.insecure and not _is_loopback(settings.host):
        raise Usage(f"plain HTTP on {settings.host}: add --tls-cert and --tls-key, or --insecure")


def _check_target(entry: SyncEntry) -> None:
    """Raise Usage for what none of its images could become, rather than refuse each when it is asked for."""
    options = entry.options
    with within(str(entry.source)):
        if options.to == "aci":
            raise Usage("registries cannot hold ACIs: leave out --to aci, rkt gets them by discovery in any case")
        if options.to == "docker" and options.compress is not None and not options.compress.is_known_to("docker"):
            raise Usage(
                f"Docker manifests cannot hold {options.compress.codec} layers: use --to oci or --compress gzip"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["Server", "ServerSettings"]
