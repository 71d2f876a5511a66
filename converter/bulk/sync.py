"""Runs the jobs of some entries: so many images at a time, and so many requests to a host."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from converter.bulk import work
from converter.bulk.ends import Ends
from converter.bulk.memory import Memory
from converter.bulk.outcome import Outcome, Summary
from converter.bulk.plan import Job, Unlisted, jobs
from converter.bulk.spool import Spool
from converter.bulk.sync_file import Entry
from converter.bulk.task import Elsewhere
from converter.bulk.telling import Telling
from converter.cache import Cache, Forgetful
from converter.errors import ConverterError, from_system
from converter.events import Event, Report, Warned, silent
from converter.stores.hosts import Hosts

IMAGES = 4
PER_HOST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``images`` at a time, None for as many as keep busy those who work; ``per_host`` requests in flight to a host,
    for reading and for writing each; ``cache`` is the folder that remembers what was verified and packed, None for
    this run only.
    """

    images: int | None = None
    per_host: int = PER_HOST
    keep_going: bool = False
    dry_run: bool = False
    cache: Path | None = None


class _Stopped(ConverterError):
    """Another image has failed, or a person has had enough."""


Helpers = Callable[[Hosts], AbstractContextManager[Elsewhere]]
"""Finds other machines, which keep to the same bounds for hosts."""


def sync(
    entries: Iterable[Entry], settings: Settings, report: Report = silent, helpers: Helpers | None = None
) -> Summary:
    """Bring every image of the entries to its destination; ``helpers`` do the work, None: this machine alone.

    An image that fails is an outcome, no error; without ``keep_going`` it ends the run. Raises Usage, before anything
    is done, where two images would get one name.
    """
    began, today = time.monotonic(), datetime.now(UTC)
    hosts = Hosts(settings.per_host)
    others = helpers(hosts) if helpers and not settings.dry_run else nullcontext()
    with others as elsewhere, Spool() as spool, _cache(settings) as cache:
        todo = list(jobs(entries, hosts))
        ends = Ends(memory=Memory(cache), hosts=hosts, spool=spool)
        telling = Telling(report, len(todo))
        outcomes = _run(todo, ends, elsewhere, settings, telling)
        return Summary(
            outcomes=tuple(outcomes),
            seconds=time.monotonic() - began,
            fetched=spool.fetched + (elsewhere.fetched if elsewhere else 0),
            unstarted=len(todo) - len(outcomes),
            began=today,
        )


def _run(
    todo: list[Job | Unlisted], ends: Ends, elsewhere: Elsewhere | None, settings: Settings, telling: Telling
) -> list[Outcome]:
    """The outcomes in the order of the jobs, without those that nobody began with."""
    stopping = threading.Event()

    def one(job: Job | Unlisted) -> Outcome | None:
        if isinstance(job, Unlisted):
            return work.failed(job.source, None, job.error)
        began = time.monotonic()
        try:
            with telling.image(job.name, _unless(stopping)) as report:
                return work.run(job, ends, report, elsewhere, dry_run=settings.dry_run)
        except _Stopped:
            return None
        except ConverterError as error:
            return work.failed(job.source, job.destination, error, time.monotonic() - began)
        except OSError as error:
            return work.failed(job.source, job.destination, from_system(error), time.monotonic() - began)

    images = settings.images or (elsewhere.images if elsewhere else IMAGES)
    found: dict[int, Outcome] = {}
    with ThreadPoolExecutor(images, thread_name_prefix="image") as pool:
        try:
            for number, outcome in _completed(pool, one, todo, images, stopping):
                ends.memory.save()
                if outcome is None:
                    continue
                found[number] = outcome
                if outcome.state == "failed":
                    telling.report(Warned(f"{outcome.source}: {outcome.error}"))
                    if not settings.keep_going:
                        stopping.set()
        except BaseException:
            stopping.set()
            raise
    return [found[number] for number in sorted(found)]


def _completed(
    pool: ThreadPoolExecutor,
    one: Callable[[Job | Unlisted], Outcome | None],
    todo: list[Job | Unlisted],
    images: int,
    stopping: threading.Event,
) -> Iterator[tuple[int, Outcome | None]]:
    """Each outcome when it is there. No more are handed out than can soon be begun, and none once ``stopping``."""
    waiting = iter(enumerate(todo))
    running: dict[Future[Outcome | None], int] = {}
    while True:
        if not stopping.is_set():
            for number, job in itertools.islice(waiting, images - len(running)):
                running[pool.submit(copy_context().run, one, job)] = number
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()


def _unless(stopping: threading.Event) -> Report:
    """A report that ends whoever makes it once the run is stopping."""

    def report(_event: Event) -> None:
        if stopping.is_set():
            raise _Stopped("stopped because another image failed")

    return report


def _cache(settings: Settings) -> Forgetful:
    return Cache(settings.cache) if settings.cache else Forgetful()
