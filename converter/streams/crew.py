"""A few threads that share a list of tasks: whole layers, where ``workers`` does their blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], tasks: Sequence[T], threads: int, stop: Callable[[], None]) -> list[R]:
    """``work`` of every task, begun in their order and given in it, by so many threads at once.

    After the first error no task is begun any more, ``stop`` is called so that those at work end early, and once all
    have, the error is raised. With one thread that is the caller's.
    """
    if threads <= 1 or len(tasks) <= 1:
        return [work(task) for task in tasks]
    todo = deque(enumerate(tasks))
    results: dict[int, R] = {}
    errors: list[BaseException] = []

    def labour() -> None:
        while not errors:
            try:
                place, task = todo.popleft()
            except IndexError:
                return
            try:
                results[place] = work(task)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                errors.append(error)
                stop()

    crew = [Thread(target=copy_context().run, args=(labour,), name="layer") for _ in range(min(threads, len(tasks)))]
    for thread in crew:
        thread.start()
    try:
        for thread in crew:
            thread.join()
    except BaseException as error:  # noqa: BLE001 - Control-C: raised again once all threads have ended
        errors.insert(0, error)
        stop()
        for thread in crew:
            thread.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(tasks))]
