"""What all clients of registries share in one run: limits on concurrent requests, back-off times, connections, and a
stop.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from weakref import WeakSet

from converter.errors import CalledOff
from converter.model.naming import is_of_attachment

if TYPE_CHECKING:
    from converter.stores.patience import Patience

ASKED = 20
"""How often in a row a busy host may put off a request before it counts as failed."""

STOPPED = "got a stop, want no more of any host"

PARTING = 1.0
"""Seconds after a stop in which hosts may still be told what will not go on."""

_parting = ContextVar("parting", default=False)

MOST_SHARED = 256
"""Things that a run shares at a time: a mirror of a large registry speaks to many repositories, and once to each."""


class Closable(Protocol):
    """Something that holds connections."""

    def close(self) -> None:
        """Close those that nobody uses: it may be used again."""
        ...


S = TypeVar("S", bound=Closable)


class Repository:
    """What a run knows about one repository. Most images have no attachments, and then no request is needed."""

    def __init__(self) -> None:
        self.knows_referrers = True
        self._attached: frozenset[str] | None = None

    def list(self, tags: Iterable[str]) -> None:
        """Remember all of its tags; of images there may be many, which nobody asks about."""
        self._attached = frozenset(tag for tag in tags if is_of_attachment(tag))

    def add(self, tag: str) -> None:
        """Remember one that was written since."""
        if self._attached is not None and is_of_attachment(tag):
            self._attached |= {tag}

    def may_have(self, tag: str) -> bool:
        """Whether a tag of an attachment may exist."""
        return self._attached is None or tag in self._attached


class Connection(Protocol):
    """A connection that somebody may be waiting for."""

    def break_off(self) -> None:
        """Wake whoever waits for it, as if the host had hung up."""
        ...


class Hosts:
    """One for a run, and closed at its end; ``most`` requests are in flight to a host, 0 for any number.

    Reading and writing are counted apart: an upload waits for the download that feeds it, and were both to wait for the
    same places, all places could be taken by uploads. Whoever reads within an upload must therefore not hold a place
    for reading meanwhile.
    """

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self.told: Callable[[str, float], None] | None = None
        """Is called with a host that asked us to back off, and for how many seconds: other machines may use it, too."""
        self._gates: dict[tuple[str, bool], threading.BoundedSemaphore] = {}
        self._patience: dict[str, Patience] = {}
        self._held: dict[str, float] = {}
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._connections: WeakSet[Connection] = WeakSet()
        self._shared: OrderedDict[Hashable, Any] = OrderedDict()
        self._stopped = threading.Event()
        self._until = float("inf")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is shared."""
        with self._lock:
            gone, self._shared = self._shared, OrderedDict()
        for one in gone.values():
            one.close()

    def shared(self, key: Hashable, make: Callable[[], S]) -> S:
        """The one thing of this key: whoever asks first makes it. What nobody has asked for lately is made again."""
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
        """Let nobody wait for a host any longer: those who do are woken, and end with CalledOff."""
        with self._lock:
            if not self._stopped.is_set():
                self._until = time.monotonic() + PARTING
                self._stopped.set()
            for one in self._connections:
                one.break_off()

    def heed(self, error: BaseException) -> None:
        """Stop on Control-C; other errors concern a single image."""
        if isinstance(error, KeyboardInterrupt):
            self.stop()

    @contextmanager
    def parting(self) -> Iterator[None]:
        """What this thread says meanwhile it may say after a stop, too: over new connections, and for a moment."""
        before = _parting.set(True)
        try:
            yield
        finally:
            _parting.reset(before)

    def left(self) -> float | None:
        """Seconds that a host may take to answer at the most; None before a stop."""
        return max(0.001, self._until - time.monotonic()) if self._stopped.is_set() else None

    def connected(self, one: Connection) -> None:
        """Remember a connection, to be broken when nobody wants to wait any longer. Raises CalledOff then."""
        with self._lock:
            self._connections.add(one)
        if self._stopped.is_set() and not _parting.get():
            raise CalledOff(STOPPED)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise CalledOff(STOPPED)

    def repository(self, host: str, name: str) -> Repository:
        """The one of that name, for all who speak to it."""
        with self._lock:
            return self._repositories.setdefault((host, name), Repository())

    def gate(self, host: str, *, push: bool) -> AbstractContextManager[object]:
        """A context manager to hold during a request."""
        if not self.most:
            return nullcontext()
        with self._lock:
            return self._gates.setdefault((host, push), threading.BoundedSemaphore(self.most))

    def patience(self, host: str, retries: int) -> Patience:
        """The one for that host: if one request is asked to wait, all do."""
        # Here, since a run between files has no need of it: it reads times as HTTP writes them, 8 ms.
        from converter.stores.patience import Patience

        with self._lock:
            if host not in self._patience:
                asked = max(retries, ASKED) if self.most else None
                patience = self._patience[host] = Patience(
                    retries, self._sleep, asked=asked, told=partial(self._tell, host)
                )
                patience.hold(self._held.get(host, 0.0) - time.monotonic())
            return self._patience[host]

    def hold(self, host: str, seconds: float) -> None:
        """Back off from a host that has asked another machine to, even if it has not been contacted from here yet."""
        with self._lock:
            self._held[host] = time.monotonic() + seconds
            if host in self._patience:
                self._patience[host].hold(seconds)

    def _tell(self, host: str, seconds: float) -> None:
        if self.told is not None:
            self.told(host, seconds)
