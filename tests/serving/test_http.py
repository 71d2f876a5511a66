"""Hostile, slow and many clients; who may ask, and over what."""

from __future__ import annotations

import base64
import gc
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Full, SimpleQueue
from weakref import WeakSet

import bcrypt
import pytest
from cheroot.server import HTTPConnection

from converter.errors import Invalid, NotFound, Usage
from converter.serving import Server, ServerSettings, watch
from converter.serving.htpasswd import Htpasswd
from converter.serving.http import Bounds, Listener
from converter.serving.rate_limit import RateLimit
from converter.serving.responses import FileBody, Request, Response
from converter.serving.threads import Threads
from converter.serving.watch import MOST_CONNECTIONS, Watch
from tests.patience import PATIENCE, wait_until
from tests.serving.conftest import Serve
from tests.stores.certificates import issue

GET = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "sent, answered",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400", id="TLS where none is spoken"),
        pytest.param(b"nonsense\r\n\r\n", b"400", id="no HTTP"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", b"505", id="a version that is still to come"),
        pytest.param(b"GET /v2/ HTTP/1.1\nHost: a\n\n", b"400", id="lines without carriage returns"),
        pytest.param(GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", b"413", id="a header that is too long"),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"414", id="a path that is too long"),
        pytest.param(GET + b"X: 1\r\n" * 20_000 + b"\r\n", b"413", id="too many headers"),
        pytest.param(GET + b"Content-Length: -5\r\n\r\n", b"200", id="a negative length"),
        pytest.param(GET + b"Content-Length: five\r\n\r\n", b"400", id="a length that is no number"),
        pytest.param(b"GET /v2/\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"404", id="a null byte"),
        pytest.param(b"GET /v2/%ff%fe/tags/list HTTP/1.1\r\nHost: a\r\n\r\n", b"404", id="bytes that are no UTF-8"),
        pytest.param(b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", b"404", id="a path that leads upwards"),
        pytest.param(b"GET http://other/v2/ HTTP/1.1\r\nHost: a\r\n\r\n", b"400", id="an absolute address"),
        pytest.param(b"CONNECT other:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"405", id="a tunnel"),
        pytest.param(b"BREW /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", b"405", id="a method that nobody knows"),
        pytest.param(GET + b"Range: bytes=" + b"0-1," * 5000 + b"\r\n\r\n", b"200", id="thousands of ranges"),
        pytest.param(b"GET /v2/?" + b"a=1&" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"200", id="thousands of terms"),
    ],
)
def test_what_a_hostile_client_sends_is_answered_and_harms_nobody(
    serve: Serve, layout: str, sent: bytes, answered: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    client = serve(layout)
    found = client.raw(sent)
    assert found.split(b" ", 2)[1] == answered, found[:200]
    assert b"root:" not in found
    assert client.ask("/healthz").body == b"ok\n"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "head, size, answered",
    [
        pytest.param(b"GET /" + b"a" * 40_000, 500_000, b"414", id="a path"),
        pytest.param(GET + b"X: " + b"a" * 40_000, 500_000, b"413", id="a header"),
        pytest.param(
            b"PUT /v2/in/manifests/app HTTP/1.1\r\nContent-Length: 500000\r\n\r\n", 500_000, b"405", id="a body"
        ),
    ],
)
def test_a_client_that_still_sends_is_answered(
    serve: Serve, layout: str, head: bytes, size: int, answered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the connection closed at once, the system would reset it, and a client would see no answer."""
    monkeypatch.setattr(watch, "LINGERING", PATIENCE)
    client = serve(layout, settings={"threads": 2})
    host, _, port = client.server.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(head)
        time.sleep(0.05)  # in which it may be answered
        for _ in range(size // 50_000):
            connection.sendall(b"a" * 50_000)
        connection.shutdown(socket.SHUT_WR)
        found = b"".join(iter(lambda: connection.recv(65536), b""))
    assert found.split(b" ", 2)[1] == answered


def test_a_client_that_sends_for_ever_is_closed(serve: Serve, layout: str) -> None:
    client = serve(layout)
    host, _, port = client.server.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"a" * 100_000_000)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: 40\r\n", id="a length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", id="chunks"),
        pytest.param(b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n", id="both"),
        pytest.param(b"Content-Length: 0\r\nContent-Length: 40\r\n", id="two lengths"),
        pytest.param(b"Content-Length: 40\r\nContent-Length: 0\r\n", id="two lengths, the other way round"),
    ],
)
def test_nothing_in_a_body_is_taken_for_a_request(serve: Serve, layout: str, head: bytes) -> None:
    client = serve(layout)
    hidden = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    found = client.raw(GET + head + b"\r\n" + hidden + b"0\r\n\r\n" + hidden)
    assert found.count(b"HTTP/1.1 ") == 1
    assert b"ok\n" not in found


def test_requests_in_a_row_are_answered_in_a_row(serve: Serve, layout: str) -> None:
    client = serve(layout)
    found = client.raw((GET + b"\r\n") * 3 + GET + b"Connection: close\r\n\r\n")
    assert found.count(b"HTTP/1.1 200") == 4


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x0a\x00", id="TLS"),
        pytest.param(b"nonsense\r\n", id="no HTTP"),
        pytest.param(b"GET /v2/ HTTP/1.1\nHost: a\n\n", id="lines without carriage returns"),
        pytest.param(b"\r\n\r\n", id="nothing"),
    ],
)
def test_what_cannot_become_a_request_is_answered_at_once(serve: Serve, layout: str, sent: bytes) -> None:
    """A client of an insecure registry tries TLS first, and waits for an answer."""
    host, _, port = serve(layout).server.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [pytest.param(GET, id="half a request"), pytest.param(b"", id="nothing")])
def test_clients_that_send_no_more_keep_nobody_waiting(sent: bytes) -> None:
    bounds = Bounds(threads=2, idle_seconds=10 * PATIENCE, head_time=10 * PATIENCE, grace=1)
    listener = Listener(bounds, lambda _: Response(body=b"{}"), lambda _: None)
    listener.start()
    try:
        with ExitStack() as stack:
            waiting = [stack.enter_context(connected(listener)) for _ in range(200)]
            for connection in waiting:
                connection.sendall(sent)
            other = stack.enter_context(connected(listener))
            other.sendall(GET + b"\r\n")
            assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
            # They may still send the rest.
            waiting[0].sendall((GET + b"\r\n").removeprefix(sent))
            assert waiting[0].recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        listener.stop()


def connected(listener: Listener) -> socket.socket:
    """A connection to it."""
    host, _, port = listener.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def test_of_too_many_requests_that_have_begun_the_first_is_broken_off() -> None:
    broken_off: list[int] = []

    class Begun:
        def __init__(self, number: int) -> None:
            self.number = number

        def break_off(self) -> None:
            broken_off.append(self.number)

    watch = Watch(seconds=60)
    begun = [Begun(number) for number in range(MOST_CONNECTIONS + 1)]
    watch.begin(begun[0])
    watch.begin(begun[1])
    watch.end(begun[0])
    for one in begun[1:]:
        watch.begin(one)
    assert broken_off == []
    watch.begin(begun[0])
    assert broken_off == [1]


def test_no_more_threads_are_used_than_requests_come_at_a_time() -> None:
    answered: SimpleQueue[int] = SimpleQueue()
    threads: Threads[Waiting] = Threads(lambda _: answered.put(threading.get_ident()), most=50, queue=1)
    used = set()
    for _ in range(200):
        threads.put(Waiting())
        used.add(answered.get(timeout=PATIENCE))
        wait_until(lambda: not threads._busy, "the thread is idle again")
    threads.stop(seconds=PATIENCE)
    assert len(used) == 1


@dataclass(eq=False)
class Waiting:
    """A connection that says what became of it."""

    became: list[str] = field(default_factory=list)
    broken_off: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        self.became.append("closed")

    def break_off(self) -> None:
        self.became.append("broken off")
        self.broken_off.set()


def test_what_is_not_answered_when_threads_end_is_broken_off_or_closed() -> None:
    begun = threading.Semaphore(0)

    def answer(connection: Waiting) -> None:
        begun.release()
        connection.broken_off.wait(PATIENCE)

    threads = Threads(answer, most=1, queue=1)
    first, second = Waiting(), Waiting()
    threads.put(first)
    assert begun.acquire(timeout=PATIENCE)
    threads.put(second)
    with pytest.raises(Full):
        threads.put(Waiting())
    threads.stop(seconds=0.05)
    assert (first.became, second.became) == (["broken off"], ["closed"])


def test_a_connection_for_which_the_system_has_no_thread_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    threads: Threads[Waiting] = Threads(Waiting.close, most=1, queue=1)
    with pytest.raises(Full):
        threads.put(Waiting())


def test_a_request_that_does_not_end_is_broken_off() -> None:
    bounds = Bounds(threads=1, head_time=0.4, grace=1)
    listener = Listener(bounds, lambda _: Response(body=b"{}"), lambda _: None)
    listener.start()
    try:
        with connected(listener) as slow:
            rest = iter(GET + b"X: " + b"a" * int(PATIENCE / 0.05))
            with suppress(OSError):
                for byte in rest:
                    slow.sendall(bytes([byte]))
                    time.sleep(0.05)
            assert next(rest, None) is not None, "it is broken off before its end"
    finally:
        listener.stop()


def test_what_nobody_expected_is_told_and_ends_nothing() -> None:
    told: list[str] = []

    def answer(request: Request) -> Response:
        if request.path == "/bad":
            raise ValueError("nobody expected this")
        return Response(body=b"{}")

    listener = Listener(Bounds(threads=1, grace=1), answer, lambda _: None, told.append)
    listener.start()
    try:
        host, _, port = listener.address.rpartition(":")
        for path, status in ((b"/bad", b"500"), (b"/good", b"200")):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
                connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert connection.recv(4096)[9:12] == status
    finally:
        listener.stop()
    assert told == ["internal error: ValueError('nobody expected this')"]


def test_a_client_that_stops_reading_is_broken_off(tmp_path: Path) -> None:
    size = 64_000_000
    begun = threading.Event()
    with (tmp_path / "blob").open("wb") as file:
        file.truncate(size)

    def answer(request: Request) -> Response:
        if request.path == "/small":
            return Response(body=b"{}")
        begun.set()
        return Response(body=FileBody(file=(tmp_path / "blob").open("rb"), size=size))

    listener = Listener(Bounds(threads=1, idle_seconds=1, grace=1), answer, lambda _: None)
    listener.start()
    try:
        host, _, port = listener.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as stalled:
            stalled.sendall(GET + b"\r\n")
            assert begun.wait(PATIENCE)
            # Who takes a second to ask is broken off, too, and asks again.
            wait_until(lambda: small(listener).startswith(b"HTTP/1.1 200"), "another client is answered")
    finally:
        listener.stop()


def small(listener: Listener) -> bytes:
    """What is answered to a small request; nothing if it is broken off."""
    with connected(listener) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return connection.recv(4096)
    return b""


def test_a_client_that_goes_away_while_it_is_answered_harms_nobody(serve: Serve, layout: str) -> None:
    client = serve(layout)
    host, _, port = client.server.host.rpartition(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET /v2/in/manifests/app HTTP/1.1\r\nHost: a\r\n\r\n")
    # Those that are gone may still be waited for; who comes then is asked to come again.
    statuses = [429]

    def is_let_in() -> bool:
        statuses.append(client.ask("/v2/in/manifests/app").status)
        return statuses[-1] != 429

    wait_until(is_let_in, "another client is let in")
    assert statuses[-1] == 200


def test_a_closed_connection_is_freed_without_the_garbage_collector() -> None:
    """Otherwise thousands wait for it: it runs when there is enough garbage, and memory grows until then."""
    listener = Listener(Bounds(threads=2, grace=1), lambda _: Response(body=b"{}"), lambda _: None)
    listener.start()
    gc.collect()
    gc.disable()
    others = connections()  # of servers that are ending
    try:
        host, _, port = listener.address.rpartition(":")
        for _ in range(40):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
                connection.sendall(GET + b"Connection: close\r\n\r\n")
                while connection.recv(4096):
                    pass
        wait_until(lambda: len(connections() - others) <= 2 + 1, "all are freed but the last one of each thread")
    finally:
        gc.enable()
        listener.stop()


def connections() -> WeakSet[HTTPConnection]:
    """Those that are in memory."""
    return WeakSet(one for one in gc.get_objects() if isinstance(one, HTTPConnection))


def test_more_requests_than_may_wait_are_told_to_come_back() -> None:
    entered, go_on = threading.Semaphore(0), threading.Event()

    def answer(request: Request) -> Response:
        entered.release()
        assert go_on.wait(PATIENCE)
        return Response(body=b"{}")

    listener = Listener(Bounds(threads=2, queue=1, grace=5), answer, lambda _: None)
    listener.start()
    try:
        host, _, port = listener.address.rpartition(":")

        def ask(_: int) -> bytes:
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
                connection.sendall(GET + b"Connection: close\r\n\r\n")
                return connection.recv(4096)

        with ThreadPoolExecutor(12) as pool:
            waiting = [pool.submit(ask, one) for one in range(12)]
            for _ in range(2):
                assert entered.acquire(timeout=PATIENCE)
            wait_until(lambda: sum(one.done() for one in waiting) == 9, "all that may not wait are answered")
            go_on.set()
            answers = sorted(one.result() for one in waiting)
    finally:
        listener.stop()
    assert [one[9:12] for one in answers] == [b"200"] * 3 + [b"503"] * 9
    assert all(b"\r\nRetry-After: 1\r\n" in one for one in answers[3:])


def test_only_the_users_of_a_password_file_are_served(serve: Serve, layout: str, tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(f"# users\nmary:{bcrypt.hashpw(b'pass:word', bcrypt.gensalt(4)).decode()}\n")
    client = serve(layout, settings={"htpasswd": path})

    def status(text: str, kind: str = "Basic") -> int:
        return client.ask("/v2/", Authorization=f"{kind} {base64.b64encode(text.encode()).decode()}").status

    refused = client.ask("/v2/in/manifests/app")
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert [status("mary:pass:word"), status("mary:pass:word"), status("mary:other"), status("john:pass:word")] == [
        200,
        200,
        401,
        401,
    ]
    assert status("mary:pass:word", "Bearer") == 401
    assert client.ask("/v2/", Authorization="Basic ?").status == 401
    assert client.ask("/metrics").status == 401
    assert client.ask("/healthz").status == 200
    path.write_text(f"john:{bcrypt.hashpw(b'pass:word', bcrypt.gensalt(4)).decode()}\n")
    assert [status("mary:pass:word"), status("john:pass:word")] == [401, 200]


def test_a_client_that_asks_too_often_is_told_when_to_come_back(serve: Serve, layout: str) -> None:
    client = serve(layout, settings={"rate": 0.001})
    assert client.ask("/v2/").status == 200
    refused = client.ask("/v2/")
    assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
    assert 1 <= int(refused.headers["retry-after"]) <= 1000
    assert client.ask("/healthz").status == 200


@pytest.mark.parametrize(
    "asked, waits",
    [
        pytest.param([("a", 0.0)] * 20, [0.0] * 20, id="a burst of ten seconds"),
        pytest.param(
            [("a", 0.0)] * 20 + [("a", 0.25), ("a", 0.5), ("a", 0.5)], [0.0] * 20 + [0.25, 0.0, 0.5], id="more"
        ),
        pytest.param([("a", 0.0)] * 20 + [("b", 0.0)], [0.0] * 21, id="a burst of another"),
        pytest.param([("a", 0.0)] * 20 + [("b", 0.0), ("c", 0.0), ("a", 0.0)], [0.0] * 23, id="more clients than fit"),
    ],
)
def test_rates(asked: list[tuple[str, float]], waits: list[float]) -> None:
    now = 0.0
    rates = RateLimit(2.0, clients=2, clock=lambda: now)
    found = []
    for client, now in asked:  # noqa: B007 - it is the clock
        found.append(rates.wait(client))
    assert found == waits


@pytest.mark.parametrize(
    "one, other, same",
    [
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two addresses"),
        pytest.param("2001:db8::1", "2001:db8::2", True, id="two addresses of one network"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="two networks"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", True, id="an address of IPv4, and the same in IPv6"),
        pytest.param("", "", True, id="none"),
    ],
)
def test_whose_requests_are_counted_together(one: str, other: str, same: bool) -> None:
    rates = RateLimit(0.1)
    answers = [rates.refuse(Request(method="GET", path="/", client=client)) for client in (one, other)]
    assert [answer is None for answer in answers] == [True, not same]


@pytest.mark.parametrize(
    "text, error",
    [
        pytest.param(None, NotFound, id="no file"),
        pytest.param("mary:secret", Invalid, id="a password in the clear"),
        pytest.param("mary:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", Invalid, id="a hash that is easily broken"),
        pytest.param("mary", Invalid, id="no password"),
    ],
)
def test_a_password_file_is_checked_at_the_start(tmp_path: Path, text: str | None, error: type[Exception]) -> None:
    if text is not None:
        (tmp_path / "htpasswd").write_text(text)
    with pytest.raises(error) as raised:
        Htpasswd(tmp_path / "htpasswd")
    assert "secret" not in str(raised.value)


def test_images_travel_over_tls(serve: Serve, layout: str, tmp_path: Path) -> None:
    authority = issue(tmp_path, "server")
    client = serve(layout, settings={"certificate": authority.cert_path, "key": authority.key_path, "threads": 2})
    context = ssl.create_default_context(cafile=str(authority.cert_path))
    host, _, port = client.server.host.rpartition(":")
    with ExitStack() as stack:
        for begun in (b"", b"\x16\x03\x01\x02\x00\x01") * 10:  # that never shake hands, or not to the end
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(begun)
        plain = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        last = socket.create_connection((host, int(port)), timeout=PATIENCE)
        with context.wrap_socket(last, server_hostname=host) as tls:
            # Both are in one record: when the first is answered, the second has left the socket.
            tls.sendall(GET + b"\r\nGET /v2/in/manifests/app HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            found = b""
            while block := tls.recv(65536):
                found += block
    assert found.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert client.server.url.startswith("https://")


@pytest.mark.parametrize(
    "settings, message",
    [
        pytest.param({"host": "0.0.0.0"}, "plain HTTP on 0.0.0.0", id="plain HTTP to all"),
        pytest.param({"host": "registry.example"}, "plain HTTP on registry.example", id="plain HTTP to a name"),
        pytest.param({"key": Path("key.pem")}, "a key without a certificate", id="a key alone"),
        pytest.param({"certificate": Path("nope.pem")}, "cannot use the certificate", id="a certificate not there"),
        pytest.param({"host": "192.0.2.1", "insecure": True}, "cannot listen on 192.0.2.1:0", id="not our address"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    told = {"store": tmp_path / "store", "port": 0, "threads": 1, **settings}
    with pytest.raises(Usage, match=message):
        Server([], ServerSettings(**told)).start()  # type: ignore[arg-type]  # each row has other names
