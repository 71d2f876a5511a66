"""Work for other machines: leaves of plans or whole images, small, free of secrets, and idempotent (decision 0071)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from converter.cache import VerifiedCache
from converter.conversion import run_job
from converter.conversion.job import Job, Shared
from converter.conversion.planning import PlannedTarget
from converter.errors import ConverterError, Unsupported, from_system, within
from converter.events import Event, Moved, Report, silent
from converter.execute import (
    Execution,
    Threads,
    how_packed,
    input_size,
    known_result,
    remember_leaf,
    require_diff_id,
)
from converter.model.content import Derived, Known, Layer, LayerFacts, source_blobs
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.limits import enforce_limits
from converter.model.reference import STDIN, STDOUT, Location
from converter.plan import Copy, Evaluated, Leaf, Made, Node, Write, evaluate, leaves_below
from converter.ports import Fetch, Sink
from converter.stores import StoreOptions, files_read
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.streams.workers import Workers

LEAVES_AT_ONCE = 6
"""The most leaves of one image made elsewhere at the same time; they share the request slots of its registries."""

INTERVAL = 0.5
"""Seconds between two messages about how far blobs have been read."""


@frozen
class Assignment:
    """A leaf to be made at the destination of a portable job, or the image with the digest ``root`` as a whole.

    ``how`` is the way that the leaf has to be packed, ``known`` its result if it was made before. ``apart`` is for a
    registry that does not mount blobs from one repository into another. ``size`` is about how many bytes are read: the
    largest begin first, so that none is left alone at the end.
    """

    job: Job
    root: Digest
    leaf: Leaf | None = None
    how: str = ""
    known: Made | None = None
    apart: bool = False
    size: int = 0

    @property
    def key(self) -> str:
        """Equal for two of which one suffices for both: of content, packing and target, whichever image wants it."""
        if self.leaf is None:
            how = sha256(repr(self.job.options).encode()).hexdigest()
            return f"image-{self.root}-{how}-{self.job.destination}"
        host, repository = written_place(self.job)
        layer = isinstance(self.leaf, Copy) and self.leaf.find_diff_id
        how = self.how or ("layer" if layer else "blob")
        place = f"{host}/{repository if self.apart else ''}"
        return f"move-{leaf_blob(self.leaf).descriptor.digest}-{how}-{place}"


@frozen
class RemoteAnswer:
    """What the leaves became, in the order of the plan; never bytes.

    ``repository`` is the one that has them, ``fetched`` are the bytes of blobs fetched from remote sources.
    """

    made: tuple[Made, ...]
    repository: str = ""
    fetched: int = 0


class Remote(Protocol):
    """The port to other machines."""

    images: int
    """The number of concurrent images that keeps those machines busy."""

    fetched: int
    """Bytes of blobs that those machines have fetched from remote sources."""

    def run(self, assignment: Assignment, report: Report) -> RemoteAnswer:
        """What ``perform_assignment`` answers there; raises the error that it returned.

        ``report`` is called here, and may end it by raising.
        """


def perform_assignment(
    assignment: Assignment, environment: Mapping[str, str], hosts: Hosts, send: Report, workers: Workers
) -> RemoteAnswer | ConverterError:
    """Carry out an assignment with this machine's environment, in place of what ``portable_job`` left out.

    What ``converter.convert`` raises is returned: a ConverterError, or what an OSError becomes.
    """
    options = assignment.job.options
    store, target = (
        replace(end, environment=environment, hosts=hosts, delegated=True) for end in (options.store, options.writing)
    )
    job = replace(assignment.job, options=replace(options, store=store, target_store=target))
    with (
        enforce_limits(store.limits),
        Shared(VerifiedCache(), workers, many=True) as shared,
        _throttled(send) as report,
    ):
        try:
            if assignment.leaf is None:
                made = _made_image(job, shared, report)
            else:
                made = (_made_leaf(assignment, assignment.leaf, job, shared, report),)
        except ConverterError as error:
            return error
        except OSError as error:
            return from_system(error)
        return RemoteAnswer(made=made, repository=written_place(job)[1], fetched=shared.fetched)


def _made_image(job: Job, shared: Shared, report: Report) -> tuple[Made, ...]:
    (done,) = run_job(job, shared, report)
    root = done.tree.node
    made = {one.node: one.done for one in done.tree.walk()}
    every = tuple(made[leaf] for leaf in leaves_below(root))
    # Only documents need the facts, and those for the layer above can be long.
    return every if isinstance(root, Write) else tuple(map(_without_facts, every))


def _made_leaf(assignment: Assignment, leaf: Leaf, job: Job, shared: Shared, report: Report) -> Made:
    """Make a leaf; its diff_id is computed, never trusted."""
    with shared.source(job) as source:
        with within(str(job.source)):
            leaf = _with_bytes(leaf, source.fetch)
        if assignment.known is not None:
            remember_leaf(shared.memory, leaf, assignment.known)
        how = how_packed(leaf.content)
        if how != assignment.how:
            raise Unsupported(f"packs as {how!r}, not as {assignment.how!r} like the other machines")
        with shared.sink(job, job.destination, report) as sink:
            made, _ = Threads(sink, shared.workers, shared.memory, report, jobs=1).make(leaf, ())
    return _without_facts(made)


def _without_facts(made: Made) -> Made:
    return replace(made, facts=LayerFacts())


@contextmanager
def _throttled(send: Report) -> Iterator[Report]:
    """A report that sums up small steps, and sends the totals at intervals."""
    steps: Counter[str] = Counter()
    lock = threading.Lock()
    sent = time.monotonic()

    def flush() -> None:
        nonlocal sent
        sent = time.monotonic()
        for name, size in steps.items():
            send(Moved(name, size))
        steps.clear()

    def report(event: Event) -> None:
        with lock:
            if isinstance(event, Moved):
                steps[event.name] += event.size
                if time.monotonic() - sent >= INTERVAL:
                    flush()
            else:
                flush()
                send(event)

    try:
        yield report
    finally:
        with lock:
            flush()


def can_take(job: Job) -> bool:
    """Whether another machine can do all of a job: it reaches both ends, and needs no keys or policies."""
    return _is_reachable(job) and job.options.signing is None and job.options.wanted is None


def can_take_leaves(job: Job, root: Node) -> bool:
    """Whether other machines can make every leaf of a plan, and put it where its documents will find it."""
    return _is_reachable(job) and job.destination.kind.adds_blobs and all(map(_is_of_one_blob, leaves_below(root)))


def make_image(target: PlannedTarget, job: Job, remote: Remote, report: Report) -> Evaluated:
    """Have another machine make a whole image."""
    nodes = leaves_below(target.forecast.node)
    whole = Assignment(job=portable_job(job), root=target.selected.root.digest, size=sum(map(input_size, nodes)))
    made = dict(zip(nodes, remote.run(whole, report).made, strict=True))
    return evaluate(target.forecast.node, lambda leaf, _: made[leaf])


class RemoteMaker(Execution):
    """Lets other machines make leaves, each blob only once for all images of a run: its memory has the results."""

    def __init__(self, job: Job, sink: Sink, shared: Shared, report: Report) -> None:
        super().__init__(sink, shared.memory, report, jobs=LEAVES_AT_ONCE)
        self._job = portable_job(job)
        self._place, self._repository = written_place(job)
        self._remote = shared.remote

    def make(self, leaf: Leaf, inputs: tuple[Made, ...]) -> tuple[Made, bool]:
        """As in Execution."""
        del inputs
        memory, digest = self._memory, leaf_blob(leaf).descriptor.digest
        # What a document says about a blob is not known before the blob was read.
        asked = replace(leaf, diff_id=None)
        if isinstance(asked, Copy):
            asked = replace(asked, find_diff_id=asked.find_diff_id or leaf.diff_id is not None)
        with memory.turn(digest):
            made, skipped = known_result(memory, asked), True
            if made is None or not memory.seen(self._place, made.descriptor.digest):
                made, skipped = self._send(asked, made), False
            there = memory.seen(self._place, made.descriptor.digest)
            if self._repository not in there and not self.sink.has(made.descriptor):
                made, skipped = self._send(asked, made, apart=True), False
        require_diff_id(leaf, made.diff_id)
        return made, skipped

    def _stop(self, error: BaseException) -> None:
        """Do nothing: tasks on other machines are not stopped."""

    def _send(self, leaf: Leaf, known: Made | None, *, apart: bool = False) -> Made:
        assert self._remote is not None
        asked = Assignment(
            job=self._job,
            root=leaf_blob(leaf).descriptor.digest,
            leaf=leaf,
            how=how_packed(leaf.content),
            known=known,
            apart=apart,
            size=input_size(leaf),
        )
        answer = self._remote.run(asked, self._report)
        (made,) = answer.made
        remember_leaf(self._memory, leaf, made)
        self._memory.learn_place(self._place, made.descriptor.digest, answer.repository)
        return replace(made, descriptor=made.descriptor.retyped(leaf.media_type))


def leaf_blob(leaf: Leaf) -> Known:
    """The one blob that a leaf is made from."""
    assert isinstance(leaf.content, Known | Derived)
    return next(source_blobs(leaf.content))


def _is_of_one_blob(leaf: Leaf) -> bool:
    """Whether a leaf is no more than a copy, or the recompression, of one blob."""
    if isinstance(leaf, Copy):
        return leaf.examine is None and leaf.algorithm == "sha256"
    return (
        isinstance(leaf.content, Derived)
        and leaf.content.algorithm == "sha256"
        and leaf.content.rewrite is None
        and isinstance(leaf.content.inputs[0].content, Known)
    )


def _with_bytes(leaf: Leaf, fetch: Fetch) -> Leaf:
    """The leaf with the bytes of its blob."""
    blob = fetch(leaf_blob(leaf).descriptor)
    if isinstance(leaf, Copy):
        return replace(leaf, content=blob)
    assert isinstance(leaf.content, Derived)
    return replace(leaf, content=replace(leaf.content, inputs=(Layer(content=blob),)))


def written_place(job: Job) -> tuple[str, str]:
    """The registry and repository that a job writes to, or the path of the layout and an empty text."""
    name = job.destination.image_name
    if name is None:
        return job.destination.path, ""
    return name.host, name.repository


def _is_reachable(job: Job) -> bool:
    """Whether another machine can reach both ends: neither is a daemon's socket or a standard stream."""
    return not any(
        place.kind.access == "engine" or place.path in STDIN + STDOUT for place in (job.source, job.destination)
    )


