"""Converts the images that are served: each once per source and settings, however many clients ask for it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from converter.cache import VerifiedCache, open_cache
from converter.conversion import Options, run_job
from converter.conversion.attachments import require_signed
from converter.conversion.job import Job, Shared, for_run
from converter.conversion.result import Done
from converter.conversion.selection import platforms_of
from converter.errors import CalledOff, ConverterError, LossRefused, NotFound, Unsupported, Usage, from_system, within
from converter.events import Report, silent
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.limits import enforce_limits
from converter.model.platform import ALL_PLATFORMS, only_platform
from converter.model.reference import ImageName, Location
from converter.ports import Sink, Source
from converter.serving.image_store import ImageStore, ImageStoreSink, ServedImage
from converter.serving.responses import Refused, refusal
from converter.serving.singleflight import Singleflight
from converter.stores import open_source
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.streams.workers import Workers
from converter.version import __version__

TAG_AGE = 5.0
"""Seconds for which a resolved tag is used. A file's is used until the file changes."""

ATTACHED_AGE = 60.0
"""Seconds after which it is looked again for what has been attached to an image since, such as a signature."""

PLATFORMS = 16
"""The most images of an index of which that is looked for."""

CONVERSIONS_AT_ONCE = 2
"""Conversions at a time."""

PER_HOST = 6
"""Requests to the registry of a source at a time."""

MOST_REMEMBERED = 10_000
"""The most tags whose resolved image is remembered."""

K = TypeVar("K")
V = TypeVar("V")

_NOTHING = Descriptor(media_type="", digest=Digest.of(b""), size=0)


@frozen
class Resolved:
    """What a source has under a name, or why it has nothing; ``seen`` is the state of its files.

    It ``lasts`` while these do not change, else for a few seconds. ``attached`` stands for what referred to the image
    at the time ``listed``.
    """

    at: float
    seen: tuple[tuple[int, ...], ...]
    root: Descriptor = _NOTHING
    attached: str = ""
    listed: float = 0.0
    error: ConverterError | None = None
    lasts: bool = False

    def holds(self, seen: tuple[tuple[int, ...], ...]) -> bool:
        """Whether the answer is still fresh."""
        return self.seen == seen and (self.lasts or time.monotonic() - self.at < TAG_AGE)


class _IntoStore(Shared):
    """Runs a job whose image goes into the store, whatever its destination is."""

    def __init__(self, memory: VerifiedCache, workers: Workers, sink: ImageStoreSink) -> None:
        super().__init__(memory, workers)
        self._sink = sink

    def sink(self, job: Job, destination: Location, report: Report) -> Sink:  # noqa: ARG002 - all go to one
        return self._sink


