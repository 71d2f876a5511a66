from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from converter.streams.workers import run_each
from tests.patience import PATIENCE, wait_until


def nothing(_: BaseException) -> None:
    """Nobody is to be stopped."""


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_come_in_the_order_of_the_tasks(threads: int) -> None:
    def work(task: int) -> int:
        time.sleep(0.01 * (3 - task))
        return task

    assert run_each(work, range(4), threads, nothing) == [0, 1, 2, 3]


def test_as_many_tasks_are_at_work_as_there_are_threads() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    assert run_each(lambda task: (both.wait(), task)[1], ["a", "b"], 2, nothing) == ["a", "b"]


def test_the_caller_only_waits() -> None:
    assert threading.current_thread() not in run_each(lambda _: threading.current_thread(), [1, 2], 1, nothing)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_ends_the_rest(threads: int) -> None:
    begun: list[int] = []
    stopped = threading.Event()

    def work(task: int) -> None:
        begun.append(task)
        if task == 0:
            raise ValueError(f"task {task}")
        assert stopped.wait(PATIENCE)

    with pytest.raises(ValueError, match="task 0"):
        run_each(work, range(100), threads, lambda _: stopped.set())
    assert len(begun) <= threads


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    work: Callable[[int], int] = abs
    run_each(work, [1, -2, 3], 3, nothing)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def _hears() -> Iterator[None]:
    """Whoever runs the tests in the background may have told all that he starts to ignore Control-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears")
def test_an_interrupted_caller_waits_for_nobody_who_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converter.streams.workers.GRACE", 0.1)
    told: list[BaseException] = []
    begun: list[int] = []
    ended: list[int] = []
    hangs = threading.Event()

    def work(task: int) -> None:
        begun.append(task)
        if task == 0:
            # A signal that this thread gets does not wake the caller.
            wait_until(lambda: len(begun) == 2 and waits(caller), "both tasks have begun, and the caller waits")
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        assert hangs.wait(PATIENCE)
        ended.append(task)

    caller = threading.get_ident()
    with pytest.raises(KeyboardInterrupt):
        run_each(work, range(3), 2, told.append)
    assert ended == []
    assert [type(error) for error in told] == [KeyboardInterrupt]
    hangs.set()


def test_an_interrupted_caller_waits_for_the_thread_that_it_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = threading.Event(), threading.Event()
    ended: list[int] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        assert begun.wait(PATIENCE)
        raise KeyboardInterrupt

    def work(task: int) -> None:
        begun.set()
        assert stopped.wait(PATIENCE)
        time.sleep(0.1)
        ended.append(task)

    monkeypatch.setattr("threading.Thread.start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_each(work, range(3), 2, lambda _: stopped.set())
    assert ended == [0]


def waits(thread: int) -> bool:
    """Whether a thread of this process waits for a result."""
    return sys._current_frames()[thread].f_code.co_name == "run_each"
