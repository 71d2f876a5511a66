"""Stands between a client and a real server, and breaks connections as a rule says; the rest passes unchanged."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator

from tests.http_server import Handler, Server

BLOCK = 16 * 1024

Rule = Callable[[int, str, str], int | None]
"""Number of the request from 1, method, path → after how many bytes of its body the connection breaks, None: never."""


class FaultProxy(Server):
    """Listens while it is a context."""

    def __init__(self, upstream: str, rule: Rule) -> None:
        super().__init__(_Handler)
        self.upstream = upstream
        self.rule = rule
        self.requests: list[tuple[str, str]] = []
        self.cuts = 0
        self.up = 0
        self.down = 0
        self.lock = threading.Lock()


class _Cut(Exception):
    pass


class _Handler(Handler):
    server: FaultProxy

    def serve(self) -> None:
        proxy = self.server
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

    def _forward(self, upstream: http.client.HTTPConnection, cut: int | None) -> None:
        proxy = self.server
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
