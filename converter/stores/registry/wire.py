"""One exchange with one host, over pooled connections that any number of threads may share (RFC 9110, on urllib3)."""

from __future__ import annotations

import base64
import http.client
import re
import threading
from collections.abc import Container, Iterable, Mapping
from dataclasses import field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from urllib3 import (
    BaseHTTPResponse,
    PoolManager,
    ProxyManager,
    Timeout,
    disable_warnings,
    exceptions as http_errors,
)

from converter.errors import LimitExceeded, Unreachable, Unsupported
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry.connections import bounded_pools, context_for
from converter.stores.registry.urls import Origin, bypasses_proxy, display_url, origin_of, redirect_target
from converter.stores.retry import Interrupted
from converter.streams.blocks import ClosedOnExit
from converter.version import __version__

_INCOMPLETE = r"IncompleteRead\(([0-9]+) bytes read.*\)"
"""How Python and urllib3 say that an answer ended too early."""
_TOO_MANY = r"more than \d+ (bytes of )?headers"

REFUSED = 400
"""The status from which on a request is refused (RFC 9110, 15.5)."""

UPLOAD_FACTOR = 10
"""The factor by which the timeout is longer for the response to an upload: before answering, a registry may reread a
whole blob from slow storage to hash it.
"""

Body = bytes | Iterable[bytes | memoryview] | None


