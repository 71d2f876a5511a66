import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from converter.errors import CalledOff
from converter.streams.workers import Spares, Workers
from tests.patience import PATIENCE, wait_until


def threads_named(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    def slow_for_even(number: int) -> int:
        time.sleep(0.002 * (number % 2))
        return number * number

    with Workers(jobs) as workers:
        assert list(workers.ordered(slow_for_even, iter(range(50)))) == [number * number for number in range(50)]
        assert 0 < threads_named("blocks") <= jobs
    assert threads_named("blocks") == 0


def test_workers_without_work_start_no_thread() -> None:
    with Workers(8) as workers:
        assert list(workers.ordered(str, iter(()))) == []
        assert threads_named("blocks") == 0


def test_all_workers_work_at_once() -> None:
    met = threading.Barrier(3, timeout=PATIENCE)
    with Workers(3) as workers:
        assert len(list(workers.ordered(lambda _: met.wait(), iter(range(9))))) == 9


def test_a_slow_consumer_holds_the_reading_back() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    with Workers(2) as workers:
        results = workers.ordered(abs, items())
        next(results)
        time.sleep(0.02)  # in which more could be read
        assert len(read) <= 2 * 2 + 1


def fail_at(bad: int) -> Callable[[int], int]:
    def work(number: int) -> int:
        if number == bad:
            raise ValueError(f"item {number}")
        return number

    return work


def test_an_error_of_the_work_comes_in_its_turn() -> None:
    seen: list[int] = []
    with Workers(2) as workers:
        with pytest.raises(ValueError, match="item 7"):
            seen.extend(workers.ordered(fail_at(7), iter(range(20))))
        assert seen == list(range(7))
        assert list(workers.ordered(abs, iter([-1]))) == [1], "the workers go on with other work"
    assert threads_named("blocks") == 0


def test_an_error_of_the_items_ends_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with Workers(2) as workers, pytest.raises(ValueError, match="no more"):
        list(workers.ordered(abs, items()))
    assert threads_named("blocks") == 0


def test_what_was_not_begun_when_the_consumer_stops_is_left_undone() -> None:
    begun: list[int] = []
    go = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or go.wait(PATIENCE)
        return number

    with Workers(1) as workers:
        with closing(workers.ordered(work, iter(range(100)), spare=5)) as results:
            next(results)
            wait_until(lambda: len(begun) == 2, "of the items that were handed over, the second is at work")
        go.set()
    assert begun == [0, 1]


def test_many_streams_share_the_threads() -> None:
    results: dict[int, list[int]] = {}
    with Workers(2) as workers:

        def stream(base: int) -> None:
            results[base] = list(workers.ordered(abs, iter(range(base, base + 100))))

        streams = [threading.Thread(target=stream, args=(base * 1000,)) for base in range(20)]
        for thread in streams:
            thread.start()
        for thread in streams:
            thread.join()
        assert threads_named("blocks") == 2
    assert results == {base * 1000: list(range(base * 1000, base * 1000 + 100)) for base in range(20)}


def test_work_for_workers_that_have_left_is_a_mistake() -> None:
    workers = Workers(1)
    with workers:
        pass
    with pytest.raises(RuntimeError):
        list(workers.ordered(abs, iter([1])))


def test_streams_together_hold_no_more_than_one_does() -> None:
    taken = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(100):
            taken.release()
            yield number

    with Workers(4) as workers:
        streams = [workers.ordered(abs, items()) for _ in range(6)]
        for stream in streams:
            next(stream)
        held = taken._value
        assert held <= 2 * 4 + 2 * 6
        for stream in streams:
            assert len(list(stream)) == 99
        assert not workers._pending


def test_a_stream_that_is_alone_hands_over_one_item_more_than_there_are_workers() -> None:
    go = threading.Event()

    def waits(_number: int) -> bool:
        return go.wait(PATIENCE)

    def stream(read: list[int]) -> Iterator[int]:
        for number in range(20):
            read.append(number)
            yield number

    def consume(read: list[int]) -> threading.Thread:
        thread = threading.Thread(target=lambda: list(workers.ordered(waits, stream(read), spare=0)))
        thread.start()
        return thread

    first: list[int] = []
    second: list[int] = []
    with Workers(2) as workers:
        threads = [consume(first)]
        wait_until(lambda: len(first) == 2 + 1 + 1, "two at work, one handed over, and the next one read")
        threads.append(consume(second))
        wait_until(lambda: len(second) == 1 + 1, "another stream may hand over one")
        time.sleep(0.05)  # in which either could go on
        assert (len(first), len(second)) == (4, 2)
        go.set()
        for thread in threads:
            thread.join()
        assert (len(first), len(second)) == (20, 20)


def test_a_stream_that_was_given_up_holds_nothing() -> None:
    with Workers(2) as workers:
        with closing(workers.ordered(abs, iter(range(100)))) as results:
            next(results)
        with pytest.raises(ValueError, match="item 1"):
            list(workers.ordered(fail_at(1), iter(range(100))))
        assert not workers._pending


def test_who_waits_for_a_block_is_woken_by_a_stop_and_nobody_waits_for_those_at_work() -> None:
    begun: list[int] = []
    ended: list[int] = []
    hangs = threading.Event()

    def hang(number: int) -> None:
        begun.append(number)
        assert hangs.wait(PATIENCE)
        ended.append(number)

    def stop_soon(workers: Workers) -> None:
        wait_until(lambda: len(begun) == 2, "both are at work")
        workers.stop()

    with Workers(2) as workers:
        stopping = threading.Thread(target=stop_soon, args=(workers,))
        stopping.start()
        with pytest.raises(CalledOff):
            list(workers.ordered(hang, iter(range(9))))
        with pytest.raises(CalledOff):
            list(workers.ordered(abs, iter(range(9))))
    assert ended == []
    hangs.set()
    stopping.join()
    wait_until(lambda: not threads_named("blocks"), "those at work end")


def test_a_spare_is_used_again_and_by_one_at_a_time() -> None:
    spares = Spares(bytearray)
    one, other = spares.take(), spares.take()
    assert one is not other
    spares.give_back(one)
    assert spares.take() is one
    assert spares.take() is not one


def test_a_thread_that_an_interrupt_kept_from_being_noted_ends_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Thread.start", interrupted)
    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        list(workers.ordered(abs, iter(range(9))))
    wait_until(lambda: not threads_named("blocks"), "it ends")
