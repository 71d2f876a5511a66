"""The HTTP server: cheroot with a bounded number of threads. Each request is logged and counted."""

from __future__ import annotations

import logging
import re
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import Full
from typing import Any
from urllib.parse import parse_qsl

from cheroot.makefile import MakeFile
from cheroot.server import HTTPServer

from converter.errors import Usage, system_words
from converter.model.frozen import frozen
from converter.model.limits import KIB
from converter.serving.connection import HEAD, Connection
from converter.serving.responses import FileBody, Request, Response
from converter.serving.threads import Threads
from converter.serving.watch import Watch
from converter.version import __version__

THREADS = 256
QUEUE = 1024
"""Connections that wait for a thread; further ones are asked to retry later."""
OPEN = 0.75
"""The part of the files that may be open that connections between requests may be."""
TICK = 0.1
"""Seconds after which a server that is told to stop notices."""
IDLE_SECONDS = 30.0
"""Seconds without progress after which a connection is closed."""
HEAD_TIME = 20.0
"""The most seconds that a request line and headers may take."""
_BLOCK = 256 * KIB

_REASONS: Mapping[int, str] = {
    200: "OK",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


@frozen
class LogEntry:
    """One request and its answer, for the log; ``reason`` is why this server, or a source, could not do better."""

    at: float
    client: str
    method: str
    path: str
    status: int
    sent: int
    seconds: float
    agent: str = ""
    reason: str = ""


@frozen
class Bounds:
    """Where to listen, how, and how much a server takes on. ``certificate`` and ``key`` are PEM files."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    threads: int = THREADS
    queue: int = QUEUE
    idle_seconds: float = IDLE_SECONDS
    head_time: float = HEAD_TIME
    grace: float = 30.0


Handler = Callable[[Request], Response]
Log = Callable[[LogEntry], None]


class Listener:
    """A server that answers with ``answer``, in threads of its own, from ``start`` to ``stop``."""

    def __init__(
        self, bounds: Bounds, answer: Handler, log: Log, trouble: Callable[[str], None] = lambda _: None
    ) -> None:
        """``trouble`` is called for unexpected errors, which a client sees as status 500."""
        self._answer, self._log = answer, log
        self._bounds = bounds
        self._watch = Watch(bounds.head_time)
        self._server: Any = HTTPServer(
            (bounds.host, bounds.port), self._gateway, server_name=f"transship/{__version__}"
        )
        self._server.requests = Threads(self._answered, bounds.threads, bounds.queue)
        self._server.timeout = bounds.idle_seconds
        self._server.expiration_interval = TICK
        self._server.shutdown_timeout = bounds.grace
        self._server.request_queue_size = 512
        self._server.keep_alive_conn_limit = int(OPEN * resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._server.process_conn = self._arrived
        self._server.max_request_header_size = HEAD
        self._server.error_log = partial(_log_trouble, trouble)
        self._server.ConnectionClass = partial(Connection, self._watch)
        if bounds.certificate is not None:
            self._server.ssl_adapter = _Tls(bounds.certificate, bounds.key or bounds.certificate)
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Host and port, as a reference has them."""
        host, port = self._server.bind_addr[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self._bounds.certificate is not None else "http"

    def start(self) -> None:
        """Listen; raises Usage if the address cannot be had."""
        try:
            # cheroot would leave a socket behind that cannot be bound.
            family = socket.AF_INET6 if ":" in self._bounds.host else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self._bounds.host, self._bounds.port))
            self._server.prepare()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Usage(f"cannot listen on {self._bounds.host}:{self._bounds.port}: {reason}") from None
        self._watch.start()
        self._thread = threading.Thread(target=self._server.serve, name="serve", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, finish those under way within the grace, then break them off."""
        self._server.stop()
        self._watch.stop()
        if self._thread is not None:
            self._thread.join()

    def _arrived(self, connection: Connection) -> None:
        """A connection, or something from it, has arrived: until a request has, it holds no thread."""
        if connection.last_used is not None:
            self._watch.begin(connection)
            self._look(connection)
        elif self._server.can_add_keepalive_connection:
            self._server.put_conn(connection)
        else:
            connection.close()

    def _look(self, connection: Connection) -> None:
        """Have the next request answered if it is here, or wait for it."""
        try:
            if connection.receive():
                self._server.requests.put(connection)
            else:
                self._server.put_conn(connection)
        except OSError:
            connection.close()
        except Full:
            connection.refuse()

    def _answered(self, connection: Connection) -> None:
        """Answer a request, in a thread."""
        try:
            if connection.communicate() and self._server.ready:
                self._look(connection)
                return
        except ConnectionError:
            pass
        except Exception as error:  # noqa: BLE001 - the thread has others to answer
            self._server.error_log(repr(error), level=logging.ERROR, traceback=True)
        connection.close()

    def _gateway(self, req: Any) -> _Exchange:
        return _Exchange(req, self)

    def respond(self, req: Any) -> None:
        """Answer one request."""
        began, at = time.monotonic(), time.time()
        request = _request(req, self.scheme)
        if b"Content-Length" in req.inheaders or b"Transfer-Encoding" in req.inheaders:
            # No body is wanted here, and nothing in one may be taken for a request.
            req.close_connection = True
        answer = self._answer(request)
        body = answer.body
        sent = 0
        try:
            status, headers, start, length = _partial(request, answer)
            req.status = f"{status} {_REASONS.get(status, 'Unknown')}".encode()
            req.outheaders = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
            req.sent_headers = True
            req.send_headers()
            if request.method != "HEAD" and length:
                sent = length
                if isinstance(body, FileBody):
                    _send(req, body, start, length)
                else:
                    req.conn.wfile.write(body[start : start + length])
        except OSError:
            # The client has gone, or is too slow.
            req.close_connection = True
            status = 499
        finally:
            if isinstance(body, FileBody):
                body.file.close()
        self._log(
            LogEntry(
                at=at,
                client=request.client,
                method=request.method,
                path=request.path,
                status=status,
                sent=sent,
                seconds=time.monotonic() - began,
                agent=request.headers.get("user-agent", ""),
                reason=answer.reason,
            )
        )


class _Exchange:
    """What cheroot asks for an answer."""

    def __init__(self, req: Any, listener: Listener) -> None:
        self._req = req
        self._listener = listener

    def respond(self) -> None:
        self._listener.respond(self._req)


class _Tls:
    """TLS for cheroot; the handshake is made by the thread that reads the request, not by the one that accepts."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        for path in (certificate, key):
            if not path.exists():
                raise Usage(f"cannot use the certificate: {path}: no such file or directory")
        try:
            self._context.load_cert_chain(certificate, key)
        except ssl.SSLError:
            fact = f"cannot use the certificate {certificate} with the key {key}: expected both in PEM, made as a pair"
            if key == certificate:
                fact = f"cannot use the certificate {certificate}: it is not in PEM, or has no key with it (--tls-key)"
            raise Usage(fact) from None
        except OSError as error:
            raise Usage(f"cannot use the certificate {certificate}: {system_words(error)}") from None

    def bind(self, sock: socket.socket) -> socket.socket:
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}

    makefile = staticmethod(MakeFile)
    """For cheroot, which hands it to the connection; that needs none."""


