"""The threads that answer connections: started when none is idle, up to a limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Full, SimpleQueue
from typing import Generic, Protocol, TypeAlias, TypeVar


class Connection(Protocol):
    """What a thread answers."""

    def close(self) -> None:
        """End it; nobody answers it."""

    def break_off(self) -> None:
        """End it while another thread answers it, which then closes it."""


T = TypeVar("T", bound=Connection)

Mailbox: TypeAlias = "SimpleQueue[T | None]"
"""Where a thread finds the connection that it is to answer, or None if it is to end."""


class Threads(Generic[T]):
    """A thread is started when no other is idle; of those that are, the one that has just become so is next.

    What a thread has used of its stack and of the allocator's caches stays with it. So if sixteen clients ask at a
    time, the memory of sixteen threads is used, and not, in turn, that of all.
    """

    def __init__(self, answer: Callable[[T], None], most: int, queue: int) -> None:
        """At ``most`` so many threads; when all are busy, a ``queue`` of so many connections waits. ``answer`` raises
        nothing.
        """
        self._answer, self._most, self._queue = answer, most, queue
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._busy: dict[Mailbox[T], T] = {}
        self._idle: list[Mailbox[T]] = []
        self._waiting: deque[T] = deque()
        self._stopping = False

    def start(self) -> None:
        """Nothing: threads are started when they are needed."""

    def put(self, connection: T) -> None:
        """Have a connection answered; raises Full."""
        with self._lock:
            if self._idle:
                self._give(self._idle.pop(), connection)
            elif len(self._threads) < self._most:
                self._start(connection)
            elif len(self._waiting) < self._queue:
                self._waiting.append(connection)
            else:
                raise Full

    def stop(self, seconds: float) -> None:
        """End once every connection is answered; after so many seconds, break off those that are not."""
        deadline = time.monotonic() + seconds
        with self._lock:
            self._stopping = True
            for idle in self._idle:
                idle.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            for connection in self._waiting:
                connection.close()
            self._waiting.clear()
            for connection in self._busy.values():
                connection.break_off()
        for thread in self._threads:
            thread.join()

    def _start(self, connection: T) -> None:
        mailbox: Mailbox[T] = SimpleQueue()
        thread = threading.Thread(target=self._run, args=(mailbox,), name=f"answer-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more
            raise Full from None
        self._threads.append(thread)
        self._give(mailbox, connection)

    def _give(self, mailbox: Mailbox[T], connection: T) -> None:
        self._busy[mailbox] = connection
        mailbox.put(connection)

    def _run(self, mailbox: Mailbox[T]) -> None:
        while (connection := mailbox.get()) is not None:
            self._answer(connection)
            with self._lock:
                del self._busy[mailbox]
                if self._waiting:
                    self._give(mailbox, self._waiting.popleft())
                elif self._stopping:
                    mailbox.put(None)
                else:
                    self._idle.append(mailbox)
