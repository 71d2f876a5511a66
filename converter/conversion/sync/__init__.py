"""Runs many jobs, with bounds on images at a time and on requests to a host, and says what became of each."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from converter.cache import open_cache
from converter.conversion import run_job
from converter.conversion.job import Job, Shared, for_run
from converter.conversion.remote import Remote
from converter.conversion.result import Done, State, image_layers, size_of
from converter.conversion.sync.jobs import Unlisted, plan_jobs
from converter.conversion.sync.sync_file import SyncEntry
from converter.errors import CalledOff, ConverterError, Invalid, from_system
from converter.events import Event, Failed, Finished, Moved, Planned, Report, Started, silent
from converter.execute import input_size
from converter.model.frozen import frozen
from converter.model.image import Loss
from converter.stores import files_read
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.streams.workers import Workers, run_each

STATES = ("written", "there", "planned", "failed", "unstarted")
"""The states of an image; an interrupted one counts as not started."""


@frozen
class Outcome:
    """The outcome of one image. Sizes of its layers in bytes: ``before`` at the source, ``after`` at the target (0:
    unknown).
    """

    source: str
    destination: str
    state: State | Literal["failed", "unstarted"]
    digest: str = ""
    source_digest: str = ""
    changed_by: tuple[str, ...] = ()
    format: str = ""
    before: int = 0
    after: int = 0
    seconds: float = 0.0
    losses: tuple[Loss, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, job: Job, done: Done) -> Self:
        """The outcome of a job that did not fail."""
        layers = list(image_layers(done.tree))
        return cls(
            source=str(job.source),
            destination=str(job.destination),
            state=done.state,
            digest=str(done.tree.made.descriptor.digest) if done.tree.made else "",
            source_digest=str(done.target.selected.root.digest),
            changed_by=done.changed_by,
            format=done.target.format.name,
            before=sum(input_size(one.leaf) for one in layers),
            after=size_of(done.tree) if all(one.made for one in layers) else 0,
            losses=done.target.losses,
        )

    @classmethod
    def failed(cls, job: Job | Unlisted, error: ConverterError) -> Self:
        """The outcome of a job that raised."""
        source = str(job.source)
        # The source is reported separately.
        error.trail = tuple(place for place in error.trail if place != source)
        fact = str(error).removeprefix(f"{source}: ")
        return cls(source=source, destination=str(job.destination or ""), state="failed", error=fact)

    @classmethod
    def unstarted(cls, job: Job | Unlisted) -> Self:
        """The outcome of a job that the run did not come to, or broke off."""
        return cls(source=str(job.source), destination=str(job.destination or ""), state="unstarted")

    def to_json(self) -> dict[str, Any]:
        """The JSON of a report."""
        return {
            "source": self.source,
            "destination": self.destination,
            "state": self.state,
            "digest": self.digest or None,
            "source_digest": self.source_digest or None,
            "changed_by": list(self.changed_by),
            "format": self.format or None,
            "size_before": self.before,
            "size_after": self.after,
            "seconds": round(self.seconds, 3),
            "losses": [asdict(one) for one in self.losses],
            "error": self.error or None,
        }


@frozen
class Summary:
    """The outcomes of a run, in the order of the plan; ``fetched`` are the bytes of blobs from remote sources."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    fetched: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of images in each state."""
        found = Counter[str](one.state for one in self.outcomes)
        return {state: found[state] for state in STATES}

    @property
    def unstarted(self) -> int:
        """The number of images that were not started, because an earlier one failed, or the run was interrupted."""
        return self.counts["unstarted"]

    @property
    def failed(self) -> bool:
        """Whether an image failed, or was not started."""
        return bool(self.counts["failed"] or self.unstarted)

    @property
    def before(self) -> int:
        """The bytes of all images at the sources; what they share counts each time."""
        return sum(one.before for one in self.outcomes)

    @property
    def after(self) -> int:
        """The same at the targets."""
        return sum(one.after for one in self.outcomes)

    @property
    def losses(self) -> Mapping[Loss, list[str]]:
        """Each loss once, with the destinations that have it: thousands of images may share the same ones."""
        found: dict[Loss, list[str]] = {}
        for one in self.outcomes:
            for loss in one.losses:
                found.setdefault(loss, []).append(one.destination)
        return found

    def to_json(self) -> dict[str, Any]:
        """The JSON of a report."""
        return {
            "images": len(self.outcomes),
            **self.counts,
            "size_before": self.before,
            "size_after": self.after,
            "fetched": self.fetched,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "outcomes": [one.to_json() for one in self.outcomes],
        }


IMAGES = 4
PER_HOST = 6

Helpers = Callable[[Hosts], AbstractContextManager[Remote]]
"""Makes the port to other machines, which keep to the same bounds for hosts."""


