"""Runs the jobs of entries, with bounds on concurrent images and on requests to a host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from converter.bulk import image
from converter.bulk.ends import Ends
from converter.bulk.opened import Opened
from converter.bulk.outcome import Outcome, Summary
from converter.bulk.plan import Job, Unlisted, jobs
from converter.bulk.sync_file import Entry
from converter.bulk.task import Elsewhere
from converter.bulk.telling import Telling
from converter.cache import Cache, Memory
from converter.conversion.ends import keeping, read, with_hosts
from converter.errors import CalledOff, ConverterError, from_system
from converter.events import Event, Failed, Report, silent
from converter.model.frozen import frozen
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs
from converter.stores.spool import Spool
from converter.streams.crew import completed
from converter.streams.workers import Workers

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


Helpers = Callable[[Hosts], AbstractContextManager[Elsewhere]]
"""Makes the port to other machines, which keep to the same bounds for hosts."""


def sync(entries: Iterable[Entry], run: Run, report: Report = silent, helpers: Helpers | None = None) -> Summary:
    """Bring every image of the entries to its destination; ``helpers`` do the work (None: only this machine).

    A failed image is an outcome, not an error; without ``keep_going`` it ends the run. Raises Usage, before anything
    is written, if two images would get the same name.
    """
    began, today = time.monotonic(), datetime.now(UTC)
    entries = list(entries)
    writing = not any(entry.options.dry_run for entry in entries)
    workers = Workers(max((entry.options.threads for entry in entries), default=1))
    with (
        Hosts(run.per_host or PER_HOST) as hosts,
        helpers(hosts) if helpers and writing else nullcontext() as elsewhere,
        Spool() as spool,
        closing(Opened()) as opened,
        Cache(run.cache) if run.cache else Memory() as memory,
        workers,
    ):
        shared = (replace(entry, options=with_hosts(entry.options, hosts)) for entry in entries)
        todo = _kept(list(jobs(shared, report)))
        telling = Telling(report, len(todo))
        with closing(Ends(memory=memory, spool=spool, opened=opened, workers=workers)) as ends:
            outcomes = _run(todo, ends, elsewhere, run, telling, hosts=hosts)
        return Summary(
            outcomes=tuple(outcomes),
            seconds=time.monotonic() - began,
            fetched=spool.fetched + (elsewhere.fetched if elsewhere else 0),
            unstarted=len(todo) - len(outcomes),
            began=today,
        )


def _kept(todo: list[Job | Unlisted]) -> list[Job | Unlisted]:
    """The same jobs, none of which replaces a file that another reads."""
    inputs = Inputs(path for job in todo if isinstance(job, Job) for path in read(job.options, job.source))
    return [replace(job, options=keeping(job.options, inputs)) if isinstance(job, Job) else job for job in todo]


def _run(
    todo: list[Job | Unlisted], ends: Ends, elsewhere: Elsewhere | None, run: Run, telling: Telling, *, hosts: Hosts
) -> list[Outcome]:
    """The outcomes in the order of the jobs, without those of jobs not begun."""
    stopping = threading.Event()
    wanted = _unless(stopping)

    def one(job: Job | Unlisted) -> Outcome | None:
        outcome = _outcome(job, ends, elsewhere, telling, wanted)
        if outcome is not None and outcome.state == "failed":
            telling.report(Failed(f"{outcome.source}: {outcome.error}"))
            if not run.keep_going:
                stopping.set()
        return outcome

    def stop(_: BaseException) -> None:
        stopping.set()
        ends.workers.stop()
        hosts.stop()

    images = run.images or (elsewhere.images if elsewhere else IMAGES)
    found: dict[int, Outcome] = {}
    with closing(completed(one, takewhile(lambda _: not stopping.is_set(), todo), images, stop)) as outcomes:
        for number, outcome in outcomes:
            ends.memory.save()
            if outcome is not None:
                found[number] = outcome
    return [found[number] for number in sorted(found)]


def _outcome(
    job: Job | Unlisted,
    ends: Ends,
    elsewhere: Elsewhere | None,
    telling: Telling,
    wanted: Report,
) -> Outcome | None:
    """Run a job and return its outcome; None if it was called off."""
    if isinstance(job, Unlisted):
        return image.failed(job.source, None, job.error)
    began = time.monotonic()
    try:
        with telling.image(job.name, wanted) as report:
            return image.run(job, ends, report, elsewhere)
    except CalledOff:
        return None
    except ConverterError as error:
        return image.failed(job.source, job.destination, error, time.monotonic() - began)
    except OSError as error:
        return image.failed(job.source, job.destination, from_system(error), time.monotonic() - began)


def _unless(stopping: threading.Event) -> Report:
    """A report that raises CalledOff in its caller once the run is stopping."""

    def report(_event: Event) -> None:
        if stopping.is_set():
            raise CalledOff("stopped because another image failed")

    return report
