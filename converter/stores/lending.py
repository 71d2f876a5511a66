"""Things that several threads use at once, and of which some are kept for later users."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Lent(Protocol):
    """What is lent. ``size`` is what it counts towards the bound, and may grow while it is used."""

    @property
    def size(self) -> int: ...

    def close(self) -> None: ...


K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Lent)


class Lending(Generic[K, T]):
    """One thing per key, made on first use. Beyond ``most``, unused ones are closed, the least recently used first."""

    def __init__(self, make: Callable[[], T], most: int) -> None:
        self._make = make
        self._most = most
        self._things: OrderedDict[K, T] = OrderedDict()
        self._users: dict[K, int] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close everything; there must be no users left."""
        for thing in self._things.values():
            thing.close()
        self._things.clear()

    @contextmanager
    def use(self, key: K) -> Iterator[T]:
        """The thing of that key, which stays open until it is given back."""
        with self._lock:
            thing = self._things.get(key) or self._things.setdefault(key, self._make())
            self._things.move_to_end(key)
            self._users[key] = self._users.get(key, 0) + 1
        try:
            yield thing
        finally:
            with self._lock:
                self._users[key] -= 1
                self._shrink()

    def _shrink(self) -> None:
        held = sum(thing.size for thing in self._things.values())
        for key, thing in list(self._things.items()):
            if held <= self._most:
                break
            if not self._users[key]:
                held -= thing.size
                thing.close()
                del self._things[key], self._users[key]