@frozen(kw_only=False)
class Request:
    """A request, and the statuses that it expects. A body that is no byte string is sent as a stream, and only once.

    ``reads`` is another repository that the request reads from. Access to it is requested for this request only,
    because some registries refuse a token altogether if asked for too much.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = None
    expect: Container[int] = (200,)
    reads: str = ""

    @property
    def streams(self) -> bool:
        """Whether the body can be sent only once."""
        return self.body is not None and not isinstance(self.body, bytes)


class Wire(ClosedOnExit):
    """Connections to any host, closed by ``close``; there is no other state.

    Exchanges of a run with equal settings share one: opening a connection, above all with TLS, takes longer
    than most requests.
    """

    def __init__(self, options: StoreOptions, hosts: Hosts) -> None:
        self._options = options
        self._hosts = hosts
        self._pools: dict[Origin, PoolManager] = {}
        self._reached: set[Origin] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection not in use."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()

    def exchange(self, request: Request, authorization: str | None = None) -> BaseHTTPResponse:
        """Send a request and return the response with its body unread; the caller releases it.

        ``authorization`` is sent only to the origin of the request's URL. Redirects are followed, but not with a
        streamed body. Raises Interrupted if the connection fails, Unreachable if TLS does, LimitExceeded for too many
        redirects or headers. Any status counts as success here.
        """
        home, url = origin_of(request.url), request.url
        most = current_limits().redirects
        for _ in range(most + 1):
            headers = {"User-Agent": f"transship/{__version__}", "Accept-Encoding": "identity", **request.headers}
            if authorization and origin_of(url) == home:
                headers["Authorization"] = authorization
            response = self._send(replace(request, url=url, headers=headers))
            location = response.get_redirect_location()
            if not location or not _may_follow(request, response.status):
                response.url = url
                return response
            response.drain_conn()
            url = redirect_target(url, location)
        raise LimitExceeded(f"more than {most} redirects, the last one to {display_url(url)} (limit: redirects)")

    def _send(self, request: Request) -> BaseHTTPResponse:
        url = request.url
        try:
            response: BaseHTTPResponse = self._pool(url).urlopen(
                request.method,
                url,
                body=request.body,
                headers=request.headers,
                timeout=self._timeout(request.method),
                # Without a Content-Length header, urllib3 sends the body in chunks.
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except (http_errors.HTTPError, OSError) as error:
            raise connection_error(error, url, reached=origin_of(url) in self._reached) from error
        self._reached.add(origin_of(url))
        if request.body and response.status >= REFUSED:
            connection: Any = response.connection
            connection.refused = True
        return response

    def _timeout(self, method: str) -> Timeout:
        connect = read = self._options.timeout
        if method in ("PUT", "PATCH"):
            read *= UPLOAD_FACTOR
        return Timeout(total=self._hosts.left(), connect=connect, read=read)

    def _pool(self, url: str) -> PoolManager:
        origin = origin_of(url)
        with self._lock:
            if origin not in self._pools:
                self._pools[origin] = self._new_pool(origin)
            return self._pools[origin]

    def _new_pool(self, origin: Origin) -> PoolManager:
        scheme, host, port = origin
        options = self._options
        context = context_for(host, port, options) if scheme == "https" else None
        if not options.tls_verify:
            # The user asked for this; otherwise every request would print a warning to standard error.
            disable_warnings(http_errors.InsecureRequestWarning)
        most = max(options.jobs + 4, 2 * self._hosts.most)
        proxy = _proxy_variable(f"{scheme}_proxy", options.environment)
        if proxy and not bypasses_proxy(host, _proxy_variable("no_proxy", options.environment)):
            proxy = proxy if "://" in proxy else f"http://{proxy}"
            who = urlsplit(proxy)
            if who.scheme not in ("http", "https"):
                raise Unsupported(
                    f'unsupported proxy "{who.scheme[:20]}://…": expected http:// or https:// ({scheme.upper()}_PROXY)'
                )
            headers = {}
            if who.username:
                headers["Proxy-Authorization"] = basic_header(unquote(who.username), unquote(who.password or ""))
            manager: PoolManager = ProxyManager(proxy, proxy_headers=headers, maxsize=most, ssl_context=context)
        else:
            manager = PoolManager(maxsize=most, ssl_context=context)
        manager.pool_classes_by_scheme = bounded_pools(current_limits().headers, self._hosts.connected)
        return manager


def basic_header(username: str, password: str) -> str:
    """The value of an Authorization header for a username and a password (RFC 7617)."""
    pair = f"{username}:{password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _proxy_variable(name: str, environment: Mapping[str, str]) -> str:
    """``http_proxy``, ``https_proxy`` or ``no_proxy``, in either case; empty if unset."""
    return environment.get(name) or environment.get(name.upper(), "")


def _may_follow(request: Request, status: int) -> bool:
    """Whether a request may be made again where a redirect leads."""
    if request.method in ("GET", "HEAD"):
        return True
    # Only these two repeat the method and the body (RFC 9110, 15.4).
    return status in (307, 308) and not request.streams


def connection_error(error: Exception, url: str, *, reached: bool = True) -> Unreachable | LimitExceeded:
    """The error for an exception of urllib3 or of the socket below it.

    A host that has never answered is not retried: most likely its name is wrong.
    """
    causes = [error, *(cause for cause in error.args if isinstance(cause, Exception))]
    # http.client and ``connections`` say only in words that there are too many.
    if any(isinstance(cause, http.client.LineTooLong) or re.search(_TOO_MANY, str(cause)) for cause in causes):
        return LimitExceeded(f"{display_url(url)}: a header is too long, or there are too many (limit: headers)")
    host = urlsplit(display_url(url)).netloc
    if isinstance(error, http_errors.SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        hint = "if it speaks plain HTTP and you trust the network, add --tls-verify=false"
        return Unreachable(f"{host} does not speak TLS: {hint}")
    if isinstance(error, http_errors.SSLError):
        why = re.sub(r" \(_ssl\.c:[0-9]+\)", "", innermost_reason(error))
        if "certificate" not in why:
            return Unreachable(f"TLS with {host} failed: {why}")
        # An alert comes from the other side.
        if "alert" in why:
            return Unreachable(f"{host} requires a client certificate ({why}): add X.cert and X.key with --cert-dir")
        return Unreachable(
            f"the certificate of {host} is not trusted ({why}): add its authority, as X.crt, with --cert-dir"
        )
    missing = Interrupted if reached else Unreachable
    if isinstance(error, http_errors.NameResolutionError):
        return missing(f'cannot find host "{urlsplit(url).hostname}"')
    if isinstance(error, http_errors.ProxyError):
        proxy = getattr(error.original_error, "conn", None)
        through = f"the proxy {proxy.host}:{proxy.port}" if proxy is not None else "the proxy"
        variables = f"{urlsplit(url).scheme.upper()}_PROXY, NO_PROXY"
        return missing(f"cannot reach {host} through {through}: {innermost_reason(error)} ({variables})")
    if isinstance(error, http_errors.NewConnectionError):
        return missing(f"cannot connect to {host}: {innermost_reason(error)}")
    if answer := not_http(error):
        return missing(f"{host} does not speak HTTP: {answer}")
    if isinstance(error, (http_errors.TimeoutError, TimeoutError)):
        return Interrupted(
            f"no answer from {display_url(url)} in time (--timeout)", brief="no answer in time", silent=True
        )
    return Interrupted(
        f"the connection to {display_url(url)} broke off: {innermost_reason(error)}", brief="connection lost"
    )


def not_http(error: Exception) -> str:
    """What a server that does not speak HTTP answered; empty for any other error."""
    lines = (str(cause) for cause in error.args if type(cause) is http.client.BadStatusLine)  # others: no answer
    return next((f'it answered "{line.strip()[:100]}"' for line in lines), "")


def innermost_reason(error: BaseException) -> str:
    """The innermost cause in its own words, without urllib3's object names."""
    inner = error
    while nested := inner.__cause__ or next((arg for arg in inner.args if isinstance(arg, BaseException)), None):
        inner = nested
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    if incomplete := re.fullmatch(_INCOMPLETE, text):
        return f"after {incomplete[1]} bytes"
    return " ".join(str(text).rpartition(": ")[2].rpartition("] ")[2].split())[:200].lower()
