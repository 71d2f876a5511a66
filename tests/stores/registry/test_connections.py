"""Hosts that send without end, byte by byte or too fast."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from converter.errors import ConverterError, LimitExceeded, Unreachable
from converter.events import Event
from converter.model.reference import Location
from converter.stores import StoreOptions, open_source
from converter.stores.hosts import Hosts
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answering(parts: Iterable[bytes] = (), pause: float = 0, greeting: bytes = b"") -> Iterator[str]:
    """A host that answers each request, after a greeting, with these parts, and ends where its client does."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(greeting)
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
                if not request.startswith(b"GET"):  # with TLS it is tried first
                    return
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize(
    "start, more, pause, error, told",
    [
        pytest.param(OK, b"X: y\r\n" * 50, 0, LimitExceeded, "headers", id="headers without end"),
        pytest.param(OK + b"X: ", b"y" * 9000, 0, LimitExceeded, "headers", id="a header without end"),
        pytest.param(
            b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0, LimitExceeded, "headers", id="go on, and on, and on"
        ),
        pytest.param(
            CHUNKED + b"2\r\n{}\r\n0\r\n",
            b"X: y\r\n" * 50,
            0,
            LimitExceeded,
            "limit: headers",
            id="trailers without end",
        ),
        pytest.param(OK, b"X: y\r\n", 0.05, Unreachable, "in time", id="headers that drip"),
        pytest.param(OK + b"Content-Length: 9999\r\n\r\n", b" ", 0.05, Unreachable, "in time", id="a body that drips"),
    ],
)
def test_no_answer_is_endless(start: bytes, more: bytes, pause: float, error: type[ConverterError], told: str) -> None:
    options = StoreOptions(tls_verify=False, timeout=0.25 if pause else 60, retries=0, anonymous=True)
    with answering(itertools.chain([start], itertools.repeat(more)), pause) as host:
        began = time.monotonic()
        with (
            pytest.raises(error, match=told),
            open_source(Location(transport="docker", path=f"{host}/app:1"), options) as source,
        ):
            source.resolve("")
    assert time.monotonic() - began < PATIENCE


def test_what_comes_in_small_pieces_arrives() -> None:
    body = b'{"name": "app", "tags": ["1"]}'
    parts = (OK, b"Content-Length: %d\r\n\r\n" % len(body), body[:9], body[9:])
    options = StoreOptions(tls_verify=False, timeout=60, retries=0, anonymous=True)
    with (
        answering(parts, 0.01) as host,
        open_source(Location(transport="docker", path=f"{host}/app:1"), options) as source,
    ):
        assert "1" in source.names()


@pytest.mark.parametrize(
    "transport, tls, told",
    [
        pytest.param("docker", False, '{} does not speak HTTP: it answered "SSH-2.0-Other_1 é"', id="as a registry"),
        pytest.param("docker", True, "{} does not speak TLS: if it speaks plain HTTP", id="as one behind TLS"),
        pytest.param(
            "docker-daemon", False, ' at tcp://{}: it answered "SSH-2.0-Other_1 é" (DOCKER', id="as an Engine"
        ),
    ],
)
def test_a_server_of_another_protocol_is_told_by_what_it_says(transport: str, tls: bool, told: str) -> None:
    warned: list[Event] = []
    with answering(greeting="SSH-2.0-Other_1 é\r\n".encode("latin-1")) as host, Hosts(6, warned.append) as hosts:
        options = StoreOptions(tls_verify=tls, anonymous=True, docker_host=f"tcp://{host}", hosts=hosts)
        place = Location(transport=transport, path=f"{host}/app:1" if transport == "docker" else "app:1")
        with pytest.raises(Unreachable, match=re.escape(told.format(host))), open_source(place, options) as source:
            source.resolve("")
    assert warned == [], "it is not asked again"
