"""One thread that ends connections: those whose request takes too long, and those that were answered."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from converter.model.frozen import frozen
from converter.model.limits import KIB, MIB

LINGERING = 2.0
"""Seconds for which a connection that was answered is read from, while its client reads the answer."""

DROPPED = MIB
"""The most bytes that are read from it."""

MOST_CONNECTIONS = 1024
"""The most such connections at a time, and the most whose request has begun and not ended."""

_BLOCK = 64 * KIB


@frozen
class _Closing:
    """When a connection was answered last, and how much of what came afterwards may still be dropped."""

    at: float
    left: int = DROPPED


class Watch:
    """A thread that closes connections. Any thread may hand one over."""

    def __init__(self, seconds: float) -> None:
        """A request may take so many seconds to arrive."""
        self._seconds = seconds
        self._begun: dict[Any, float] = {}
        self._closing = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        """End, and close what lingers."""
        self._stopping.set()

    def begin(self, connection: Any) -> None:
        """A request begins, or goes on. If too many have begun, the first of them is broken off."""
        with self._lock:
            self._begun.setdefault(connection, time.monotonic())
            first = next(iter(self._begun)) if len(self._begun) > MOST_CONNECTIONS else None
            if first is not None:
                del self._begun[first]
        if first is not None:
            first.break_off()

    def end(self, connection: Any) -> None:
        """The request has arrived."""
        with self._lock:
            self._begun.pop(connection, None)

    def close(self, sock: socket.socket) -> None:
        """Close a connection once its client has closed it too, or after a while.

        If it were closed with input that nobody has read, the system would reset it, and the client might miss the end
        of its answer (RFC 9112, 9.6).
        """
        with suppress(OSError, ValueError):
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            with self._lock:
                if not self._stopping.is_set() and len(self._closing.get_map()) < MOST_CONNECTIONS:
                    self._closing.register(sock, selectors.EVENT_READ, _Closing(at=time.monotonic()))
                    return
        sock.close()

    def _run(self) -> None:
        interval = min(1.0, self._seconds / 4)
        checked = time.monotonic()
        while not self._stopping.is_set():
            for key, _ in self._closing.select(interval):
                self._drop(key)
            if time.monotonic() - checked >= interval:
                checked = time.monotonic()
                self._break_off(checked)
        with self._lock:
            for key in tuple(self._closing.get_map().values()):
                self._close(key)
            self._closing.close()

    def _drop(self, key: selectors.SelectorKey) -> None:
        """Read what a client sends that was answered, up to its end."""
        sock: Any = key.fileobj
        try:
            number = len(sock.recv(_BLOCK))
        except BlockingIOError:
            return
        except OSError:
            number = 0
        with self._lock:
            if number and key.data.left > number:
                self._closing.modify(sock, selectors.EVENT_READ, _Closing(at=key.data.at, left=key.data.left - number))
            else:
                self._close(key)

    def _break_off(self, now: float) -> None:
        with self._lock:
            late = [one for one, at in self._begun.items() if now - at > self._seconds]
            for one in late:
                del self._begun[one]
            for key in tuple(self._closing.get_map().values()):
                if now - key.data.at > LINGERING:
                    self._close(key)
        for one in late:
            one.break_off()

    def _close(self, key: selectors.SelectorKey) -> None:
        sock: Any = key.fileobj
        self._closing.unregister(sock)
        sock.close()
