"""What all registry clients of a run share: limits on concurrent requests, back-off times, connections, and a stop."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from converter.errors import CalledOff
from converter.events import Report, Warned, silent
from converter.model.limits import in_force
from converter.model.reference import is_of_attachment
from converter.streams.blocks import ClosedOnExit

LEAST_REPORTED = 0.5
"""Waits of fewer seconds are not reported."""

STOPPED = "stopped: no more requests are made"

LAST_SECONDS = 1.0
"""Seconds after a stop in which hosts may still be told what is cancelled."""

_last_requests = ContextVar("last_requests", default=False)

MOST_SHARED = 256
"""The most objects that a run shares at a time: mirroring a large registry uses each of many repositories only once."""


S = TypeVar("S", bound=ClosedOnExit)


class Repository:
    """What a run knows about a repository; it saves requests, because most images have no attachments."""

    knows_referrers = True
    _attached: frozenset[str] | None = None

    def list(self, tags: Iterable[str]) -> None:
        """Remember the tags of attachments from a complete list; image tags are not needed, and may be many."""
        self._attached = frozenset(tag for tag in tags if is_of_attachment(tag))

    def add(self, tag: str) -> None:
        """Remember a tag written after ``list``."""
        if self._attached is not None and is_of_attachment(tag):
            self._attached |= {tag}

    def may_have(self, tag: str) -> bool:
        """Whether an attachment's tag may exist."""
        return self._attached is None or tag in self._attached


class Connection(Protocol):
    """A connection that a thread may be waiting for."""

    def break_off(self) -> None:
        """Wake the threads waiting for it, as if the host had hung up."""


class Host:
    """One host, for all threads of a run: how many requests it takes at a time, and when it takes the next ones.

    Reads and writes are limited separately: an upload waits for the download that feeds it, and under a common limit
    uploads could take every slot. Code that reads within an upload must therefore not hold a read slot meanwhile.
    """

    def __init__(self, name: str, hosts: Hosts) -> None:
        self.name = name
        self.hosts = hosts
        self._slots = {writes: threading.Semaphore(hosts.most or sys.maxsize) for writes in (False, True)}
        self._not_before = 0.0
        self._last_reported = -1.0
        self._lock = threading.Lock()

    @contextmanager
    def slot(self, *, writes: bool) -> Iterator[None]:
        """Hold one of the places for requests that read, or write, from when the host takes the next one."""
        with self._slots[writes]:
            self.wait()
            yield

    def back_off(self, seconds: float) -> None:
        """Back off for that many seconds, as the host has asked this machine or another."""
        with self._lock:
            self._not_before = max(self._not_before, self.hosts.now() + seconds)

    def wait(self) -> None:
        """Wait as long as the host has asked for."""
        seconds = self._not_before - self.hosts.now()
        if seconds > 0:
            self.hosts.sleep(seconds)

    def report_retry(self, fact: str, seconds: float) -> None:
        """Report that a request is retried after so many seconds, unless that is soon, and once for many threads."""
        now = self.hosts.now()
        with self._lock:
            if seconds < LEAST_REPORTED or now - self._last_reported < LEAST_REPORTED:
                return
            self._last_reported = now
        self.hosts.report(Warned(f"{self.name}: {fact}"))


class Hosts(ClosedOnExit):
    """Shared by a run, and closed at its end; at most ``most`` requests are in flight to a host, 0 means no limit."""

    def __init__(self, most: int = 0, report: Report = silent, now: Callable[[], float] = time.monotonic) -> None:
        """``report`` is called for each retry."""
        self.most = most
        self.report = report
        self.now = now
        self.on_back_off: Callable[[str, float], object] = lambda _host, _seconds: None
        """Called with a host that asked us to back off, and for how many seconds: other machines may use it, too."""
        self._hosts: dict[str, Host] = {}
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._connections: WeakSet[Connection] = WeakSet()
        self._shared: OrderedDict[Hashable, Any] = OrderedDict()
        self._stopped = threading.Event()
        self._until = float("inf")
        # A client that is made for others asks for its host, and for connections that others have as well.
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the shared objects."""
        with self._lock:
            gone, self._shared = self._shared, OrderedDict()
        for one in gone.values():
            one.close()

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        """The shared object for this key, made on first request; one not requested for long may be made again."""
        with self._lock:
            found: S = self._shared.pop(key, None) or make()
            self._shared[key] = found
            if len(self._shared) > MOST_SHARED:
                self._shared.popitem(last=False)[1].close()
            return found

    def stop(self) -> None:
        """Let no thread wait for a host any longer: waiting ones are woken, and end with CalledOff."""
        with self._lock:
            self._until = min(self._until, self.now() + LAST_SECONDS)
            self._stopped.set()
            for one in self._connections:
                one.break_off()

    def stop_on_interrupt(self, error: BaseException) -> None:
        """Stop on Control-C; other errors concern a single image."""
        if isinstance(error, KeyboardInterrupt):
            self.stop()

    def last_requests(self) -> AbstractContextManager[None]:
        """Let this thread send requests even after a stop, over new connections and for a moment only."""
        return in_force(_last_requests, True)

    def left(self) -> float | None:
        """The most seconds that a host may still take to answer; None before a stop."""
        return max(0.001, self._until - self.now()) if self._stopped.is_set() else None

    def connected(self, one: Connection) -> None:
        """Register a connection, so that a stop can break it. Raises CalledOff after a stop."""
        with self._lock:
            self._connections.add(one)
        if self._stopped.is_set() and not _last_requests.get():
            raise CalledOff(STOPPED)

    def sleep(self, seconds: float) -> None:
        """Wait. Raises CalledOff after a stop."""
        if self._stopped.wait(seconds):
            raise CalledOff(STOPPED)

    def host(self, name: str) -> Host:
        """The host of that name, shared by all its clients."""
        with self._lock:
            return self._hosts.setdefault(name, Host(name, self))

    def repository(self, host: str, name: str) -> Repository:
        """The repository of that name, shared by all its clients."""
        with self._lock:
            return self._repositories.setdefault((host, name), Repository())
