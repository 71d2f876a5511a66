from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

import converter
from converter.conversion import Options
from converter.conversion.sync.sync_file import SyncEntry
from converter.model.descriptor import Descriptor
from converter.model.platform import ALL_PLATFORMS
from converter.model.reference import Location
from converter.serving import Server, ServerSettings
from converter.serving.catalogue import PLACE
from converter.serving.http import LogEntry
from converter.stores import StoreOptions, open_sink
from tests.builders import add_image, add_index
from tests.builders.memory import MemoryStore
from tests.patience import PATIENCE, wait_until
from tests.stores.copying import copy
from tests.stores.registry.fake import FakeRegistry, Request


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(self.json["errors"][0]["code"])

    @property
    def digest(self) -> str:
        return self.headers["docker-content-digest"]


@dataclass(slots=True)
class Client:
    """Asks a server, with a new connection each time."""

    server: Server
    headers: Mapping[str, str] = field(default_factory=dict)
    log: list[LogEntry] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        connection = HTTPConnection(self.server.host, timeout=PATIENCE)
        try:
            told = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, headers={**self.headers, **told})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """What is answered to these bytes, until the connection is closed."""
        host, _, port = self.server.host.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            found = b""
            # Whoever sends more than a server wants may find the connection closed, and the answer there to be read.
            with suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while block := connection.recv(65536):
                    found += block
            return found

    def logged(self, number: int) -> list[LogEntry]:
        """The log, once it has so many lines: one is written after its answer."""
        wait_until(lambda: len(self.log) >= number, f"the log has {number} lines")
        return self.log

    def metric(self, name: str) -> float:
        lines = self.ask("/metrics").body.decode().splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith(f"transship_{name} "))
        return float(value)


class Serve(Protocol):
    def __call__(
        self, *sources: str, settings: Mapping[str, Any] = ..., rename: str = ..., **options: Any
    ) -> Client: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers, whose store is the same folder; stopped at the end."""
    with ExitStack() as stack:

        def start(*sources: str, settings: Mapping[str, Any] | None = None, rename: str = "", **options: Any) -> Client:
            chosen = Options(**{"platforms": ALL_PLATFORMS, "jobs": 2, **options})
            entries = [
                SyncEntry(source=Location.parse(source), to=PLACE, rename=rename, options=chosen) for source in sources
            ]
            how = {"port": 0, "store": tmp_path / "store", "threads": 8, "grace": 5.0, **(settings or {})}
            log: list[LogEntry] = []
            server = Server(entries, ServerSettings(**how), chosen, log=log.append)
            return Client(stack.enter_context(server), log=log)

        yield start


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """A layout called ``in`` with the images ``app`` and ``other``, and the index ``multi`` of both."""
    store = MemoryStore()
    rows = []
    for name, architecture in (("app", "amd64"), ("other", "arm64")):
        root = add_image(store, config={"os": "linux", "architecture": architecture}, name="")
        put(store, root, name, tmp_path / "in")
        rows.append(root.to_json() | {"platform": {"os": "linux", "architecture": architecture}})
    put(store, add_index(store, rows), "multi", tmp_path / "in")
    return f"oci:{tmp_path}/in"


PLAIN_HTTP = StoreOptions(tls_verify=False)


class Stalled:
    """A repository whose registry does not send blobs until ``go_on`` is set, at the latest when the context ends."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.repository = f"docker://{registry.host}/app"
        self.begun, self.go_on = threading.Event(), threading.Event()

    def fault(self, request: Request) -> None:
        if request.method == "GET" and "/blobs/" in request.path:
            self.begun.set()
            self.go_on.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()


@pytest.fixture
def stalled(layout: str) -> Iterator[Stalled]:
    """The image ``app`` as ``1`` in a registry that waits."""
    with FakeRegistry() as registry:
        found = Stalled(registry)
        converter.convert(f"{layout}:app", f"{found.repository}:1", store=PLAIN_HTTP)
        registry.fault = found.fault
        yield found


def put(store: MemoryStore, root: Descriptor, name: str, path: Path) -> None:
    """Write an image of the store into a layout."""
    copy(store, root, open_sink(Location(transport="oci", path=str(path), name=name)), name)
