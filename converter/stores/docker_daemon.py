"""Images of a Docker Engine: does what ``docker save``, ``load`` and ``images`` do, through its socket.

Docker Engine API v1.43: /images/json, /images/{name}/get, /images/load. Podman's service answers to the same requests.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from converter.errors import ConverterError, Denied, Invalid, NotFound, Unreachable, Unsupported, Usage, within
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.document import lenient_member, load_json, read_json
from converter.model.frozen import frozen
from converter.model.limits import MIB
from converter.model.reference import ImageName, Location
from converter.ports import Source
from converter.stores.base_source import NameListing
from converter.stores.docker_archive import DockerArchive
from converter.stores.docker_archive.sink import DockerArchiveSink
from converter.stores.media.file_target import TarTarget
from converter.stores.media.tar_medium import TarMedium
from converter.stores.options import StoreOptions
from converter.stores.registry.connections import no_password
from converter.stores.registry.wire import innermost_reason, not_http
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, Block, file_blocks, on_error, read_whole

SOCKET = "unix:///var/run/docker.sock"
UNNAMED = "<none>:<none>"
"""The name that an Engine shows for an image whose name went to another one."""


def open_source(location: Location, options: StoreOptions) -> Source:
    """One image, by name or ID, fetched whole into an unnamed file because the Engine does not serve parts.

    ``docker-daemon:`` is the list of its images. Raises NotFound if the Engine has no such image, Unreachable if there
    is no Engine.
    """
    engine = engine_of(options)
    with engine.pool:
        if not location.path:
            names = engine.names()
            return NameListing(f"the Docker Engine at {engine.host}", "docker-daemon:NAME", lambda: names)
        fd = spool.spool_blocks(engine.save(location.path))
    medium = TarMedium(Path(location.path), fd)
    medium.where = f"the Docker Engine at {engine.host}"
    return DockerArchive(medium, options.problems)


def open_sink(location: Location, options: StoreOptions) -> DaemonSink:
    """Load an image into the Engine under the name REF. Raises Invalid if that is not a name, Usage for a digest."""
    reference = ImageName.parse(location.path)
    if reference.digest is not None:
        raise Usage(f"cannot load docker-daemon:{location.path} under a digest: expected docker-daemon:REPO[:TAG]")
    return DaemonSink(reference, engine_of(options))


class DaemonSink(DockerArchiveSink):
    """An archive that the Engine loads when the sink commits, all of it or nothing."""

    def __init__(self, reference: ImageName, engine: Engine) -> None:
        super().__init__(EngineTar(engine))
        self._reference = reference

    def _commit(self) -> None:
        with within(f"docker-daemon:{self._reference}"):
            super()._commit()

    def name(self, name: str, root: Descriptor) -> None:
        """As for an archive; an empty name means that of the reference."""
        super().name(name or str(self._reference.tagged()), root)


class EngineTar(TarTarget):
    """A stream into the Engine, which loads what has been written once it is complete."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(Path("-"))
        self._engine = engine

    def begin(self) -> None:
        self.fd = spool.unnamed_file()

    def abort(self) -> None:
        super().abort()
        self._engine.pool.close()

    def _copy_out(self) -> None:
        """Load it. Raises the Engine's error; it has then loaded nothing."""
        self._engine.load(file_blocks(self.fd, 0, self.end, COPY_BLOCK, self.written))


