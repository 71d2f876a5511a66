"""A job: one image, where it comes from and where it goes, with its options; and what the jobs of a run share.

Shared are the cache, open stores, blobs that several jobs read, and remote workers. A store of many images is opened
once for all readers: the index of a layout describes all of its images.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from converter.cache import VerifiedCache
from converter.errors import AlreadyExists
from converter.events import Report
from converter.formats.documents import remember_sound
from converter.model.frozen import frozen
from converter.model.limits import Limits
from converter.model.reference import Location
from converter.model.settings import Settings
from converter.ports import Sink, Source
from converter.stores import StoreOptions, open_sink, open_source
from converter.stores.base_source import WrappedSource
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.stores.resource_pool import ResourcePool
from converter.streams.workers import Turns, Workers
from converter.system import cores

if TYPE_CHECKING:
    from converter.conversion.remote import Remote
    from converter.signing import Signing
    from converter.stores.blob_spool import BlobSpool
    from converter.verification.wanted import Wanted


@frozen
class Options(Settings):
    """Options of a conversion: its settings, and what its result does not depend on.

    ``called`` is the name of the image where a format has one in it, in place of its name at the source;
    ``overwrite`` lets a file that exists be replaced, unless it is read; ``jobs`` 0 means one thread per processor;
    ``cache`` is the folder that remembers what was verified, or None, and ``cache_blobs`` how many bytes of made or
    fetched blobs it may hold; ``link`` lets unchanged blobs share the source's files; ``origin`` is when to write an
    origin record: ``always`` when the digest changes, ``signed`` when the digest of a signed image does, or ``never``;
    ``content_trust`` holds Docker Content Trust documents, by name, to carry along; ``target_store`` is how to access
    destinations, None for the same as the source.
    """

    all_images: bool = False
    called: str = ""
    aci_paths: tuple[Path, ...] = ()
    preserve_digests: bool = False
    strict: bool = False
    dry_run: bool = False
    overwrite: bool = False
    jobs: int = 0
    attachments: bool = True
    remove_signatures: bool = False
    wanted: Wanted | None = None
    signing: Signing | None = None
    origin: str = "signed"
    content_trust: Mapping[str, bytes] = field(default_factory=dict)
    download_foreign: bool = False
    cache: Path | None = None
    cache_blobs: int = 0
    link: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)
    target_store: StoreOptions | None = None

    @property
    def settings(self) -> Settings:
        """The settings alone."""
        return Settings(**{one.name: getattr(self, one.name) for one in fields(Settings)})

    @property
    def keeps_origin(self) -> bool:
        """Whether what refers to the image may go along in an origin record."""
        return self.attachments and not self.remove_signatures

    @property
    def writing(self) -> StoreOptions:
        """How to access destinations."""
        return self.target_store or self.store

    @property
    def threads(self) -> int:
        """How many threads to use."""
        return self.jobs or cores()


@frozen
class Job:
    """An image to convert to every destination; with ``all_images``, all those at its source."""

    source: Location
    destinations: tuple[Location, ...]
    options: Options

    @property
    def destination(self) -> Location:
        """The only destination, as in a run of many images."""
        (destination,) = self.destinations
        return destination

    @property
    def name(self) -> str:
        """A short name for display."""
        return self.destination.name or self.destination.path.rpartition("/")[2]


def for_run(options: Options, hosts: Hosts, inputs: Inputs) -> Options:
    """The same options, with both ends sharing what is known of hosts, and the ``inputs`` that are never replaced: what
    the options themselves name is added to them.
    """
    for end in (options.store, options.writing):
        inputs.add(*end.inputs.paths)
        if end.authfile is not None:
            inputs.add(end.authfile)
    return replace(
        options,
        store=replace(options.store, hosts=hosts, inputs=inputs, download_foreign=options.download_foreign),
        target_store=replace(options.writing, hosts=hosts, inputs=inputs),
    )


MOST_OPEN = 8
"""The most stores that stay open for later readers: each may hold a file open."""


class Shared:
    """Opens the ends of the jobs of one run. A context manager.

    With ``many`` jobs, blobs from other machines are kept for later jobs, stores of many images are opened once, and
    what is at a destination already is not written again. ``remote`` is the port to other machines, if they help.
    """

    def __init__(
        self,
        memory: VerifiedCache,
        workers: Workers,
        *,
        many: bool = False,
        remote: Remote | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.memory = memory
        self.workers = workers
        self.many = many
        self.remote = remote
        self._kept = ExitStack()
        self._spool: BlobSpool | None = None
        self._stores: ResourcePool[tuple[str, str, Limits], Source] = ResourcePool(MOST_OPEN)
        self._kept.callback(self._stores.close)
        self._folders: list[Path] = []
        self._turn = Turns()
        self._waited: dict[Location, float] = {}
        self._clock = clock
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._kept.enter_context(remember_sound(self.memory))
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open, and remove the folders that were made for files which then failed, deepest first."""
        self._kept.close()
        for folder in sorted(self._folders, key=lambda each: len(each.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()

    @property
    def fetched(self) -> int:
        """The bytes of blobs fetched from other machines, as far as they were kept."""
        return self._spool.fetched if self._spool is not None else 0

    @contextmanager
    def source(self, job: Job) -> Iterator[Source]:
        """The source of a job; what is read from another machine is fetched once, after ``hold``."""
        with self._opened(job.source, job.options.store) as source:
            if source.local:
                yield source
                return
            from converter.stores.blob_spool import SharedSource

            if self.memory.blobs is not None:
                source = WrappedSource(source, self.memory.blobs.blocks)
            yield SharedSource(source, self._spooled(), holding=self.many)

    def there(self, job: Job) -> AbstractContextManager[Source]:
        """The destination as a source; one of many images is seen as it was before this run wrote to it."""
        return self._opened(job.destination, replace(self.store(job, job.destination), hints=False))

    def _opened(self, place: Location, options: StoreOptions) -> AbstractContextManager[Source]:
        """The store at a place. With many jobs, one that may hold other images too is opened once for all of them.

        Raises what ``open_source`` raises.
        """
        # What a bare path leads to is not known before it is opened.
        if not self.many or (place.transport and place.kind.holds != "several"):
            return open_source(place, options)
        key = (place.transport, place.path, options.limits)
        return self._stores.use(key, lambda: open_source(place, options).__enter__())

    def store(self, job: Job, destination: Location) -> StoreOptions:
        """How to access a destination; a mirror of many images replaces files that are images of the same kind.

        Within one registry, blobs of the source's repository need no transfer.
        """
        options = job.options
        store = replace(
            options.writing,
            epoch=options.epoch or 0,
            overwrite=options.overwrite or options.writing.overwrite,
            mirror=self.many,
        )
        ours, theirs = destination.image_name, job.source.image_name
        if ours is None or theirs is None or ours.host != theirs.host:
            return store
        return replace(store, mount_from=(*store.mount_from, theirs.repository))

    def sink(self, job: Job, destination: Location, report: Report) -> Sink:
        """A destination; for a registry, with what is known about its other repositories."""
        return open_sink(destination, replace(self.store(job, destination), report=report, holders=self.memory))

    @contextmanager
    def turn(self, job: Job) -> Iterator[None]:
        """Hold the turn of one of many jobs to write, and create the folder of its file.

        A layout shows blobs only once an image is committed, so jobs write to it one after another, and each finds the
        blobs of earlier ones.
        """
        if not self.many or job.destination.kind.holds == "name":
            yield
            return
        began = self._clock()
        with self._turn(job.destination.path):
            self._waited[job.destination] = self._clock() - began
            if job.destination.kind.ending is not None:
                path = Path(job.destination.path).parent
                missing = [folder for folder in (path, *path.parents) if not folder.exists()]
                try:
                    path.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    fact = f"{path} is a file: sync makes a folder of {job.destination.transport}: files there"
                    raise AlreadyExists(fact) from None
                self._folders += missing
            yield

    def waited(self, job: Job) -> float:
        """The seconds that a job has waited for its turn."""
        return self._waited.get(job.destination, 0.0)

    def _spooled(self) -> BlobSpool:
        from converter.stores.blob_spool import MOST_KEPT, BlobSpool

        with self._lock:
            if self._spool is None:
                self._spool = self._kept.enter_context(BlobSpool(MOST_KEPT if self.many else sys.maxsize))
            return self._spool
