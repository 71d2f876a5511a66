"""A connection of cheroot whose requests are read as they arrive, without a thread that waits for them."""

from __future__ import annotations

import io
import re
import socket
import ssl
from contextlib import suppress
from typing import Any

from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection

from converter.model.limits import KIB
from converter.serving.watch import Watch

HEAD = 32 * KIB
"""The most bytes of a request line and headers."""

_BLOCK = 8 * KIB
_END = b"\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_NO_REQUEST = re.compile(rb"(?:\r\n)?+[^\n]*+\n(?<! HTTP/1\.[01]\r\n)")
"""A first line that is none of HTTP, such as a client's that tries TLS first: it waits for an answer."""


class _Received(io.BytesIO):
    """What a client has sent, from which cheroot reads requests as from a file."""

    def add(self, data: bytes) -> None:
        """Forget what has been read, and append."""
        unread = self.read()
        self.seek(0)
        self.truncate()
        self.write(unread + data)
        self.seek(0)

    @property
    def unread(self) -> int:
        """The bytes that have not been read."""
        return self.getbuffer().nbytes - self.tell()

    @property
    def has_head(self) -> bool:
        """Whether the headers of a request are here, or what cannot become a request."""
        unread = self.getvalue()[self.tell() :]
        return len(unread) > HEAD or _END in unread or _NO_REQUEST.match(unread) is not None

    def has_data(self) -> bool:
        """For cheroot, which would have it answered at once: no, ``receive`` decides that."""
        return False


class Connection(HTTPConnection):  # type: ignore[misc]  # cheroot has no types
    """A connection. Nothing in it refers back to it, so that it is freed once it is closed.

    What only the garbage collector frees stays until there is enough of it, which takes thousands of connections.
    """

    def __init__(self, watch: Watch, server: Any, sock: Any, _makefile: Any = None) -> None:
        super().__init__(server, sock, _file)
        # Caches of bound methods, for sockets of Unix.
        del self.resolve_peer_creds, self.get_peer_creds
        self._watch = watch

    def receive(self) -> bool:
        """Read what has arrived, without waiting for more; whether there is a request to be answered.

        Raises OSError if the client is gone.
        """
        received: _Received = self.rfile
        self.socket.setblocking(False)
        try:
            while not received.has_head:
                data = self.socket.recv(_BLOCK)
                if not data and not received.unread:
                    raise ConnectionAbortedError
                if not data:
                    break
                received.add(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            self.socket.settimeout(self.server.timeout)
        self._watch.end(self)
        return True

    def refuse(self) -> None:
        """Ask the client to come back, without waiting for it, and close."""
        with suppress(OSError):
            self.socket.setblocking(False)
            self.socket.send(_BUSY)
        self.close()

    def close(self) -> None:
        """Close it once the client has what it was sent."""
        self._watch.end(self)
        self.rfile.close()
        self._watch.close(self.socket)
        # What a client did not take is dropped here, not by the garbage collector.
        with suppress(OSError, ValueError):
            self.wfile.close()

    def break_off(self) -> None:
        """Let whoever reads or writes it find it closed."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def _file(sock: Any, mode: str, size: int) -> Any:
    return _Received() if mode == "rb" else MakeFile(sock, mode, size)
