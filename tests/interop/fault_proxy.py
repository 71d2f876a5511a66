"""Stands between a client and a real server, and breaks connections as a rule says; the rest passes unchanged."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

BLOCK = 16 * 1024

Rule = Callable[[int, str, str], int | None]
"""Number of the request from 1, method, path → after how many bytes of its body the connection breaks, None: never."""


class FaultProxy:
    """Listens on a port of the loopback while it is a context."""

    def __init__(self, upstream: str, rule: Rule) -> None:
        self.upstream = upstream
        self.rule = rule
        self.requests: list[tuple[str, str]] = []
        self.cuts = 0
        self.up = 0
        self.down = 0
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is what this is for."""


class _Cut(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""

    def do_GET(self) -> None:
        proxy = self.server.proxy
        with proxy.lock:
            proxy.requests.append((self.command, self.path))
            cut = proxy.rule(len(proxy.requests), self.command, self.path)
            proxy.cuts += cut is not None
        upstream = http.client.HTTPConnection(proxy.upstream, timeout=60)
        try:
            self._forward(upstream, cut)
        except _Cut:
            self.close_connection = True
        finally:
            upstream.close()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class looks for these names

    def _forward(self, upstream: http.client.HTTPConnection, cut: int | None) -> None:
        proxy = self.server.proxy
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self.headers.items():
            upstream.putheader(key, value)
        upstream.endheaders()
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        sends = chunked or int(self.headers.get("Content-Length") or 0) > 0
        passed = 0
        for part in self._body(chunked):
            if cut is not None and passed + len(part) >= cut:
                upstream.send(part[: cut - passed])
                raise _Cut
            upstream.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            passed += len(part)
            proxy.up += len(part)
        if chunked:
            upstream.send(b"0\r\n\r\n")
        response = upstream.getresponse()
        self.send_response(response.status)
        for key, value in response.getheaders():
            if key.lower() not in ("connection", "date", "server", "transfer-encoding"):
                self.send_header(key, value)
        if response.getheader("Content-Length") is None:
            self.send_header("Content-Length", "0")
        self.end_headers()
        passed = 0
        while part := response.read(BLOCK):
            if cut is not None and not sends and passed + len(part) >= cut:
                self.wfile.write(part[: cut - passed])
                raise _Cut
            self.wfile.write(part)
            passed += len(part)
            proxy.down += len(part)
        if cut is not None:
            raise _Cut

    def _body(self, chunked: bool) -> Iterator[bytes]:
        if chunked:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.rfile.read(min(left, BLOCK))
            if not part:
                raise _Cut
            left -= len(part)
            yield part
