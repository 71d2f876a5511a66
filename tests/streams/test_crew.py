from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from converter.streams.crew import each


def nothing() -> None:
    """Nobody is to be stopped."""


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_come_in_the_order_of_the_tasks(threads: int) -> None:
    def work(task: int) -> int:
        time.sleep(0.01 * (3 - task))
        return task

    assert each(work, range(4), threads, nothing) == [0, 1, 2, 3]


def test_as_many_tasks_are_at_work_as_there_are_threads() -> None:
    both = threading.Barrier(2, timeout=10)
    assert each(lambda task: (both.wait(), task)[1], ["a", "b"], 2, nothing) == ["a", "b"]


def test_one_thread_is_the_callers() -> None:
    assert each(lambda _: threading.current_thread(), [1, 2], 1, nothing) == [threading.current_thread()] * 2


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_ends_the_rest(threads: int) -> None:
    begun: list[int] = []
    stopped = threading.Event()

    def work(task: int) -> None:
        begun.append(task)
        if task == 0:
            raise ValueError(f"task {task}")
        assert stopped.wait(10)

    with pytest.raises(ValueError, match="task 0"):
        each(work, range(100), threads, stopped.set)
    assert len(begun) <= threads


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    work: Callable[[int], int] = abs
    each(work, [1, -2, 3], 3, nothing)
    assert set(threading.enumerate()) <= before
