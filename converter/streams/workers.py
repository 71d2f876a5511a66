"""Threads that share work: tasks of an image or a layer, and, in one pool for all streams, their blocks.

So one large layer uses every core, as twenty small ones do. Threads suffice, as hashing and compressing release the
interpreter's lock. Who waits for tasks does nothing else, so that Control-C is responded to at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Lock, Thread, current_thread
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

from converter.errors import CalledOff

T = TypeVar("T")
R = TypeVar("R")

STOPPED = "stopped: no more work is done"

GRACE = 1.5
"""Seconds that an interrupted caller waits for its threads. One that hangs in a system call is abandoned."""

SIGNAL_INTERVAL = 0.2
"""Seconds after which a waiting caller checks for signals.

The system may deliver one to any thread, for example one that starts another; Python handles signals only in the main
thread, which this does not wake.
"""

Stop = Callable[[BaseException], None]
"""Called with the reason for running tasks to end early; KeyboardInterrupt means nobody waits for them for long."""


def start_thread(name: str, work: Callable[..., object], *args: object) -> Thread:
    """A thread that has begun its work, in this thread's context: under the same limits."""
    thread = Thread(target=copy_context().run, args=(work, *args), name=name, daemon=True)
    thread.start()
    return thread


def run_each(work: Callable[[T], R], tasks: Sequence[T], threads: int, stop: Stop) -> list[R]:
    """The results of ``work`` for every task, in order; tasks start in order, on up to ``threads`` threads at once.

    After the first error no further task starts, ``stop`` is called so that running ones end early, and once all have
    ended, the error is raised.
    """
    numbers = iter(range(len(tasks)))  # shared: each call of ``next`` holds the interpreter's lock
    results: dict[int, R] = {}
    errors: list[BaseException] = []
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    started: list[Thread] = []

    def run_tasks() -> None:
        # Not in the caller, which Control-C may keep from it. A thread that comes too late for that finds the error.
        started.append(current_thread())
        try:
            for number in numbers:
                if errors:
                    return
                results[number] = work(tasks[number])
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            ended.put(error)
        finally:
            ended.put(None)

    left = max(1, min(threads, len(tasks)))
    try:
        for _ in range(left):
            start_thread("tasks", run_tasks)
        while left:
            try:
                error = ended.get(timeout=SIGNAL_INTERVAL)
            except Empty:
                continue
            if error is None:
                left -= 1
            else:
                errors.append(error)
                stop(error)
    except BaseException as error:
        errors.insert(0, error)
        stop(error)
        _join(started, GRACE if isinstance(error, KeyboardInterrupt) else TIMEOUT_MAX)
        raise
    _join(started)
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(tasks))]


def _join(started: Sequence[Thread], seconds: float = TIMEOUT_MAX) -> None:
    """Wait for all threads to end, up to ``seconds`` in total."""
    until = time.monotonic() + seconds
    for thread in started:
        thread.join(max(0.0, until - time.monotonic()))


class Turns:
    """Turns by key: one thread at a time holds the turn of a key, and the others that ask for it wait."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[Hashable, ...], Lock] = WeakValueDictionary()
        """The turns that somebody holds or waits for."""
        self._asking = Lock()

    def __call__(self, *key: Hashable) -> Lock:
        """What to enter to hold the turn."""
        with self._asking:
            return self._locks.setdefault(key, Lock())


class Spares(Generic[T]):
    """Things that serve one thread at a time, and are used again: any thread may take one, and gives it back."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: list[T] = []

    def take(self) -> T:
        """One that is free, or else a new one."""
        try:
            return self._free.pop()
        except IndexError:
            return self._make()

    def give_back(self, thing: T) -> None:
        """Let the next one who needs it take it."""
        self._free.append(thing)


