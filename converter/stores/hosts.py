"""What all registry clients of a run share: limits on concurrent requests, back-off times, connections, and a stop."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from converter.errors import CalledOff
from converter.events import Report, Warned, silent
from converter.model.reference import is_of_attachment
from converter.streams.blocks import ClosedOnExit

if TYPE_CHECKING:
    from converter.stores.retry import Interrupted, RetryPolicy

MOST_POSTPONED = 20
"""How many times in a row a busy host may postpone a request before the request fails."""

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

    def __init__(self) -> None:
        self.knows_referrers = True
        self._attached: frozenset[str] | None = None

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


class Hosts(ClosedOnExit):
    """Shared by a run, and closed at its end; at most ``most`` requests are in flight to a host, 0 means no limit.

    Reads and writes are limited separately: an upload waits for the download that feeds it, and under a common limit
    uploads could take every slot. Code that reads within an upload must therefore not hold a read slot meanwhile.
    """

    def __init__(self, most: int = 0, report: Report = silent) -> None:
        """``report`` is called for each retry."""
        self.most = most
        self.report = report
        self._last_reported: dict[str, float] = {}
        self.on_back_off: Callable[[str, float], None] | None = None
        """Called with a host that asked us to back off, and for how many seconds: other machines may use it, too."""
        self._gates: dict[tuple[str, bool], threading.BoundedSemaphore] = {}
        self._retry_policies: dict[str, RetryPolicy] = {}
        self._back_off_until: dict[str, float] = {}
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._connections: WeakSet[Connection] = WeakSet()
        self._shared: OrderedDict[Hashable, Any] = OrderedDict()
        self._stopped = threading.Event()
        self._until = float("inf")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the shared objects."""
        with self._lock:
            gone, self._shared = self._shared, OrderedDict()
        for one in gone.values():
            one.close()

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        """The shared object for this key, made on first request; one not requested for long may be made again."""
        with self._lock:
            if key in self._shared:
                self._shared.move_to_end(key)
                found: S = self._shared[key]
                return found
        made = make()
        with self._lock:
            found = self._shared.setdefault(key, made)
            gone = [self._shared.popitem(last=False)[1] for _ in range(len(self._shared) - MOST_SHARED)]
        for one in gone:
            one.close()
        return found

    def stop(self) -> None:
        """Let no thread wait for a host any longer: waiting ones are woken, and end with CalledOff."""
        with self._lock:
            if not self._stopped.is_set():
                self._until = time.monotonic() + LAST_SECONDS
                self._stopped.set()
            for one in self._connections:
                one.break_off()

    def stop_on_interrupt(self, error: BaseException) -> None:
        """Stop on Control-C; other errors concern a single image."""
        if isinstance(error, KeyboardInterrupt):
            self.stop()

    @contextmanager
    def last_requests(self) -> Iterator[None]:
        """Let this thread send requests even after a stop, over new connections and for a moment only."""
        before = _last_requests.set(True)
        try:
            yield
        finally:
            _last_requests.reset(before)

    def left(self) -> float | None:
        """The most seconds that a host may still take to answer; None before a stop."""
        return max(0.001, self._until - time.monotonic()) if self._stopped.is_set() else None

    def connected(self, one: Connection) -> None:
        """Register a connection, so that a stop can break it. Raises CalledOff after a stop."""
        with self._lock:
            self._connections.add(one)
        if self._stopped.is_set() and not _last_requests.get():
            raise CalledOff(STOPPED)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise CalledOff(STOPPED)

    def repository(self, host: str, name: str) -> Repository:
        """The repository of that name, shared by all its clients."""
        with self._lock:
            return self._repositories.setdefault((host, name), Repository())

    def gate(self, host: str, *, push: bool) -> AbstractContextManager[object]:
        """A context manager to hold during a request."""
        if not self.most:
            return nullcontext()
        with self._lock:
            return self._gates.setdefault((host, push), threading.BoundedSemaphore(self.most))

    def retry_policy(self, host: str, retries: int) -> RetryPolicy:
        """The shared back-off for that host: if one request is asked to wait, all do."""
        # Imported here because conversions between files do not need it: parsing HTTP dates costs 8 ms.
        from converter.stores.retry import RetryPolicy

        with self._lock:
            if host not in self._retry_policies:
                asked = max(retries, MOST_POSTPONED) if self.most else None
                policy = self._retry_policies[host] = RetryPolicy(
                    retries,
                    self._sleep,
                    asked=asked,
                    on_back_off=partial(self._backed_off, host),
                    on_retry=partial(self._report_retry, host),
                )
                policy.back_off(self._back_off_until.get(host, 0.0) - time.monotonic())
            return self._retry_policies[host]

    def back_off(self, host: str, seconds: float) -> None:
        """Back off from a host because it asked another machine to, even if this one has not contacted it yet."""
        with self._lock:
            self._back_off_until[host] = time.monotonic() + seconds
            if host in self._retry_policies:
                self._retry_policies[host].back_off(seconds)

    def _report_retry(self, host: str, error: Interrupted, seconds: float, failures: int, most: int) -> None:
        """Report a wait, unless it is short, and only once for many threads."""
        now = time.monotonic()
        with self._lock:
            if seconds < LEAST_REPORTED or now - self._last_reported.get(host, -1.0) < LEAST_REPORTED:
                return
            self._last_reported[host] = now
        self.report(Warned(f"{host}: {error.brief}, retrying in {seconds:.0f} s ({failures} of {most})"))

    def _backed_off(self, host: str, seconds: float) -> None:
        if self.on_back_off is not None:
            self.on_back_off(host, seconds)
