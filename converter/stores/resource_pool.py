"""Resources that several threads share; some unused ones are kept for later users."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Generic, TypeVar

from converter.streams.blocks import ClosedOnExit

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=ClosedOnExit | BinaryIO)


class _Slot(Generic[T]):
    """The place of a thing, which its first user makes while others wait for it."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.thing: T | None = None
        self.users = 0


class ResourcePool(Generic[K, T]):
    """One resource per key, made on first use; too many unused ones are closed, least recently used first.

    ``most`` bounds their number, or the sum of their sizes if ``size`` says how large one is.
    """

    def __init__(self, most: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._slots: OrderedDict[K, _Slot[T]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close everything; there must be no users left."""
        for slot in self._slots.values():
            if slot.thing is not None:
                slot.thing.close()
        self._slots.clear()

    @contextmanager
    def use(self, key: K, make: Callable[[], T]) -> Iterator[T]:
        """The thing of that key, made now if it is not there; it stays open until it is given back."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            slot.users += 1
        try:
            with slot.opening:
                if slot.thing is None:
                    slot.thing = make()
            yield slot.thing
        finally:
            with self._lock:
                slot.users -= 1
                self._shrink()

    def _shrink(self) -> None:
        total = sum(self._size(slot.thing) for slot in self._slots.values() if slot.thing is not None)
        for key, slot in list(self._slots.items()):
            if total <= self._most:
                break
            if not slot.users and slot.thing is not None:
                total -= self._size(slot.thing)
                slot.thing.close()
                del self._slots[key]
