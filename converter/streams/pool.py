"""A few threads that share a list of tasks: whole images, or whole layers if ``workers`` processes their blocks.

The caller only waits, so that it responds to signals, above all Control-C, at once.
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
"""Seconds that an interrupted caller waits for its threads. One that hangs in a system call is abandoned."""

SIGNAL_INTERVAL = 0.2
"""Seconds after which a waiting caller checks for signals.

The system may deliver one to any thread, for example one that starts another; Python handles signals only in the main
thread, which this does not wake.
"""

Stop = Callable[[BaseException], None]
"""Called with the reason for running tasks to end early; KeyboardInterrupt means nobody waits for them for long."""


def run_each(work: Callable[[T], R], tasks: Sequence[T], threads: int, stop: Stop) -> list[R]:
    """The results of ``work`` for every task, in order; tasks start in order, on up to ``threads`` threads at once.

    After the first error no further task starts, ``stop`` is called so that running ones end early, and once all have
    ended, the error is raised.
    """
    if not tasks:
        return []
    results = dict(run_as_completed(work, tasks, max(1, min(threads, len(tasks))), stop))
    return [results[place] for place in range(len(tasks))]


def run_as_completed(
    work: Callable[[T], R], tasks: Iterable[T], threads: int, stop: Stop
) -> Generator[tuple[int, R], None, None]:
    """Each result, with the number of its task, as soon as it is available."""
    waiting, lock = enumerate(tasks), Lock()
    results: SimpleQueue[tuple[int, R] | BaseException | None] = SimpleQueue()
    errors: list[BaseException] = []

    def run_tasks() -> None:
        try:
            while not errors:
                with lock:
                    following = next(waiting, None)
                if following is None:
                    return
                number, task = following
                results.put((number, work(task)))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            results.put(error)
        finally:
            results.put(None)

    started = [Thread(target=copy_context().run, args=(run_tasks,), name="tasks", daemon=True) for _ in range(threads)]
    try:
        for thread in started:
            thread.start()
        left = len(started)
        while left:
            result = _next_result(results)
            if result is None:
                left -= 1
            elif isinstance(result, BaseException):
                errors.append(result)
                stop(result)
            elif not errors:
                yield result
    except BaseException as error:
        errors.insert(0, error)
        stop(error)
        _join(started, GRACE if isinstance(error, KeyboardInterrupt) else None)
        raise
    _join(started)
    if errors:
        raise errors[0]


def _next_result(results: SimpleQueue[T]) -> T:
    while True:
        try:
            return results.get(timeout=SIGNAL_INTERVAL)
        except Empty:
            continue


def _join(started: Sequence[Thread], seconds: float | None = None) -> None:
    """Wait for all threads to end, up to ``seconds`` in total."""
    until = None if seconds is None else time.monotonic() + seconds
    for thread in started:
        if thread.ident is None:  # Control-C came before it was started
            continue
        thread.join(None if until is None else max(0.0, until - time.monotonic()))
