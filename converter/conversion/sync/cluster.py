"""Runs tasks on a Dask cluster (docs.dask.org, distributed), while this process plans and writes the documents.

A task runs on a worker with that machine's credentials and a temporary spool.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from functools import cache
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from distributed import Client, Future, KilledWorker, get_worker

from converter.conversion.remote import Assignment, RemoteAnswer, perform_assignment
from converter.errors import ConverterError, Unreachable, Unsupported, Usage
from converter.events import Event, Finished, Moved, Planned, Report, Started, Warned
from converter.stores.hosts import Hosts
from converter.streams.blocks import on_error
from converter.streams.workers import Turns, Workers
from converter.version import __version__

SAME = ("transship", "isal", "zlib-ng", "zstandard", "dask", "distributed", "python")
"""What must have the same version everywhere: it determines compressed bytes, and what unpickling gives."""

_ADDRESS = re.compile(r"([a-z]+://)?\S+:[0-9]+|inproc://\S+")

CONNECT = 10.0
"""Seconds to wait for the scheduler, and for its first worker."""

STOP_INTERVAL = 1.0
"""Seconds between two checks whether the run is to stop."""

MOST_IMAGES = 32

Environment = Callable[[], Mapping[str, str]]
"""A module-level function, called on the worker: returns the environment that says where its credentials are."""

TOPIC = "transship"
BACK_OFF, RETRY = "back off", "retry"
"""The topic for events, each as class name and fields; for requests to back off from a host, and for what a person is
told when a request to a host is retried, whichever task made it.
"""

_EVENTS: Mapping[str, Callable[..., Event]] = {
    kind.__name__: kind for kind in (Planned, Started, Moved, Finished, Warned)
}
"""The events that a worker sends, by name."""


class Cluster:
    """The cluster of one scheduler, for one run. A context manager.

    A running task counts as one request to each of its two hosts, which ``hosts`` bounds over all workers.
    """

    def __init__(self, address: str, environment: Environment, hosts: Hosts) -> None:
        """``address`` is the scheduler's, as in tcp://HOST:PORT; no connection is made yet."""
        self.images = 0
        self.fetched = 0
        self._address = address
        self._environment = environment
        self._hosts = hosts
        self._lock = threading.Lock()
        self._turn = Turns()
        self._inboxes: dict[str, SimpleQueue[Event | None]] = {}
        self._messenger = ThreadPoolExecutor(1, "messenger")  # what may take long must not be done in Dask's event loop

    def __enter__(self) -> Self:
        """Connect. Raises Usage, Unreachable, and Unsupported if a version differs."""
        self._client = _connect(self._address)
        with on_error(self._client.close):
            found: Any = self._client.get_versions(packages=SAME)
            require_same_versions(found)
            # A worker is unresponsive while it imports what tasks need, which this does in advance.
            programs: Mapping[str, str] = self._client.run(program_version, on_error="ignore")
            for worker, got in programs.items():
                if got != program_version():
                    raise Unsupported(f"the worker {worker} has transship {got}: expected {program_version()}, as here")
        threads = sum(self._client.nthreads().values())
        self.images = min(max(4, 2 * threads), MOST_IMAGES)
        self._client.subscribe_topic(TOPIC, self._receive)
        self._hosts.on_back_off = self._pass_on
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster. Running tasks end by themselves."""
        self._client.unsubscribe_topic(TOPIC)
        self._messenger.shutdown()
        self._client.close()

    def run(self, assignment: Assignment, report: Report) -> RemoteAnswer:
        """As in Remote. Raises Unreachable if no worker lives long enough, or the scheduler is gone."""
        key, inbox = assignment.key, SimpleQueue[Event | None]()
        with self._places(assignment):
            # The run may have been stopped while this task waited.
            report(Moved("", 0))
            self._inboxes[key] = inbox
            future = self._client.submit(
                run_assignment,
                assignment,
                self._environment,
                self._hosts.most,
                program_version(),
                key=key,
                priority=assignment.size,
            )
            try:
                future.add_done_callback(lambda _: inbox.put(None))
                answer: RemoteAnswer | ConverterError = self._answer(future, inbox, report)
            finally:
                future.release()
                del self._inboxes[key]
        if isinstance(answer, ConverterError):
            raise answer
        with self._lock:
            self.fetched += answer.fetched
        return answer

    def _answer(self, future: Future[Any], inbox: SimpleQueue[Event | None], report: Report) -> Any:
        event: Event | None = Moved("", 0)
        while event is not None:
            report(event)
            try:
                event = inbox.get(timeout=STOP_INTERVAL)
            except Empty:
                event = Moved("", 0)
        try:
            return future.result()
        except KilledWorker as error:
            raise Unreachable(f"{error.allowed_failures + 1} workers died of {error.task}") from error
        except CancelledError as error:
            raise Unreachable(f"the scheduler {self._address} does not answer any more") from error

    @contextmanager
    def _places(self, assignment: Assignment) -> Iterator[None]:
        """Hold one request slot of each host while a task runs; only one task per pair of hosts waits for slots.

        The slot for writing is taken first, as in an upload that reads.
        """
        target, source = assignment.job.destination.image_name, assignment.job.source.image_name
        with ExitStack() as stack:
            with self._turn(target and target.host, source and source.host):
                if target is not None:
                    stack.enter_context(self._hosts.host(target.host).slot(writes=True))
                if source is not None:
                    stack.enter_context(self._hosts.host(source.host).slot(writes=False))
            yield

    def _receive(self, message: tuple[float, Any]) -> None:
        """Handle a worker's message; called in the event loop of Dask's client, which must not be blocked."""
        _, sent = message
        name, *fields = sent["event"]
        if name == BACK_OFF:
            host, seconds = fields
            self._hosts.host(host).back_off(seconds)
            self._pass_on(host, seconds)
            return
        if name == RETRY:
            self._messenger.submit(self._hosts.report, Warned(*fields))
            return
        inbox = self._inboxes.get(sent["key"])
        if inbox is not None:
            inbox.put(_EVENTS[name](*fields))

    def _pass_on(self, host: str, seconds: float) -> None:
        """Tell all workers that a host has asked one of them, or this process, to back off, without waiting for them.

        A lost worker or scheduler is noticed by those who wait for it.
        """
        self._messenger.submit(self._client.run, back_off, self._hosts.most, host, seconds, on_error="ignore")


def _connect(address: str) -> Client:
    # Checked before a client exists: one that never connected complains when it is collected.
    if not _ADDRESS.fullmatch(address):
        raise Usage(f'invalid scheduler "{address}": expected tcp://HOST:PORT')
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False, name="transship")
    except OSError as error:
        raise Unreachable(f"cannot connect to the scheduler {address}: {error}") from error
    except ValueError as error:
        raise Usage(f'invalid scheduler "{address}" ({error}): expected tcp://HOST:PORT') from error
    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        client.close()
        raise Unreachable(f"no worker at {address} within {CONNECT:.0f} s") from None
    return client


def require_same_versions(found: Mapping[str, Any]) -> None:
    """Raises Unsupported if a machine has other versions (``Client.get_versions``) than this one.

    A scheduler passes objects on without unpickling them, so packages that it lacks do not matter.
    """
    expected = _versions(found["client"])
    machines = {"the scheduler": found["scheduler"]}
    for name, information in found["workers"].items():
        machines[f"the worker {name}"] = information
    for machine, information in machines.items():
        for name, version in _versions(information).items():
            if version is None and machine == "the scheduler":
                continue
            if version != expected[name]:
                has = f"{name} {version}" if version else f"no {name}"
                raise Unsupported(f"{machine} has {has}: expected {expected[name]}, as here")


def _versions(information: Mapping[str, Any]) -> dict[str, str | None]:
    versions = {name: information["packages"].get(name) for name in SAME}
    if python := versions["python"]:
        # Patch levels of Python read each other's pickles.
        versions["python"] = ".".join(python.split(".")[:2])
    return versions


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

    hosts.report = lambda warned: tell(RETRY, *astuple(warned))
    hosts.on_back_off = lambda host, seconds: tell(BACK_OFF, host, seconds)
    if version == program_version():
        workers = worker_threads(worker.state.nthreads)
        answer = perform_assignment(assignment, environment(), hosts, send, workers)
    else:
        answer = Unsupported(f"transship is {program_version()} here: expected {version}, as where the run began")
    if isinstance(answer, ConverterError):
        answer.trail = (f"worker {worker.address}", *answer.trail)
    return answer


hosts_of = cache(Hosts)
"""The hosts shared by all tasks of this worker: when one is told to back off from a host, all do."""

worker_threads = cache(Workers)
"""The compressors for all tasks of this worker, on as many threads as Dask gave it; a single task may use all."""


@cache
def program_version() -> str:
    """The version and a hash of the files, since two checkouts of the same version may differ."""
    folder = Path(__file__).parents[2]  # the package
    found = sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(str(path.relative_to(folder)).encode() + bytes(32) + path.read_bytes() + bytes(32))
    return f"{__version__} ({found.hexdigest()[:12]})"


def back_off(per_host: int, host: str, seconds: float) -> None:
    """Back off from a host that has asked another machine to."""
    hosts_of(per_host).host(host).back_off(seconds)
