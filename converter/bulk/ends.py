"""The two ends of every job: sources share what they fetch, and repositories of a registry share their blobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from converter.bulk.opened import Opened
from converter.bulk.plan import Job
from converter.cache import Memory
from converter.conversion.ends import source_store, target_store
from converter.conversion.noted import NotedSink
from converter.events import Report
from converter.model.digest import Digest
from converter.model.reference import ImageName, Location
from converter.ports import Sink, Source
from converter.stores import StoreOptions, open_sink, open_source
from converter.stores.spool import Spool, SpooledSource
from converter.streams.workers import Workers

TRIES = 2
"""The most repositories remembered for one blob."""


class Holders:
    """The target repositories that hold a blob, as far as this run has seen; only the last few for each blob."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Digest], tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def learn(self, host: str, repository: str, digest: Digest) -> None:
        """Note that a repository has a blob; a layout counts as a host with one unnamed repository."""
        with self._lock:
            key = (host, digest)
            self._held[key] = _first(repository, self._held.get(key, ()), TRIES)

    def of(self, host: str, digest: Digest) -> tuple[str, ...]:
        """The repositories of the host that have the blob, the latest first."""
        with self._lock:
            return self._held.get((host, digest), ())


def _has_many(place: Location) -> bool:
    """Whether the place may hold other images too; true for a bare path, whose type is not yet known."""
    return place.kind.holds == "several" or not place.transport


def _first(name: str, names: tuple[str, ...], most: int) -> tuple[str, ...]:
    return (name, *(other for other in names if other != name))[:most]


class Ends:
    """Opens sources and sinks for the jobs of one run; ``workers`` compress for all of them. Close it at the
    end of the run.
    """

    def __init__(self, *, memory: Memory, spool: Spool, opened: Opened, workers: Workers) -> None:
        self.memory = memory
        self.workers = workers
        self.holders = Holders()
        self._spool = spool
        self._opened = opened
        self._folders: list[Path] = []
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the folders that were made for files which then failed, deepest first."""
        for folder in sorted(self._folders, key=lambda each: len(each.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()

    def folder(self, path: Path) -> None:
        """Make the folder that a file will be in."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        self._folders += missing

    def source(self, job: Job) -> AbstractContextManager[Source]:
        """The source of the image; what is costly to read again is read once."""
        options = source_store(job.options)
        if _has_many(job.source):
            return self._opened.source(job.source, options)
        opened = open_source(job.source, options)
        return opened if opened.local else SpooledSource(opened, self._spool)

    def there(self, job: Job) -> AbstractContextManager[Source]:
        """The destination as a source; one of many images is seen as it was before this run wrote to it."""
        options = replace(target_store(job.options, job.source, job.destination), hints=False)
        if _has_many(job.destination):
            return self._opened.source(job.destination, options)
        return open_source(job.destination, options)

    def store(self, job: Job) -> StoreOptions:
        """How to access the destination: a file that is an image of the same kind is replaced, as in a mirror."""
        return replace(target_store(job.options, job.source, job.destination), mirror=True)

    def sink(self, job: Job, report: Report) -> Sink:
        """The destination of the image."""
        store = replace(self.store(job), report=report)
        if job.destination.transport != "docker":
            return open_sink(job.destination, store)
        where = ImageName.parse(job.destination.path)

        def holders(digest: Digest) -> tuple[str, ...]:
            return (*self.holders.of(where.host, digest), *store.mount_from)

        def heard(digest: Digest, _: bool) -> None:
            self.holders.learn(where.host, where.repository, digest)

        def known(digest: Digest) -> bool:
            return where.repository in self.holders.of(where.host, digest)

        return NotedSink(open_sink(job.destination, replace(store, holders=holders)), heard, known)

    @contextmanager
    def turn(self, job: Job) -> Iterator[None]:
        """Hold the job's turn to write. A layout shows blobs only once an image is committed, so jobs write to it one
        after the other, and each finds what earlier ones brought.
        """
        if job.destination.transport in ("docker", "docker-daemon"):
            yield
            return
        with self._lock:
            turn = self._turns.setdefault(job.destination.path, threading.Lock())
        with turn:
            yield