def sync(
    entries: Iterable[SyncEntry],
    report: Report = silent,
    helpers: Helpers | None = None,
    ended: Callable[[Summary], object] = lambda _: None,
    *,
    images: int | None = None,
    per_host: int | None = None,
    keep_going: bool = False,
    cache: Path | None = None,
) -> Summary:
    """Bring every image of the entries to its destination; ``helpers`` do the work (None: only this machine).

    ``images`` are processed at a time, None for as many as keep the workers busy; ``per_host`` bounds the concurrent
    requests to a host, for reading and for writing each, None for 6; ``cache`` is the folder that remembers what was
    verified and compressed, None to remember it for this run only. A failed image is an outcome, not an error; without
    ``keep_going`` it ends the run. Raises Usage, before anything is written, if two images would get the same name.
    ``ended`` gets the summary even if the run is interrupted.
    """
    began, today = time.monotonic(), datetime.now(UTC)
    entries = list(entries)
    writing = not any(entry.options.dry_run for entry in entries)
    threads = max((entry.options.threads for entry in entries), default=1)
    with (
        Hosts(per_host or PER_HOST, report) as hosts,
        helpers(hosts) if helpers and writing else nullcontext() as remote,
        open_cache(cache) as memory,
        Workers(threads) as workers,
        Shared(memory, workers, many=True, remote=remote) as shared,
    ):
        inputs = Inputs()
        entries = [replace(entry, options=for_run(entry.options, hosts, inputs)) for entry in entries]
        todo = list(plan_jobs(entries, report))
        for job in todo:
            if isinstance(job, Job):
                inputs.add(*files_read(job.source))
        outcomes = [Outcome.unstarted(job) for job in todo]
        try:
            report(Planned(0, len(todo)))
            _run(todo, outcomes, shared, report, hosts, images=images, keep_going=keep_going)
        finally:
            summary = Summary(
                outcomes=tuple(outcomes),
                seconds=time.monotonic() - began,
                fetched=shared.fetched + (remote.fetched if remote else 0),
                began=today,
            )
            ended(summary)
        return summary


def _run(
    todo: Sequence[Job | Unlisted],
    outcomes: list[Outcome],
    shared: Shared,
    report: Report,
    hosts: Hosts,
    *,
    images: int | None,
    keep_going: bool,
) -> None:
    """Run the jobs; ``outcomes`` gets the outcome of each in its place."""
    stopping = threading.Event()

    def one(number: int) -> None:
        if not stopping.is_set():
            outcome = _outcome(todo[number], shared, report, stopping)
            outcomes[number] = outcome  # at once: after an interruption nobody asks
            if outcome.state == "failed":
                report(Failed(f"{outcome.source}: {outcome.error}"))
                if not keep_going:
                    stopping.set()
        shared.memory.save()

    def stop(_: BaseException) -> None:
        stopping.set()
        shared.workers.stop()
        hosts.stop()

    at_once = images or (shared.remote.images if shared.remote else IMAGES)
    run_each(one, range(len(todo)), at_once, stop)


def _outcome(job: Job | Unlisted, shared: Shared, report: Report, stopping: threading.Event) -> Outcome:
    """Run a job and return its outcome, whose time is its own, not its waiting; one called off counts as unstarted."""
    if isinstance(job, Unlisted):
        return Outcome.failed(job, job.error)
    began = time.monotonic()
    try:
        _require_room(job)
        (done,) = run_job(job, shared, _image_report(job.name, report, stopping))
        outcome = Outcome.of(job, done)
    except CalledOff:
        return Outcome.unstarted(job)
    except ConverterError as error:
        outcome = Outcome.failed(job, error)
    except OSError as error:
        outcome = Outcome.failed(job, from_system(error))
    report(Finished(job.name, 0))
    return replace(outcome, seconds=time.monotonic() - began - shared.waited(job))


def _require_room(job: Job) -> None:
    """Raises Invalid if a root directory or bundle is not empty: its files do not tell which image they are."""
    place = job.destination
    if place.kind.is_tree and Path(place.path).is_dir() and any(Path(place.path).iterdir()):
        fact = f"{place} is not empty, and its files do not tell from which image they are"
        raise Invalid(f"{fact}: remove them to have it written again")


def _image_report(name: str, report: Report, stopping: threading.Event) -> Report:
    """A report for one image, as if it were one blob; it raises CalledOff once the run is ``stopping``."""
    read: Counter[str] = Counter()
    size = 0

    def report_image(event: Event) -> None:
        nonlocal size
        if stopping.is_set():
            raise CalledOff("stopped because another image failed")
        match event:
            case Planned():
                # Attachments are planned when the image is written.
                size += event.size
                report(Started(name, size))
                report(Planned(event.size, 0))
            case Moved():
                read[event.name] += event.size
                report(Moved(name, event.size))
            case Finished():
                # What was already there, or was made earlier, counts as read.
                rest = event.size - read[event.name]
                if rest > 0:
                    report(Moved(name, rest))
            case Started():
                pass
            case _:
                report(event)

    return report_image
