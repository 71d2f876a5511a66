from __future__ import annotations

import json
import shutil
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from converter.errors import ConverterError, Denied, Invalid, NotFound, StorageFailed, Unreachable, Unsupported, Usage
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json
from converter.model.limits import Limits, enforce_limits
from converter.model.reference import Location
from converter.ports import Sink
from converter.stores import open_sink, open_source
from converter.stores.options import StoreOptions
from tests.http_server import Handler, Server
from tests.stores.certificates import issue

LAYER = b"layer" + bytes(300_000)
CONFIG = dump_json(
    {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(Descriptor.of(LAYER, "").digest)]},
    }
)
DIGEST = Descriptor.of(CONFIG, "").digest
MANIFEST = dump_json(
    {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": Descriptor.of(CONFIG, types.OCI_CONFIG).to_json(),
        "layers": [Descriptor.of(LAYER, types.OCI_LAYER).to_json()],
    }
)


class FakeEngine:
    """Keeps the archive that was loaded last, and saves it under any name but ``missing``."""

    def __init__(self) -> None:
        self.loaded = b""
        self.listed = b"[]"
        self.broken = 0
        self.answer: tuple[int, bytes] | None = None
        self.hangs_up = False


def handler_of(engine: FakeEngine) -> type[Handler]:
    class Answering(Handler):
        disable_nagle_algorithm = False  # which a Unix socket does not know

        def address_string(self) -> str:
            return ""

        def serve(self) -> None:
            if self.command == "POST":
                self._load()
            elif self.path == "/images/missing/get":
                self.answer(404, b'{"message":"no such image: missing"}')
            elif self.path == "/images/json":
                self.answer(*(engine.answer or (200, engine.listed)))
            else:
                self.answer(*(engine.answer or (200, engine.loaded)))

        def _load(self) -> None:
            if engine.hangs_up:
                self.close_connection = True
                return
            held = b""
            while True:
                line = self.rfile.readline()
                if not line:
                    engine.broken += 1
                    self.close_connection = True
                    return
                size = int(line, 16)
                held += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
            engine.loaded = held
            self.answer(*(engine.answer or (200, b'{"stream":"Loaded image: x"}\n')))

    return Answering


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is what tests are about."""


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def options(engine: FakeEngine, tmp_path: Path) -> Iterator[StoreOptions]:
    path = tmp_path / "docker.sock"
    with serving(_UnixServer(str(path), handler_of(engine))):
        yield StoreOptions(environment={"DOCKER_HOST": f"unix://{path}"})


def at(name: str) -> Location:
    return Location.parse(f"docker-daemon:{name}")


def put(sink: Sink, blob: bytes, media_type: str) -> Descriptor:
    return sink.put((blob,), media_type, Descriptor.of(blob, media_type))


def put_image(sink: Sink, name: str = "") -> None:
    put(sink, LAYER, types.OCI_LAYER)
    put(sink, CONFIG, types.OCI_CONFIG)
    sink.name(name, put(sink, MANIFEST, types.OCI_MANIFEST))


def load(options: StoreOptions, name: str = "app:1") -> None:
    with open_sink(at(name), options) as sink:
        put_image(sink)


def test_an_image_comes_back_as_it_was_loaded(engine: FakeEngine, options: StoreOptions) -> None:
    load(options)
    assert len(engine.loaded) % 512 == 0
    with open_source(at("app:1"), options) as source:
        assert source.names() == ("docker.io/library/app:1",) or source.names() == ("app:1",)
        root = source.resolve("")
        assert source.fetch(root).read() == MANIFEST
        layer = Descriptor.from_json(json.loads(MANIFEST)["layers"][0])
        assert b"".join(source.fetch(layer).blocks()) == LAYER


def test_nothing_is_loaded_before_the_end_nor_after_a_failure(engine: FakeEngine, options: StoreOptions) -> None:
    def fail() -> None:
        with open_sink(at("app:1"), options) as sink:
            put_image(sink)
            assert not engine.loaded
            raise StorageFailed("no space left on device")

    with pytest.raises(StorageFailed):
        fail()
    assert (engine.loaded, engine.broken) == (b"", 0)


def test_an_archive_that_cannot_be_completed_is_not_loaded(engine: FakeEngine, options: StoreOptions) -> None:
    def leave_out_the_config() -> None:
        with open_sink(at("app:1"), options) as sink:
            sink.name("", put(sink, MANIFEST, types.OCI_MANIFEST))

    with pytest.raises(ConverterError, match="of a manifest is missing"):
        leave_out_the_config()
    assert not engine.loaded


@pytest.mark.parametrize(
    "answer, error, text",
    [
        pytest.param((200, b'{"stream":"x"}\n{"error":"no space"}\n'), Invalid, "no space", id="an error at the end"),
        pytest.param((500, b'{"message":"broken"}'), Unreachable, "broken", id="a failure"),
        pytest.param((403, b"<html>"), Denied, "403", id="no right"),
        pytest.param((400, b"HTTP request to an HTTPS server"), Unreachable, "to an HTTPS", id="plain words"),
    ],
)
def test_an_engine_refuses(
    engine: FakeEngine, options: StoreOptions, answer: tuple[int, bytes], error: type[Exception], text: str
) -> None:
    engine.answer = answer
    with pytest.raises(error, match=text):
        load(options)


def test_an_engine_refuses_in_more_words_than_a_document_may_have(engine: FakeEngine, options: StoreOptions) -> None:
    engine.answer = (200, json.dumps({"error": f"no space {'x' * 5000}"}).encode())
    with enforce_limits(Limits(document=2000)), pytest.raises(Invalid, match="cannot load the image: no space x"):
        load(options)


def test_an_engine_hangs_up(engine: FakeEngine, options: StoreOptions) -> None:
    engine.hangs_up = True
    with pytest.raises(Unreachable):
        load(options)


def test_an_image_that_is_not_there(options: StoreOptions) -> None:
    with pytest.raises(NotFound, match="no such image"):
        open_source(at("missing"), options)


@pytest.mark.parametrize(
    "listed, names",
    [
        pytest.param([{"RepoTags": ["b:1", "a:1"]}, {"RepoTags": ["c:1"]}], ("a:1", "b:1", "c:1"), id="sorted"),
        pytest.param([{"RepoTags": ["<none>:<none>"]}, {"RepoTags": None}, {}], (), id="those without a name are not"),
        pytest.param({"message": "x"}, (), id="nothing that is a list"),
    ],
)
def test_the_images_of_an_engine_are_listed(
    engine: FakeEngine, options: StoreOptions, listed: Any, names: tuple[str, ...]
) -> None:
    engine.listed = json.dumps(listed).encode()
    with open_source(at(""), options) as source:
        assert source.names() == names
        assert not list(source.attachments(DIGEST))
        with pytest.raises(NotFound, match=r"the Docker Engine .* holds many images: .* docker-daemon:NAME"):
            source.resolve("")
        with pytest.raises(NotFound, match="docker-daemon:NAME"):
            source.fetch(Descriptor(media_type="", digest=DIGEST, size=-1))


@pytest.mark.parametrize(
    "answer, error",
    [
        pytest.param((500, b"{}"), Unreachable, id="a failure"),
        pytest.param((200, b"[{"), Invalid, id="no JSON"),
    ],
)
def test_an_engine_that_cannot_list_its_images(
    engine: FakeEngine, options: StoreOptions, answer: tuple[int, bytes], error: type[Exception]
) -> None:
    engine.answer = answer
    with pytest.raises(error, match="the list of images"):
        open_source(at(""), options)


def test_what_an_engine_saves_is_looked_at(engine: FakeEngine, options: StoreOptions) -> None:
    engine.answer = (200, b"x" * 1024)
    with pytest.raises(Invalid):
        open_source(at("app:1"), options)


def test_an_engine_on_the_network(engine: FakeEngine) -> None:
    with Server(handler_of(engine)) as server:
        load(StoreOptions(docker_host=f"tcp://{server.host}"))
    assert engine.loaded


def test_an_engine_behind_tls(engine: FakeEngine, tmp_path: Path) -> None:
    issued = issue(tmp_path, "cert")
    certificate, key = issued.cert_path, issued.key_path
    shutil.copy(certificate, tmp_path / "ca.pem")
    shutil.copy(certificate, tmp_path / "cert.pem")
    shutil.copy(key, tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(handler_of(engine))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    environment = {
        "DOCKER_HOST": f"tcp://{server.host}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tmp_path),
    }
    with server:
        load(StoreOptions(environment=environment))
        assert engine.loaded
        (tmp_path / "ca.pem").write_text("x")
        with pytest.raises(Invalid, match="cannot load ca"):
            load(StoreOptions(environment=environment))


@pytest.mark.parametrize("host", ["ssh://somewhere", "npipe:////./pipe/docker_engine", "tcp://", "nonsense"])
def test_hosts_that_only_dockers_own_client_knows(host: str) -> None:
    with pytest.raises(Unsupported, match="expected unix://PATH or tcp://HOST:PORT"):
        open_source(at("x"), StoreOptions(docker_host=host))


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    for host in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        with pytest.raises(Unreachable, match=r"cannot connect to .* \(DOCKER_HOST"):
            open_source(at("x"), StoreOptions(docker_host=host))


@pytest.mark.parametrize("name, error", [("", Invalid), ("App", Invalid), (f"a@sha256:{'0' * 64}", Usage)])
def test_what_an_image_cannot_be_called(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_sink(at(name), StoreOptions())
