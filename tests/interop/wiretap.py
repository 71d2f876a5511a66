"""Stands between two ends of TCP, passes everything on as it is, and keeps what went either way."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Wiretap:
    """Listens on a port of the loopback; ``heard`` are blocks in the order they came, of all connections."""

    port: int
    heard: list[bytes] = field(default_factory=list)

    @property
    def bytes(self) -> bytes:
        """All of it."""
        return b"".join(self.heard)


@contextlib.contextmanager
def wiretap(port: int) -> Iterator[Wiretap]:
    """One before a port of the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        tap = Wiretap(server.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near = server.accept()[0]
                    far = socket.create_connection(("127.0.0.1", port))
                    for one, other in ((near, far), (far, near)):
                        threading.Thread(target=_pass_on, args=(one, other, tap.heard), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield tap
        # A thread that waits in accept() does not notice that its socket is closed.
        server.shutdown(socket.SHUT_RDWR)


def _pass_on(one: socket.socket, other: socket.socket, heard: list[bytes]) -> None:
    with contextlib.suppress(OSError), one, other:
        while block := one.recv(1 << 16):
            heard.append(block)
            other.sendall(block)
