"""Connections to a host: with which certificates, how many bytes of headers it may send, and how slowly.

Certificates are those of containers-certs.d(5) and Docker's certs.d. A socket's timeout applies to each call: a host
that sends one byte per call would never reach it.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from converter.errors import Invalid, NotFound
from converter.stores.disk import disk_errors, names_in
from converter.stores.hosts import Connection
from converter.stores.options import StoreOptions

LEAST = 1024
"""Fewer bytes than this within twice the timeout count as no progress."""


class _Raw(io.RawIOBase):
    """The socket of one response, with its waiting times added up."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._raw = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._most_waited = float("inf") if timeout is None else 2 * timeout
        self._waited = 0.0
        self._got = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        started = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - started
        self._got += count or 0
        if self._got >= LEAST:
            self._waited, self._got = 0.0, 0
        elif self._waited > self._most_waited:
            raise TimeoutError(f"only {self._got} bytes in {self._waited:.0f} s")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """Limits the bytes in lines: of headers, chunk sizes and trailers; reading content restarts the count."""

    def __init__(self, raw: _Raw, most: int) -> None:
        super().__init__(raw)
        self._most = most
        self._lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(-1 if size is None else size)
        self._lines += len(line)
        if self._lines > self._most:
            # The wording is that of http.client, whose own such errors ``wire.connection_error`` recognises.
            raise http.client.HTTPException(f"more than {self._most} bytes of headers")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        self._lines = 0
        return super().read(size)


def bounded_pools(most: int, connected: Callable[[Connection], None]) -> dict[str, type]:
    """The pools of urllib3 by scheme, for responses with at most ``most`` bytes of headers that do not trickle;
    ``connected`` is called with each connection.
    """

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
            super().__init__(sock, *arguments, **more)
            self.fp.close()
            self.fp = _Lines(_Raw(sock), most)

    class Plain(HTTPConnection):
        response_class = Response
        refused = False
        """Set if a body was refused: unless the other side has read it, it hangs up, and perhaps a moment later."""

        def connect(self) -> None:
            super().connect()
            connected(self)
            self.refused = False

        @property
        def is_connected(self) -> bool:
            """False, so that no other request follows, where a body was refused."""
            return super().is_connected and not self.refused

        def break_off(self) -> None:
            sock: object = self.sock
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    # Not TLS's own shutdown, which would drop the session under the thread that reads from it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    class Secure(Plain, HTTPSConnection):
        """The same with TLS: ``super()`` in ``Plain`` is ``HTTPSConnection`` here."""

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def cert_dirs(home: Path) -> tuple[Path, ...]:
    """Where container tools keep certificates by host, in their order (containers-certs.d(5))."""
    return (
        home / ".config/containers/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )


def folder_of(host: str, port: int, options: StoreOptions) -> Path | None:
    """The folder of ``HOST:PORT``, or of ``HOST`` if the port is 443: the first that exists.

    IPv6 addresses are in brackets there, as in references.
    """
    if options.cert_dir is not None:
        if not options.cert_dir.is_dir():
            raise NotFound(f"{options.cert_dir}: no such directory (--cert-dir)")
        return options.cert_dir
    host = f"[{host}]" if ":" in host else host
    names = [f"{host}:{port}", *([host] if port == 443 else [])]
    folders = (folder / name for folder in cert_dirs(options.home) for name in names)
    return next((folder for folder in folders if folder.is_dir()), None)


def context_for(host: str, port: int, options: StoreOptions) -> ssl.SSLContext:
    """The TLS context for a host.

    ``*.crt`` are authorities in addition to the system's; ``X.cert`` with ``X.key`` is shown to the host. Raises
    Invalid if one of a pair is missing or a file cannot be loaded.
    """
    if options.tls_verify:
        context = ssl.create_default_context()
        # Set by default since Python 3.13, but many private authorities' certificates lack what it requires.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    else:
        # Loading the system's authorities takes 20 ms, and they would not be used.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    folder = folder_of(host, port, options)
    if folder is None:
        return context
    with disk_errors(folder, "read"):
        names = names_in(folder)
    for name in names:
        _load_certificates(context, folder / name, names)
    return context


def _load_certificates(context: ssl.SSLContext, path: Path, names: list[str]) -> None:
    try:
        if path.suffix == ".crt":
            context.load_verify_locations(cafile=path)
        elif path.suffix == ".cert":
            if f"{path.stem}.key" not in names:
                raise Invalid(f"{path} has no key: add {path.stem}.key next to it")
            context.load_cert_chain(path, path.with_suffix(".key"), password=no_password)
        elif path.suffix == ".key" and f"{path.stem}.cert" not in names:
            raise Invalid(f"{path} has no certificate: add {path.stem}.cert next to it")
    except (OSError, ValueError) as error:
        # SSLError is an OSError, and its text names only OpenSSL's internals.
        raise Invalid(
            f"cannot load {path}: expected PEM; a key must match its certificate and have no password"
        ) from error


def no_password() -> str:
    """Raise ValueError: otherwise OpenSSL would ask on the terminal."""
    raise ValueError