@frozen(kw_only=False)
class Engine:
    """An Engine that has not been contacted yet; ``host`` has the form of DOCKER_HOST."""

    host: str
    pool: HTTPConnectionPool

    def names(self) -> tuple[str, ...]:
        """The names of its images, in order; those without a name are left out. Raises Unreachable, Denied, Invalid."""
        with within("the list of images"), self._answer("GET", "/images/json") as response:
            listed = load_json(read_whole(response.stream(COPY_BLOCK), "of names"))
        rows = listed if isinstance(listed, list) else []
        names = {name for row in rows for name in lenient_member(row, "RepoTags", list) if isinstance(name, str)}
        return tuple(sorted(names - {UNNAMED}))

    def save(self, name: str) -> Iterator[Block]:
        """The tar that ``docker save NAME`` writes. Raises NotFound if there is no such image, Unreachable, Denied."""
        with self._answer("GET", f"/images/{quote(name, safe='/:@')}/get") as response:
            yield from response.stream(COPY_BLOCK)

    def load(self, archive: Blocks) -> None:
        """Do what ``docker load`` does: nothing if ``archive`` raises. Raises Invalid if the Engine refuses."""
        headers = {"Content-Type": "application/x-tar"}
        with self._answer("POST", "/images/load?quiet=1", archive, headers) as response:
            for line in response.read(MIB).splitlines():
                failure = None
                # Whatever limits a document has, a failure is heard; what is no object is none.
                with suppress(ValueError, AttributeError, RecursionError):
                    failure = json.loads(line).get("error")
                if failure:
                    raise Invalid(f"the Docker Engine cannot load the image: {str(failure)[:300]}")

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Blocks | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """The answer to a request that succeeds. Raises NotFound, Denied, Unreachable."""
        try:
            response = self.pool.urlopen(
                method,
                path,
                # A socket takes memoryviews as well as bytes.
                body=cast("Iterable[bytes] | None", body),
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except (HTTPError, OSError) as error:
            if any(isinstance(cause, PermissionError) for cause in (error, *error.args)):
                raise Denied(f"cannot connect to the Docker Engine at {self.host}: permission denied") from error
            why = not_http(error) or innermost_reason(error)
            fact = f"cannot connect to the Docker Engine at {self.host}: {why} (DOCKER_HOST says where it is)"
            raise Unreachable(fact) from error
        with response:
            try:
                if response.status != 200:
                    raise _refusal(response.status, response.read(MIB))
                yield response
            except HTTPError as error:
                raise Unreachable(f"the answer of {self.host} broke off: {innermost_reason(error)}") from error


def engine_of(options: StoreOptions) -> Engine:
    """The Engine that ``docker_host`` or DOCKER_HOST names, with TLS according to DOCKER_TLS_VERIFY and
    DOCKER_CERT_PATH.

    Raises Unsupported for transports that only Docker's own client knows, Invalid for certificates that cannot be
    loaded.
    """
    environment = options.environment
    host = options.docker_host or environment.get("DOCKER_HOST") or SOCKET
    timeout = Timeout(connect=options.timeout, read=None)
    parts = urlsplit(host)
    with within(f'DOCKER_HOST "{host}"' if environment.get("DOCKER_HOST") == host else host):
        if parts.scheme == "unix":
            return Engine(host, _UnixPool("localhost", timeout=timeout, path=parts.path))
        if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
            raise Unsupported("unsupported address of a Docker Engine: expected unix://PATH or tcp://HOST:PORT")
        if not (parts.scheme == "https" or environment.get("DOCKER_TLS_VERIFY")):
            return Engine(host, HTTPConnectionPool(parts.hostname, parts.port or 2375, timeout=timeout))
        context = _context(Path(environment.get("DOCKER_CERT_PATH") or options.home / ".docker"))
        pool = HTTPSConnectionPool(parts.hostname, parts.port or 2376, timeout=timeout, ssl_context=context)
        return Engine(host, pool)


def _context(folder: Path) -> ssl.SSLContext:
    authority = folder / "ca.pem"
    try:
        context = ssl.create_default_context(cafile=authority if authority.exists() else None)
        # Set by default since Python 3.13, but a CA made by Docker's own instructions lacks what it requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if (folder / "cert.pem").exists():
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem", password=no_password)
    except (OSError, ValueError) as error:
        raise Invalid(f"cannot load ca.pem, cert.pem and key.pem in {folder}: expected PEM") from error
    return context


class _UnixConnection(HTTPConnection):
    def __init__(self, *arguments: Any, path: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with on_error(connection.close):
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        return connection


class _UnixPool(HTTPConnectionPool):
    """Connections to a Unix socket, the ``path``; the host appears only in the Host header."""

    ConnectionCls = _UnixConnection


def _refusal(status: int, body: bytes) -> ConverterError:
    # An Engine that wants TLS answers plain HTTP in plain text.
    message = lenient_member(read_json(body).value, "message", str) or body.decode(errors="replace").strip()
    text = message[:300]
    fact = f"the Docker Engine answers {status}: {text}"
    if status == 404 and "no such image" in text.lower():
        return NotFound(f"{text[:1].lower()}{text[1:]} (`docker image ls` lists them)")
    return {401: Denied, 403: Denied, 404: NotFound}.get(status, Unreachable)(fact)
