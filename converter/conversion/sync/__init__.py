"""Runs many jobs, with bounds on images at a time and on requests to a host."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from converter.cache import Cache, VerifiedCache
from converter.conversion.job import Job, files_read, protect_inputs, with_hosts
from converter.conversion.remote import Remote
from converter.conversion.run_job import run_job as run_job
from converter.conversion.shared import Shared
from converter.conversion.sync.jobs import Unlisted, plan_jobs
from converter.conversion.sync.outcome import Outcome, Summary
from converter.conversion.sync.sync_file import SyncEntry
from converter.errors import CalledOff, ConverterError, Invalid, from_system
from converter.events import Event, Failed, Finished, Moved, Planned, Report, Started, silent
from converter.model.frozen import frozen
from converter.model.reference import Location
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs
from converter.streams.workers import Workers, run_as_completed

IMAGES = 4
PER_HOST = 6


@frozen
class Run:
    """The settings of a run: ``images`` at a time, None for as many as keep the workers busy; ``per_host`` concurrent
    requests to a host, for reading and for writing each, None for 6; ``cache`` is the folder that remembers what was
    verified and compressed, None to remember it for this run only.
    """

    images: int | None = None
    per_host: int | None = None
    keep_going: bool = False
    cache: Path | None = None


Helpers = Callable[[Hosts], AbstractContextManager[Remote]]
"""Makes the port to other machines, which keep to the same bounds for hosts."""


def sync(
    entries: Iterable[SyncEntry],
    run: Run,
    report: Report = silent,
    helpers: Helpers | None = None,
    ended: Callable[[Summary], object] = lambda _: None,
) -> Summary:
    """Bring every image of the entries to its destination; ``helpers`` do the work (None: only this machine).

    A failed image is an outcome, not an error; without ``keep_going`` it ends the run. Raises Usage, before anything
    is written, if two images would get the same name. ``ended`` gets the summary even if the run is interrupted.
    """
    began, today = time.monotonic(), datetime.now(UTC)
    entries = list(entries)
    writing = not any(entry.options.dry_run for entry in entries)
    workers = Workers(max((entry.options.threads for entry in entries), default=1))
    with (
        Hosts(run.per_host or PER_HOST, report) as hosts,
        helpers(hosts) if helpers and writing else nullcontext() as remote,
        Cache(run.cache) if run.cache else VerifiedCache() as memory,
        workers,
        Shared(memory, workers, many=True, remote=remote) as shared,
    ):
        entries = [replace(entry, options=with_hosts(entry.options, hosts)) for entry in entries]
        todo = _protect_inputs(list(plan_jobs(entries, report)))
        found: dict[int, Outcome] = {}
        try:
            _run(todo, shared, run, SyncProgress(report, len(todo)), hosts, found=found)
        finally:
            summary = Summary(
                outcomes=tuple(found.get(number) or _unstarted(job) for number, job in enumerate(todo)),
                seconds=time.monotonic() - began,
                fetched=shared.fetched + (remote.fetched if remote else 0),
                began=today,
            )
            ended(summary)
        return summary


def _unstarted(job: Job | Unlisted) -> Outcome:
    return Outcome.unstarted(job.source, job.destination if isinstance(job, Job) else None)


def _protect_inputs(todo: list[Job | Unlisted]) -> list[Job | Unlisted]:
    """The same jobs, none of which replaces a file that another reads."""
    inputs = Inputs(path for job in todo if isinstance(job, Job) for path in files_read(job.options, job.source))
    return [replace(job, options=protect_inputs(job.options, inputs)) if isinstance(job, Job) else job for job in todo]


def _run(
    todo: list[Job | Unlisted],
    shared: Shared,
    run: Run,
    progress: SyncProgress,
    hosts: Hosts,
    *,
    found: dict[int, Outcome],
) -> None:
    """Run the jobs; ``found`` gets the outcome of each, by its number, unless it was not started or broken off."""
    stopping = threading.Event()
    stop_report = _until_stopped(stopping)

    def one(task: tuple[int, Job | Unlisted]) -> None:
        number, job = task
        outcome = _outcome(job, shared, progress, stop_report)
        if outcome is not None:
            found[number] = outcome  # at once: after an interruption nobody asks
        if outcome is not None and outcome.state == "failed":
            progress.report(Failed(f"{outcome.source}: {outcome.error}"))
            if not run.keep_going:
                stopping.set()

    def stop(_: BaseException) -> None:
        stopping.set()
        shared.workers.stop()
        hosts.stop()

    images = run.images or (shared.remote.images if shared.remote else IMAGES)
    tasks = takewhile(lambda _: not stopping.is_set(), enumerate(todo))
    with closing(run_as_completed(one, tasks, images, stop)) as finished:
        for _ in finished:
            shared.memory.save()


def _outcome(job: Job | Unlisted, shared: Shared, progress: SyncProgress, stop_report: Report) -> Outcome | None:
    """Run a job and return its outcome, whose time is its own, not its waiting; None if it was called off."""
    if isinstance(job, Unlisted):
        return Outcome.failed(job.source, None, job.error)
    began = time.monotonic()

    def seconds() -> float:
        return time.monotonic() - began - shared.waited(job)

    try:
        with progress.image(job.name, stop_report) as report:
            _require_room(job.destination)
            (done,) = run_job(job, shared, report)
        return Outcome.of(job, done, seconds())
    except CalledOff:
        return None
    except ConverterError as error:
        return Outcome.failed(job.source, job.destination, error, seconds())
    except OSError as error:
        return Outcome.failed(job.source, job.destination, from_system(error), seconds())


def _until_stopped(stopping: threading.Event) -> Report:
    """A report that raises CalledOff in its caller once the run is stopping."""

    def report(_event: Event) -> None:
        if stopping.is_set():
            raise CalledOff("stopped because another image failed")

    return report


def _require_room(place: Location) -> None:
    """Raises Invalid if a root directory or bundle is not empty: its files do not tell which image they are."""
    if place.kind.is_tree and Path(place.path).is_dir() and any(Path(place.path).iterdir()):
        fact = f"{place} is not empty, and its files do not tell from which image they are"
        raise Invalid(f"{fact}: remove them to have it written again")


class SyncProgress:
    """The progress of one run; its ``report`` may be called by any thread."""

    def __init__(self, report: Report, images: int) -> None:
        self.report = report
        report(Planned(0, images))

    @contextmanager
    def image(self, name: str, also: Report) -> Iterator[Report]:
        """A report for one image; ``also`` gets every event first, and may end the image by raising."""
        image = _Image(name, self.report, also)
        over = True
        try:
            yield image.report
        except CalledOff:
            over = False
            raise
        finally:
            if over:
                self.report(Finished(name, 0))


class _Image:
    def __init__(self, name: str, report: Report, also: Report) -> None:
        self._name = name
        self._report = report
        self._also = also
        self._read: Counter[str] = Counter()
        self._size = 0

    def report(self, event: Event) -> None:
        self._also(event)
        match event:
            case Planned():
                # Attachments are planned when the image is written.
                self._size += event.size
                self._report(Started(self._name, self._size))
                self._report(Planned(event.size, 0))
            case Moved():
                self._read[event.name] += event.size
                self._report(Moved(self._name, event.size))
            case Finished():
                # What was already there, or was made earlier, counts as read.
                rest = event.size - self._read[event.name]
                if rest > 0:
                    self._report(Moved(self._name, rest))
            case Started():
                pass
            case _:
                self._report(event)
