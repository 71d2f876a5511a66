"""Makes what is served: an image is converted once for what it is made from and how, however many ask for it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from converter.cache import Cache, VerifiedCache
from converter.conversion import Options, signed
from converter.conversion.job import Job, source_store, with_hosts
from converter.conversion.result import Done
from converter.conversion.run import run
from converter.conversion.selection import platforms_of
from converter.conversion.shared import Shared
from converter.errors import CalledOff, ConverterError, LossRefused, NotFound, Unsupported, Usage, from_system, within
from converter.events import Report, silent
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.limits import enforce_limits
from converter.model.platform import ALL_PLATFORMS, only_platform
from converter.model.reference import ImageName, Location
from converter.ports import Sink
from converter.serving.image_store import ImageStore, ImageStoreSink, StoredImage
from converter.serving.responses import Refused, refusal
from converter.serving.singleflight import Singleflight
from converter.stores import open_source
from converter.stores.hosts import Hosts
from converter.streams.workers import Workers
from converter.version import __version__

FRESH = 5.0
"""Seconds for which the answer to what a tag stands for is used; of a file, as long as it does not change."""

AT_ONCE = 2
"""Conversions at a time."""

PER_HOST = 6
"""Requests to the registry of a source at a time."""

REMEMBERED = 10_000
"""The most tags of which it is remembered what they stand for."""

K = TypeVar("K")
V = TypeVar("V")

_NOTHING = Descriptor(media_type="", digest=Digest.of(b""), size=0)


@frozen
class Resolved:
    """What a source has under a name, or why it has nothing; ``seen`` is the state of its files.

    It ``lasts`` while these do not change, else for a few seconds.
    """

    at: float
    seen: tuple[tuple[int, ...], ...]
    root: Descriptor = _NOTHING
    error: ConverterError | None = None
    lasts: bool = False

    def holds(self, seen: tuple[tuple[int, ...], ...]) -> bool:
        """Whether it need not be asked for again."""
        return self.seen == seen and (self.lasts or time.monotonic() - self.at < FRESH)


class _Into(Shared):
    """Runs a job whose image goes into the store, whatever its destination is."""

    def __init__(self, memory: VerifiedCache, workers: Workers, sink: ImageStoreSink) -> None:
        super().__init__(memory, workers)
        self._sink = sink

    def sink(self, job: Job, destination: Location, report: Report) -> Sink:  # noqa: ARG002 - there is one
        return self._sink


class Conversions:
    """Converts images of the catalogue into the store; a context manager whose end calls off what is under way."""

    def __init__(
        self, store: ImageStore, options: Options, *, at_once: int = AT_ONCE, waiting: int = 48, report: Report = silent
    ) -> None:
        """``options`` say how many threads to use, and where results are remembered. More than ``waiting`` requests
        that have to wait are refused.
        """
        self.store = store
        self.made = self.failed = 0
        self.seconds = 0.0
        self._options = options
        self._report = report
        self._waiting = threading.BoundedSemaphore(waiting)
        self._turns = threading.BoundedSemaphore(at_once)
        self._resolved: OrderedDict[tuple[Location, str], Resolved] = OrderedDict()
        self._foreseen: OrderedDict[str, Descriptor | None] = OrderedDict()
        self._under_way: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._resolving: Singleflight[Resolved] = Singleflight()
        self._converting: Singleflight[StoredImage] = Singleflight()
        self._foreseeing: Singleflight[Descriptor | None] = Singleflight()
        self._hosts = Hosts(PER_HOST)
        self._workers = Workers(options.threads)
        self._stopped = False

    def close(self) -> None:
        """Call off what is under way, and end the threads."""
        self._stopped = True
        self._hosts.stop()
        self._workers.stop()
        self._workers.__exit__(None, None, None)

    @property
    def under_way(self) -> list[str]:
        """The images that are being converted."""
        with self._lock:
            return sorted(str(job.source) for job in self._under_way.values())

    def image(self, job: Job) -> StoredImage:
        """The image of a job, converted if it is not there yet. Raises what conversions raise."""
        root = self._root(job)
        key = self.key(job, root)
        name, tag = name_of(job)
        kept = self.store.image(key)
        if kept is None:
            kept = self._awaited(self._converting, key, lambda: self._made(job, key))
        return kept if kept.names.get(name) else self.store.add(kept, name, tag)

    def foreseen(self, job: Job) -> Descriptor | None:
        """What the image of a job will be, as far as that is known without converting it."""
        root = self._root(job)
        key = self.key(job, root)
        if (kept := self.store.image(key)) is not None:
            return kept.root
        if key not in self._foreseen:
            made = self._awaited(self._foreseeing, key, lambda: self._forecast(job))
            self._remember(self._foreseen, key, made)
        return self._foreseen.get(key)

    def with_digest(self, job: Job, digest: Digest) -> StoredImage | None:
        """The image of a job as the source has it, or as it is served, if either has that digest."""
        try:
            original = unchanged(job)
            if self._root(original).digest == digest:
                kept = self.image(original)
                return kept if kept.root.digest == digest else None
            found = self.foreseen(job)
            return self.image(job) if found is not None and found.digest == digest else None
        except (NotFound, LossRefused, Unsupported, Usage):
            return None

    def again(self, job: Job, key: str) -> StoredImage:
        """Make an image anew that lacks a blob; raises NotFound if its source has another now."""
        for one in (job, unchanged(job), exempt(job)):
            if self.key(one, self._root(one)) == key:
                return self.image(one)
        raise NotFound(f"{job.source} has changed")

    def key(self, job: Job, root: Descriptor) -> str:
        """What an image is made from, and how."""
        options = job.options
        wanted = options.wanted
        said = {
            "release": __version__,
            "root": str(root.digest),
            "place": job.destination.transport,
            "to": options.to,
            "compress": None if options.compress is None else str(options.compress),
            "settings": options.settings.to_json(),
            "preserve": options.preserve_digests,
            "called": options.called,
            "attachments": [options.attachments, options.remove_signatures, options.origin],
            "policy": None if wanted is None else hashlib.sha256(repr(wanted.policy).encode()).hexdigest(),
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def _awaited(self, once: Singleflight[V], key: Hashable, work: Callable[[], V]) -> V:
        if not self._waiting.acquire(blocking=False):
            message = "too many requests wait for images: try again later"
            raise Refused(refusal(429, "TOOMANYREQUESTS", message, {"Retry-After": "5"}))
        try:
            return once.do(key, work)
        finally:
            self._waiting.release()

    def _root(self, job: Job) -> Descriptor:
        """What the source has under the name of a job, signed as is wanted. Raises NotFound, Untrusted, Unreachable."""
        slot = (job.source, self.key(job, _NOTHING))
        found = self._resolved.get(slot)
        seen = _state(job)
        if found is None or not found.holds(seen):
            found = self._awaited(self._resolving, slot, lambda: self._resolve(job, seen))
            self._remember(self._resolved, slot, found)
        if found.error is not None:
            # Another object each time: this one may be raised by many threads.
            raise type(found.error)(found.error.fact, *found.error.trail)
        return found.root

    def _resolve(self, job: Job, seen: tuple[tuple[int, ...], ...]) -> Resolved:
        options = with_hosts(job.options, self._hosts)
        at = time.monotonic()
        try:
            with (
                enforce_limits(options.store.limits),
                within(str(job.source)),
                _system(),
                open_source(job.source, source_store(options)) as source,
            ):
                root = source.resolve(job.source.name)
                signed.require(source, job.source, root, options.wanted, only_platform(platforms_of(options)))
                return Resolved(at=at, seen=seen, root=root, lasts=bool(seen) and options.wanted is None)
        except ConverterError as error:
            return Resolved(at=at, seen=seen, error=error)

    def _made(self, job: Job, key: str) -> StoredImage:
        with self._turns:
            if (kept := self.store.image(key)) is not None:
                return kept
            if self._stopped:
                raise CalledOff("the server is stopping")
            with self._lock:
                self._under_way[key] = job
            began = time.monotonic()
            try:
                made = self._converted(job)
                self.made += 1
            except BaseException:
                self.failed += 1
                raise
            finally:
                self.seconds += time.monotonic() - began
                with self._lock:
                    del self._under_way[key]
        return self.store.add(made, *name_of(job))

    def _converted(self, job: Job) -> StoredImage:
        sink = ImageStoreSink(self.store, _accepts(job))
        (done,) = self._run(job, sink)
        # The tag may have moved since it was looked at: what was read says what the result was made from.
        return sink.kept(self.key(job, done.target.chosen.root))

    def _forecast(self, job: Job) -> Descriptor | None:
        dry = replace(job, options=replace(job.options, dry_run=True))
        (done,) = self._run(dry, ImageStoreSink(self.store, _accepts(job)))
        return None if done.tree.made is None else done.tree.made.descriptor

    def _run(self, job: Job, sink: ImageStoreSink) -> list[Done]:
        options = replace(with_hosts(job.options, self._hosts), cache=None, all_images=False, overwrite=True)
        job = replace(job, options=options)
        cache = self._options.cache
        with (
            enforce_limits(options.store.limits),
            within(str(job.source)),
            _system(),
            Cache(cache, self._options.cache_blobs) if cache else VerifiedCache() as memory,
            _Into(memory, self._workers, sink) as shared,
        ):
            return run(job, shared, self._report)

    def _remember(self, table: OrderedDict[K, V], key: K, value: V) -> None:
        with self._lock:
            table[key] = value
            table.move_to_end(key)
            while len(table) > REMEMBERED:
                table.popitem(last=False)


def as_aci(job: Job, called: str, platform: str) -> Job:
    """The job that makes an ACI of that name for one platform."""
    options = replace(job.options, to="aci", platforms=(platform,), compress=None, called=called)
    return replace(job, destinations=(Location(transport="aci", path=f"{job.destination.path}.aci"),), options=options)


def unchanged(job: Job) -> Job:
    """The job that brings an image as its source has it, or not at all."""
    options = replace(
        job.options,
        to="",
        platforms=ALL_PLATFORMS,
        compress=None,
        squash=False,
        changes=(),
        preserve_digests=True,
    )
    return replace(job, options=options)


def exempt(job: Job) -> Job:
    """The job that brings what refers to an image: whoever may not read signatures could not check any."""
    job = unchanged(job)
    return replace(job, options=replace(job.options, wanted=None))


def name_of(job: Job) -> tuple[str, str]:
    """The repository and the tag, or the digest, under which a job is served."""
    path = job.destination.path
    name = ImageName.parse(path.removesuffix(".aci") if job.destination.transport == "aci" else path).tagged()
    return name.repository, name.tag or str(name.digest)


def _accepts(job: Job) -> frozenset[str]:
    return frozenset((types.ACI, types.PGP_SIGNATURE)) if job.destination.transport == "aci" else frozenset()


def _state(job: Job) -> tuple[tuple[int, ...], ...]:
    """What changes when the files of a source do; empty for one that is not on this machine."""
    if job.source.transport in ("docker", "docker-daemon", "appc"):
        return ()
    found = []
    for path in (Path(job.source.path), *(Path(job.source.path, name) for name in ("index.json", "manifest.json"))):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


@contextmanager
def _system() -> Iterator[None]:
    """Turn what the system refuses into an error of this program's."""
    try:
        yield
    except OSError as error:
        raise from_system(error) from error