class Conversions:
    """Converts images of the catalogue into the store; a context manager whose end calls off what is under way."""

    def __init__(
        self,
        store: ImageStore,
        options: Options,
        *,
        at_once: int = CONVERSIONS_AT_ONCE,
        waiting: int = 48,
        report: Report = silent,
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
        self._forecasts: OrderedDict[str, Descriptor | None] = OrderedDict()
        self._under_way: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._resolving: Singleflight[Resolved] = Singleflight()
        self._converting: Singleflight[ServedImage] = Singleflight()
        self._forecasting: Singleflight[Descriptor | None] = Singleflight()
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

    def image(self, job: Job) -> ServedImage:
        """The image of a job, converted if it is not there yet. Raises what conversions raise."""
        found = self._found(job)
        key = self.key(job, found)
        name, tag = served_name(job)
        kept = self.store.image(key)
        if kept is None:
            kept = self._awaited(self._converting, key, lambda: self._made(job, found))
        return kept if kept.names.get(name) else self.store.add(kept, name, tag)

    def forecast(self, job: Job) -> Descriptor | None:
        """What the image of a job will be, as far as that is known without converting it."""
        key = self.key(job, self._found(job))
        if (kept := self.store.image(key)) is not None:
            return kept.root
        if key not in self._forecasts:
            made = self._awaited(self._forecasting, key, lambda: self._dry_run(job))
            self._remember(self._forecasts, key, made)
        return self._forecasts.get(key)

    def with_digest(self, job: Job, digest: Digest) -> ServedImage | None:
        """The image of a job as the source has it, or as it is served, if either has that digest."""
        try:
            original = unchanged_job(job)
            if self._found(original).root.digest == digest:
                kept = self.image(original)
                return kept if kept.root.digest == digest else None
            found = self.forecast(job)
            return self.image(job) if found is not None and found.digest == digest else None
        except (NotFound, LossRefused, Unsupported, Usage):
            return None

    def remake(self, job: Job, key: str) -> ServedImage:
        """Make an image anew that lacks a blob; raises NotFound if its source has another now."""
        for one in (job, unchanged_job(job), without_policy(job)):
            if _made_from(self.key(one, self._found(one))) == _made_from(key):
                return self.image(one)
        raise NotFound(f"{job.source} has changed")

    def key(self, job: Job, found: Resolved) -> str:
        """The policy that an image meets, what it is made from and how, and what refers to it."""
        options = job.options
        depends_on = {
            "release": __version__,
            "root": str(found.root.digest),
            "place": job.destination.transport,
            "to": options.to,
            "compress": None if options.compress is None else str(options.compress),
            "settings": options.settings.to_json(),
            "preserve": options.preserve_digests,
            "called": options.called,
            "attachments": [options.attachments, options.remove_signatures, options.origin],
        }
        made = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        return f"{policy_of(options)}-{made}-{found.attached}"

    def refresh(self, name: str) -> None:
        """Learn what other servers have made of a repository."""
        with self._waits():
            self.store.refresh(name)

    def _awaited(self, once: Singleflight[V], key: Hashable, work: Callable[[], V]) -> V:
        with self._waits():
            return once.do(key, work)

    @contextmanager
    def _waits(self) -> Iterator[None]:
        """A request waits for what is not here; Refused if too many do."""
        if not self._waiting.acquire(blocking=False):
            message = "too many requests wait for images: try again later"
            raise Refused(refusal(429, "TOOMANYREQUESTS", message, {"Retry-After": "5"}))
        try:
            yield
        finally:
            self._waiting.release()

    def _found(self, job: Job) -> Resolved:
        """What the source has under the name of a job, signed as is wanted. Raises NotFound, Untrusted, Unreachable."""
        slot = (job.source, self.key(job, Resolved(at=0, seen=())))
        found = self._resolved.get(slot)
        seen = _state(job)
        if found is None or not found.holds(seen):
            found = self._awaited(self._resolving, slot, lambda: self._resolve(job, seen, self._resolved.get(slot)))
            self._remember(self._resolved, slot, found)
        if found.error is not None:
            # Another object each time: this one may be raised by many threads.
            raise type(found.error)(found.error.fact, *found.error.trail)
        return found

    def _resolve(self, job: Job, seen: tuple[tuple[int, ...], ...], before: Resolved | None) -> Resolved:
        options = for_run(job.options, self._hosts, Inputs())
        at = time.monotonic()
        try:
            with (
                enforce_limits(options.store.limits),
                within(str(job.source)),
                _system_errors(),
                open_source(job.source, options.store) as source,
            ):
                root = source.resolve(job.source.name)
                require_signed(source, job.source, root, options.wanted, only_platform(platforms_of(options)))
                lasts = bool(seen) and options.wanted is None
                if before and (before.root, before.seen) == (root, seen) and at - before.listed < ATTACHED_AGE:
                    return replace(before, at=at, error=None, lasts=lasts)
                found = Resolved(at=at, seen=seen, root=root, listed=at, lasts=lasts)
                # A source that will not list them has its image served all the same.
                with suppress(ConverterError):
                    return replace(found, attached=_attached_digest(source, root))
                return found
        except ConverterError as error:
            return Resolved(at=at, seen=seen, error=error)

    def _made(self, job: Job, found: Resolved) -> ServedImage:
        key, name = self.key(job, found), served_name(job)[0]
        if (kept := self.store.bring(key, name)) is not None:
            return kept
        with self.store.locked(key, lambda: self._stopped), self._turns:
            # While this one waited, another server may have made it.
            if (kept := self.store.image(key) or self.store.bring(key, name)) is not None:
                return kept
            if self._stopped:
                raise CalledOff("the server is stopping")
            with self._lock:
                self._under_way[key] = job
            began = time.monotonic()
            try:
                made = self._converted(job, found)
                self.made += 1
            except BaseException:
                self.failed += 1
                raise
            finally:
                self.seconds += time.monotonic() - began
                with self._lock:
                    del self._under_way[key]
            return self.store.add(made, *served_name(job))

    def _converted(self, job: Job, found: Resolved) -> ServedImage:
        sink = ImageStoreSink(self.store, _accepts(job))
        (done,) = self._run(job, sink)
        # The tag may have moved since it was looked at: what was read says what the result was made from.
        root = done.target.selected.root
        made = sink.kept(self.key(job, replace(found, root=root)))
        if job.options.wanted is None:
            return made
        from converter.serving.proving import with_proof

        return with_proof(self.store, made, job, root, job.options.wanted)

    def _dry_run(self, job: Job) -> Descriptor | None:
        dry = replace(job, options=replace(job.options, dry_run=True))
        (done,) = self._run(dry, ImageStoreSink(self.store, _accepts(job)))
        return None if done.tree.made is None else done.tree.made.descriptor

    def _run(self, job: Job, sink: ImageStoreSink) -> list[Done]:
        options = replace(for_run(job.options, self._hosts, Inputs()), cache=None, all_images=False, overwrite=True)
        job = replace(job, options=options)
        with (
            enforce_limits(options.store.limits),
            within(str(job.source)),
            _system_errors(),
            open_cache(self._options.cache, self._options.cache_blobs) as memory,
            _IntoStore(memory, self._workers, sink) as shared,
        ):
            return run_job(job, shared, self._report)

    def _remember(self, table: OrderedDict[K, V], key: K, value: V) -> None:
        with self._lock:
            table[key] = value
            table.move_to_end(key)
            while len(table) > MOST_REMEMBERED:
                table.popitem(last=False)


def as_aci(job: Job, called: str, platform: str) -> Job:
    """The job that makes an ACI of that name for one platform."""
    options = replace(job.options, to="aci", platforms=(platform,), compress=None, called=called)
    return replace(job, destinations=(Location(transport="aci", path=f"{job.destination.path}.aci"),), options=options)


def unchanged_job(job: Job) -> Job:
    """The job that copies an image unchanged, or fails."""
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


def without_policy(job: Job) -> Job:
    """The job without its policy, to copy referrers: a client that cannot read signatures could not verify any."""
    job = unchanged_job(job)
    return replace(job, options=replace(job.options, wanted=None))


def served_name(job: Job) -> tuple[str, str]:
    """The repository and the tag, or the digest, under which a job is served."""
    path = job.destination.path
    name = ImageName.parse(path.removesuffix(".aci") if job.destination.kind.has_acis else path).tagged()
    return name.repository, name.tag or str(name.digest)


def policy_of(options: Options) -> str:
    """What stands for the policy that is to be met, at the start of a key."""
    wanted = options.wanted
    return "any" if wanted is None else hashlib.sha256(repr(wanted.policy).encode()).hexdigest()[:16]


def _made_from(key: str) -> str:
    """The part of a key that decides the bytes of an image."""
    return key.rpartition("-")[0]


def _attached_digest(source: Source, root: Descriptor) -> str:
    """What stands for all that refers to an image, or to the images of an index; empty if nothing does."""
    subjects = [root.digest]
    if root.media_type in types.INDEXES:
        rows = load_object(source.fetch(root).read()).get("manifests")
        subjects += [Descriptor.from_json(row).digest for row in (rows or ())[:PLATFORMS]]
    found = sorted({str(one.descriptor.digest) for subject in subjects for one in source.attachments(subject)})
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] if found else ""


def _accepts(job: Job) -> frozenset[str]:
    return frozenset((types.ACI, types.PGP_SIGNATURE)) if job.destination.kind.has_acis else frozenset()


def _state(job: Job) -> tuple[tuple[int, ...], ...]:
    """What changes when the files of a source do; empty for one that is not on this machine."""
    if not job.source.kind.on_disk:
        return ()
    found = []
    inside = (Path(job.source.path, name) for name in ("index.json", "manifest.json"))
    for path in (Path(job.source.path), Path(f"{job.source.path}.asc"), *inside):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn an OSError into an error of this program."""
    try:
        yield
    except OSError as error:
        raise from_system(error) from error