def _request(req: Any, scheme: str) -> Request:
    query = dict(parse_qsl(req.qs.decode("latin-1"), max_num_fields=32)) if req.qs.count(b"&") < 32 else {}
    return Request(
        method=req.method.decode("latin-1"),
        path=req.path.decode("utf-8", "replace"),
        query=query,
        headers={name.decode("latin-1").lower(): text.decode("latin-1") for name, text in req.inheaders.items()},
        client=str(req.conn.remote_addr or ""),
        scheme=scheme,
    )


def _partial(request: Request, answer: Response) -> tuple[int, dict[str, str], int, int]:
    """Status, headers, and the part of the body to send: all of it, a range, or none if the client has it."""
    size = answer.size
    headers = {"Content-Type": answer.kind, "Docker-Distribution-Api-Version": "registry/2.0", **answer.headers}
    headers["X-Content-Type-Options"] = "nosniff"
    if answer.body or "Content-Length" not in answer.headers:
        headers["Content-Length"] = str(size)
    etag = answer.headers.get("ETag", "")
    if answer.status != 200 or not etag:
        return answer.status, headers, 0, size
    etags = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if etag in etags or etags == ["*"]:
        return 304, {name: text for name, text in headers.items() if name != "Content-Length"}, 0, 0
    headers["Accept-Ranges"] = "bytes"
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or request.method == "HEAD" or request.headers.get("if-range", etag) != etag:
        return 200, headers, 0, size
    first, last = asked.groups()
    if not first and not last:
        return 200, headers, 0, size
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return 200, headers, 0, size  # RFC 9110, 14.1.1: such a range is to be ignored
    if start >= size or (not first and int(last) == 0):
        del headers["ETag"]
        return 416, {**headers, "Content-Range": f"bytes */{size}", "Content-Length": "0"}, 0, 0
    headers |= {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    return 206, headers, start, end - start


def _send(req: Any, body: FileBody, start: int, length: int) -> None:
    """Send a part of a file, as long as the client takes something every now and then.

    Blocks fit into a processor's cache. sendfile(2) takes less processor time, but on a busy machine three times as
    long.
    """
    connection: Any = req.conn.socket
    body.file.seek(start)
    while length:
        block = memoryview(body.file.read(min(_BLOCK, length)))
        if not block:
            raise OSError("the file is shorter than it was")
        length -= len(block)
        while block:
            block = block[connection.send(block) :]


def _log_trouble(trouble: Callable[[str], None], message: str = "", level: int = 20, traceback: bool = False) -> None:
    """Pass on what cheroot would log, except for clients that hang up or do not speak HTTP."""
    if traceback and level >= logging.ERROR:
        trouble(f"internal error: {message}")
