"""Runs a task on a worker of a Dask cluster, with the credentials and a temporary spool of that machine."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from distributed import get_worker

import converter
from converter.bulk.ends import Ends
from converter.bulk.opened import Opened
from converter.bulk.plan import Job
from converter.bulk.task import Task
from converter.cache import Memory
from converter.errors import ConverterError, Unsupported, from_system
from converter.events import Event, Finished, Moved, Planned, Report, Started, Warned
from converter.model.frozen import frozen
from converter.model.limits import enforced
from converter.stores import StoreOptions
from converter.stores.hosts import Hosts
from converter.stores.spool import Spool
from converter.streams.workers import Workers
from converter.version import __version__

R = TypeVar("R")

Environment = Callable[[], Mapping[str, str]]
"""A function of some module, called on the worker: the variables that say where its credentials are."""

Send = Callable[[Event], None]

TOPIC = "transship"
HELD = "held"
"""The topic of events, each as its class name and its fields, and of requests to back off from a host (``HELD``)."""

INTERVAL = 0.5
"""Seconds between two messages that say how far a blob has been read."""

_EVENTS: Mapping[str, Callable[..., Event]] = {
    kind.__name__: kind for kind in (Planned, Started, Moved, Finished, Warned)
}


@frozen
class Done(Generic[R]):
    """What became of a task; ``fetched`` are bytes that a source beyond the worker sent."""

    result: R
    fetched: int


@frozen
class Failed:
    """A ConverterError on its way to another process, where only those of ``converter.errors`` are known."""

    kind: type[ConverterError]
    fact: str
    trail: tuple[str, ...]

    @classmethod
    def of(cls, error: ConverterError) -> Failed:
        """The nearest kind that a caller can react to."""
        kind = next(one for one in type(error).__mro__ if one.__module__ == ConverterError.__module__)
        return cls(kind=kind, fact=error.fact, trail=error.trail)

    def error(self) -> ConverterError:
        """The error, anew."""
        error = self.kind(self.fact)
        error.trail = self.trail
        return error


def work(task: Task[R], environment: Environment, per_host: int, wanted: str) -> Done[R] | Failed:
    """Do a task on the worker that calls this, whose ``program()`` is to be the one wanted; the events on the way go
    to whoever listens to ``TOPIC``.
    """
    worker, key, hosts = get_worker(), task.key, hosts_of(per_host)

    def tell(*fields: object) -> None:
        worker.log_event(TOPIC, {"key": key, "event": fields})

    hosts.told = lambda host, seconds: tell(HELD, host, seconds)
    if wanted == program():
        crew = crew_of(worker.state.nthreads)
        answer = perform(task, environment(), hosts, lambda event: tell(type(event).__name__, *astuple(event)), crew)
    else:
        answer = Failed.of(Unsupported(f"got transship {program()}, want {wanted}, as where the run began"))
    if isinstance(answer, Failed):
        return replace(answer, trail=(f"worker {worker.address}", *answer.trail))
    return answer


def perform(
    task: Task[R], environment: Mapping[str, str], hosts: Hosts, send: Send, workers: Workers
) -> Done[R] | Failed:
    """Do a task with the variables of this machine. A failure that a person can act on is a result, too."""
    task = replace(task, job=at_home(task.job, environment))
    with (
        enforced(task.job.options.store.limits),
        Spool() as spool,
        closing(Opened()) as opened,
        _seldom(send) as report,
    ):
        ends = Ends(memory=Memory(), hosts=hosts, spool=spool, opened=opened, workers=workers)
        try:
            return Done(result=task.run(ends, report), fetched=spool.fetched)
        except ConverterError as error:
            return Failed.of(error)
        except OSError as error:
            return Failed.of(from_system(error))


def at_home(job: Job, environment: Mapping[str, str]) -> Job:
    """A job that came without any, with the variables of this machine."""

    def store(options: StoreOptions) -> StoreOptions:
        return replace(options, environment=environment)

    options = job.options
    target = options.target_store or options.store
    return replace(job, options=replace(options, store=store(options.store), target_store=store(target)))


def event_of(name: str, *fields: Any) -> Event:
    """An event, from its message."""
    return _EVENTS[name](*fields)


@cache
def hosts_of(per_host: int) -> Hosts:
    """Shared by all tasks of this worker: when one of them is told to back off from a host, all do."""
    return Hosts(per_host)


@cache
def crew_of(threads: int) -> Workers:
    """Compresses for all tasks of this worker, on as many threads as Dask has given it; a single task may use all."""
    return Workers(threads)


def prepare(per_host: int) -> str:
    """Import what tasks need up front, since a worker is unresponsive while it imports. Returns its program."""
    hosts_of(per_host)
    return program()


@cache
def program() -> str:
    """The version and a hash of the files: two checkouts may differ and have the same version."""
    folder = Path(converter.__file__).parent
    files = sorted(path for path in folder.rglob("*.py"))
    parts = (part for path in files for part in (str(path.relative_to(folder)).encode(), path.read_bytes()))
    return f"{__version__} ({sha256(bytes(32).join(parts)).hexdigest()[:12]})"


def hold(per_host: int, host: str, seconds: float) -> None:
    """Back off from a host that has asked another worker to."""
    hosts_of(per_host).hold(host, seconds)


@contextmanager
def _seldom(send: Send) -> Iterator[Report]:
    """A report that sums up many small steps, and sends the total now and then."""
    steps: Counter[str] = Counter()
    lock = threading.Lock()
    sent = time.monotonic()

    def flush() -> None:
        nonlocal sent
        sent = time.monotonic()
        for name, size in steps.items():
            send(Moved(name, size))
        steps.clear()

    def report(event: Event) -> None:
        with lock:
            if isinstance(event, Moved):
                steps[event.name] += event.size
                if time.monotonic() - sent >= INTERVAL:
                    flush()
            else:
                flush()
                send(event)

    try:
        yield report
    finally:
        with lock:
            flush()
