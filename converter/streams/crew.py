"""A few threads that share a list of tasks: whole images, or whole layers where ``workers`` does their blocks.

The caller does nothing but wait, so that whatever it is told meanwhile, Control-C above all, is passed on at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

GRACE = 1.5
"""Seconds that a caller who was interrupted waits for its threads. One that hangs in a call to the system is left."""

GLANCE = 0.2
"""Seconds after which a caller that waits looks up. The system may give a signal to any thread, one that starts another
for example, and Python lets only the first one answer it, whom that does not wake.
"""

Stop = Callable[[BaseException], None]
"""Hears why those at work should end early; KeyboardInterrupt says that nobody waits for them for long."""


def each(work: Callable[[T], R], tasks: Sequence[T], threads: int, stop: Stop) -> list[R]:
    """``work`` of every task, begun in their order and given in it, by so many threads at once.

    After the first error no task is begun any more, ``stop`` is called so that those at work end early, and once all
    have, the error is raised.
    """
    if not tasks:
        return []
    results = dict(completed(work, tasks, max(1, min(threads, len(tasks))), stop))
    return [results[place] for place in range(len(tasks))]


def completed(
    work: Callable[[T], R], tasks: Iterable[T], threads: int, stop: Stop
) -> Generator[tuple[int, R], None, None]:
    """The same, each result with the number of its task, as soon as it is there."""
    waiting, lock = enumerate(tasks), Lock()
    news: SimpleQueue[tuple[int, R] | BaseException | None] = SimpleQueue()
    errors: list[BaseException] = []

    def labour() -> None:
        try:
            while not errors:
                with lock:
                    following = next(waiting, None)
                if following is None:
                    return
                number, task = following
                news.put((number, work(task)))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            news.put(error)
        finally:
            news.put(None)

    crew = [Thread(target=copy_context().run, args=(labour,), name="crew", daemon=True) for _ in range(threads)]
    try:
        for thread in crew:
            thread.start()
        left = len(crew)
        while left:
            heard = _next(news)
            if heard is None:
                left -= 1
            elif isinstance(heard, BaseException):
                errors.append(heard)
                stop(heard)
            elif not errors:
                yield heard
    except BaseException as error:
        errors.insert(0, error)
        stop(error)
        _join(crew, GRACE if isinstance(error, KeyboardInterrupt) else None)
        raise
    _join(crew)
    if errors:
        raise errors[0]


def _next(news: SimpleQueue[T]) -> T:
    while True:
        try:
            return news.get(timeout=GLANCE)
        except Empty:
            continue


def _join(crew: Sequence[Thread], seconds: float | None = None) -> None:
    """Wait for the end of all, together no longer than that."""
    until = None if seconds is None else time.monotonic() + seconds
    for thread in crew:
        if thread.ident is None:  # it was to be started when Control-C came
            continue
        thread.join(None if until is None else max(0.0, until - time.monotonic()))
