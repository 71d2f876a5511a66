"""Runs a task on a worker of a Dask cluster, with that machine's credentials and a temporary spool."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from distributed import get_worker

from converter.cache import VerifiedCache
from converter.conversion.job import Job
from converter.conversion.remote import Assignment, RemoteAnswer, perform_assignment
from converter.conversion.shared import Shared
from converter.errors import ConverterError, Unsupported, from_system
from converter.events import Event, Finished, Moved, Planned, Report, Started, Warned
from converter.model.limits import enforce_limits
from converter.stores import StoreOptions
from converter.stores.hosts import Hosts
from converter.streams.workers import Workers
from converter.version import __version__

Environment = Callable[[], Mapping[str, str]]
"""A module-level function, called on the worker: returns the environment that says where its credentials are."""

Send = Callable[[Event], None]

TOPIC = "transship"
BACK_OFF = "back off"
"""The topic for events, each as class name and fields, and for requests to back off from a host (``BACK_OFF``)."""

INTERVAL = 0.5
"""Seconds between two messages about how far blobs have been read."""

_EVENTS: Mapping[str, Callable[..., Event]] = {
    kind.__name__: kind for kind in (Planned, Started, Moved, Finished, Warned)
}


def run_assignment(
    assignment: Assignment, environment: Environment, per_host: int, version: str
) -> RemoteAnswer | ConverterError:
    """Do an assignment on the worker that calls this; its ``program_version()`` must be the one ``version``.

    An error is returned, as Dask would log one that is raised. Events are sent to the subscribers of ``TOPIC``.
    """
    worker, key, hosts = get_worker(), assignment.key, hosts_of(per_host)

    def tell(*fields: object) -> None:
        worker.log_event(TOPIC, {"key": key, "event": fields})

    def send(event: Event) -> None:
        tell(type(event).__name__, *astuple(event))

    hosts.report = send
    hosts.on_back_off = lambda host, seconds: tell(BACK_OFF, host, seconds)
    if version == program_version():
        workers = worker_threads(worker.state.nthreads)
        answer = do_assignment(assignment, environment(), hosts, send, workers)
    else:
        answer = Unsupported(f"transship is {program_version()} here: expected {version}, as where the run began")
    if isinstance(answer, ConverterError):
        answer.trail = (f"worker {worker.address}", *answer.trail)
    return answer


def do_assignment(
    assignment: Assignment, environment: Mapping[str, str], hosts: Hosts, send: Send, workers: Workers
) -> RemoteAnswer | ConverterError:
    """Do an assignment with this machine's environment. A ConverterError is returned, or what an OSError becomes."""
    assignment = replace(assignment, job=with_local_access(assignment.job, environment, hosts))
    with (
        enforce_limits(assignment.job.options.store.limits),
        Shared(VerifiedCache(), workers, many=True) as shared,
        _throttled(send) as report,
    ):
        try:
            return replace(perform_assignment(assignment, shared, report), fetched=shared.fetched)
        except ConverterError as error:
            return error
        except OSError as error:
            return from_system(error)


def with_local_access(job: Job, environment: Mapping[str, str], hosts: Hosts) -> Job:
    """The job with this machine's environment variables and hosts; it arrives without any."""

    def store(options: StoreOptions) -> StoreOptions:
        return replace(options, environment=environment, hosts=hosts, delegated=True)

    options = job.options
    return replace(job, options=replace(options, store=store(options.store), target_store=store(options.writing)))


def event_of(name: str, *fields: Any) -> Event:
    """Make an event from its message."""
    return _EVENTS[name](*fields)


@cache
def hosts_of(per_host: int) -> Hosts:
    """The hosts shared by all tasks of this worker: when one is told to back off from a host, all do."""
    return Hosts(per_host)


@cache
def worker_threads(threads: int) -> Workers:
    """The compressors for all tasks of this worker, on as many threads as Dask gave it; a single task may use all."""
    return Workers(threads)


def prepare_worker(per_host: int) -> str:
    """Import in advance what tasks need, as a worker is unresponsive while it imports. Returns its program."""
    hosts_of(per_host)
    return program_version()


@cache
def program_version() -> str:
    """The version and a hash of the files, since two checkouts of the same version may differ."""
    folder = Path(__file__).parents[2]  # the package
    files = sorted(path for path in folder.rglob("*.py"))
    parts = (part for path in files for part in (str(path.relative_to(folder)).encode(), path.read_bytes()))
    return f"{__version__} ({sha256(bytes(32).join(parts)).hexdigest()[:12]})"


def back_off(per_host: int, host: str, seconds: float) -> None:
    """Back off from a host that has asked another machine to."""
    hosts_of(per_host).back_off(host, seconds)


@contextmanager
def _throttled(send: Send) -> Iterator[Report]:
    """A report that sums up small steps, and sends the totals at intervals."""
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
