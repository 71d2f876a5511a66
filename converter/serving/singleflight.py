"""Work that several threads ask for at the same time, and that is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Singleflight(Generic[T]):
    """A caller that asks while the work for a key is under way waits, and gets the same result or error."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[T]] = {}
        self._lock = threading.Lock()

    def do(self, key: Hashable, work: Callable[[], T]) -> T:
        """The result of ``work``, begun here or by another thread."""
        with self._lock:
            future = self._under_way.get(key)
            mine = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if mine:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised below, in every thread that waits
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._under_way[key]
        return future.result()