def portable_job(job: Job) -> Job:
    """The job without secrets or anything else that only this process has.

    Other machines use their own credentials for registries. Keys and policies stay here: they are used before work is
    handed out, or after it.
    """
    options, source = job.options, _absolute(job.source)
    ends = [_public(end) for end in (options.store, options.writing)]
    # Of all that the run reads, another machine need know only what it reads itself.
    inputs = Inputs(files_read(source))
    inputs.add(*(end.authfile for end in ends if end.authfile is not None))
    store, target = (replace(end, inputs=inputs) for end in ends)
    return Job(
        source=source,
        destinations=(_absolute(job.destination),),
        options=replace(
            options,
            jobs=1,
            cache=None,
            wanted=None,
            signing=None,
            aci_paths=tuple(path.absolute() for path in options.aci_paths),
            store=store,
            target_store=target,
        ),
    )


def _public(store: StoreOptions) -> StoreOptions:
    return replace(
        store,
        credentials=None,
        # None is passed: a worker has its own.
        token="",  # nosec B106
        environment={},
        docker_host="",
        authfile=store.authfile.absolute() if store.authfile else None,
        cert_dir=store.cert_dir.absolute() if store.cert_dir else None,
        jobs=1,
        holders=None,
        hosts=None,
        report=silent,
    )


def _absolute(place: Location) -> Location:
    return replace(place, path=str(Path(place.path).absolute())) if place.kind.on_disk else place
