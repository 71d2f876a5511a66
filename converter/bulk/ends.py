"""The two ends of every job: sources share what they fetch, and repositories of one registry what they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from converter.bulk.memory import Memory
from converter.bulk.plan import Job
from converter.bulk.spool import Spool, Spooled
from converter.conversion.ends import source_store, target_store
from converter.events import Report
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment
from converter.model.reference import ImageName
from converter.ports import Sink, Source
from converter.stores import StoreOptions, open_sink, open_source
from converter.stores.hosts import Hosts

MOUNTS = 16
"""Most repositories to ask the right to read for, so that blobs may be taken over from them."""

TRIES = 2
"""Most repositories to be asked for one blob."""


class Holders:
    """Which repositories of the targets hold a blob, as far as this run has seen; of each only the last few."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Digest], tuple[str, ...]] = {}
        self._lately: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def learn(self, host: str, repository: str, digest: Digest) -> None:
        """The repository has the blob; a layout is a host with one repository, which has no name."""
        with self._lock:
            key = (host, digest)
            self._held[key] = _first(repository, self._held.get(key, ()), TRIES)

    def of(self, host: str, digest: Digest) -> tuple[str, ...]:
        """The repositories of the host that have it, the last one first."""
        with self._lock:
            return self._held.get((host, digest), ())

    def open(self, where: ImageName) -> None:
        """The repository is about to be written."""
        with self._lock:
            self._lately[where.host] = _first(where.repository, self._lately.get(where.host, ()), MOUNTS)

    def lately(self, host: str) -> tuple[str, ...]:
        """The repositories of the host that were written last, the last one first."""
        with self._lock:
            return self._lately.get(host, ())


def _first(name: str, names: tuple[str, ...], most: int) -> tuple[str, ...]:
    return (name, *(other for other in names if other != name))[:most]


class Ends:
    """Opens sources and sinks for the jobs of one run."""

    def __init__(self, *, memory: Memory, hosts: Hosts, spool: Spool) -> None:
        self.memory = memory
        self.hosts = hosts
        self.holders = Holders()
        self._spool = spool
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def source(self, job: Job) -> Source:
        """Where the image comes from; what is costly to read again is read once."""
        opened = open_source(job.source, replace(source_store(job.options), hosts=self.hosts))
        return opened if opened.local else Spooled(opened, self._spool)

    def target_store(self, job: Job) -> StoreOptions:
        """How the destination is spoken to."""
        return replace(target_store(job.options, job.source, job.destination), hosts=self.hosts)

    def sink(self, job: Job, report: Report) -> Sink:
        """Where it goes."""
        store = replace(self.target_store(job), report=report)
        if job.destination.transport != "docker":
            return open_sink(job.destination, store)
        where = ImageName.parse(job.destination.path)
        own = store.mount_from
        lately = tuple(name for name in self.holders.lately(where.host) if name not in own)

        def holders(digest: Digest) -> tuple[str, ...]:
            return (*self.holders.of(where.host, digest), *own)

        self.holders.open(where)
        store = replace(store, mount_from=(*own, *lately), holders=holders)
        return _Noted(open_sink(job.destination, store), where, self.holders)

    @contextmanager
    def turn(self, job: Job) -> Iterator[None]:
        """The time in which a job writes. A layout shows blobs only when an image is committed: one after the other,
        so that each finds what those before it have brought.
        """
        if job.destination.transport in ("docker", "docker-daemon"):
            yield
            return
        with self._lock:
            turn = self._turns.setdefault(job.destination.path, threading.Lock())
        with turn:
            yield


class _Noted:
    """A sink that tells which blobs are there."""

    def __init__(self, sink: Sink, where: ImageName, holders: Holders) -> None:
        self.accepts = sink.accepts
        self.ordered = sink.ordered
        self._sink = sink
        self._where = where
        self._holders = holders

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def has(self, descriptor: Descriptor) -> bool:
        found = self._sink.has(descriptor)
        if found:
            self._holders.learn(self._where.host, self._where.repository, descriptor.digest)
        return found

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        made = self._sink.put(blocks, media_type, expected)
        self._holders.learn(self._where.host, self._where.repository, made.digest)
        return made

    def name(self, name: str, root: Descriptor) -> None:
        self._sink.name(name, root)

    def attach(self, attachment: Attachment) -> None:
        self._sink.attach(attachment)