class Workers:
    """One pool for the blocks of all streams, a context manager that ends its threads on exit.

    ``jobs`` is how many blocks are processed at once.

    After Control-C it does not wait for them: a block may take seconds, and touches nothing but memory. Any number of
    threads may share one. Streams take turns block by block, in the order of their requests.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._spares: dict[object, Spares[Any]] = {}
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._open = True
        self._stopped = False
        self._streams = 0
        self._pending: set[_Task[Any, Any]] = set()  # blocks taken in and not yet handed out, of all streams

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        with self._lock:
            self._open = False
        for _ in range(self.jobs):  # also for a thread that Control-C kept from being noted
            self._tasks.put(None)
        if kind is not None and not issubclass(kind, Exception):
            self.stop()
        if not self._stopped:
            for thread in self._threads:
                thread.join()

    def stop(self) -> None:
        """Make every stream end with CalledOff at once, and discard the work in progress."""
        with self._lock:
            self._stopped = True
            for task in self._pending:
                task.call_off()

    def spares(self, of: object, make: Callable[[], T]) -> Spares[T]:
        """The same for whoever asks with an equal ``of``: what one stream no longer needs, another one uses.

        For large things: memory that is used again need not be fetched from the system.
        """
        return self._spares.setdefault(of, Spares(make))

    def ordered(self, work: Callable[[T], R], items: Iterator[T], spare: int = 1) -> Generator[R, None, None]:
        """``map`` on all workers at once: results come in the order of the items, which are read in this thread.

        All streams together hand over at most ``jobs + spare`` items, however slow a consumer is, and each reads one
        more; but each may hand over one, so that none waits for another. A ``spare`` of 0 is for large items: it counts
        as 1 while there is only one stream, for which the workers would wait. ``work`` must not wait for other work of
        these workers. An error of ``work`` is raised in its item's turn.
        """
        pending: deque[_Task[T, R]] = deque()
        with self._lock:
            self._streams += 1
        try:
            for item in items:
                while pending and len(self._pending) >= self.jobs + (spare or self._streams == 1):
                    yield self._finish(pending.popleft())
                pending.append(self._start(work, item))
                del item  # the worker drops a block once it is done with it, and so must this frame
            while pending:
                yield self._finish(pending.popleft())
        finally:
            for task in pending:
                task.cancelled = True
            with self._lock:
                self._pending.difference_update(pending)
                self._streams -= 1

    def _start(self, work: Callable[[T], R], item: T) -> _Task[T, R]:
        task = _Task(work, item)
        with self._lock:
            if not self._open:
                raise RuntimeError("work was given to workers that have gone home")
            if self._stopped:
                raise CalledOff(STOPPED)
            if len(self._threads) < self.jobs:
                self._threads.append(start_thread("blocks", _run_tasks, self._tasks))
            self._pending.add(task)
            self._tasks.put(task.run)
        return task

    def _finish(self, task: _Task[T, R]) -> R:
        try:
            return task.result()
        finally:
            with self._lock:
                self._pending.discard(task)


class _Task(Generic[T, R]):
    """One call to be made by some thread, and its outcome."""

    def __init__(self, work: Callable[[T], R], item: T) -> None:
        self._work = work
        self._item: list[T] = [item]
        self._outcome: SimpleQueue[tuple[R] | BaseException] = SimpleQueue()
        self.cancelled = False

    def run(self) -> None:
        try:
            item = self._item.pop()
            if not self.cancelled:
                self._outcome.put((self._work(item),))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is wanted
            self._outcome.put(error)

    def call_off(self) -> None:
        """Raise CalledOff in the thread that waits for the outcome."""
        self.cancelled = True
        self._outcome.put(CalledOff(STOPPED))

    def result(self) -> R:
        """Wait for the outcome; call it only once."""
        outcome = self._outcome.get()
        if isinstance(outcome, tuple):
            return outcome[0]
        try:
            raise outcome
        finally:
            del outcome  # otherwise the error would hold this frame, and this frame the error


def _run_tasks(tasks: SimpleQueue[Callable[[], None] | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # do not hold its result while waiting for the next one
