"""Moves one blob: fetches it, recompresses it if needed, and puts it where the images that name it will look."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from converter.bulk.ends import Ends
from converter.bulk.plan import Job
from converter.bulk.task import Elsewhere, portable
from converter.conversion.planning import Target
from converter.errors import Unsupported, within
from converter.events import Event, Moved, Report, Warned
from converter.execute import Memory, Running, with_threads
from converter.execute.making import packing
from converter.model.content import Compression, Derived, Known, Layer, LayerFacts
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.reference import ImageName
from converter.plan import Copy, Made, Make, leaves
from converter.ports import Sink, Source
from converter.streams.crew import each

AT_ONCE = 6
"""The most concurrent moves of one image; they share the request slots of its registries."""


@frozen
class Brought:
    """A blob at its destination, and the repository of the registry (empty: the destination has none)."""

    made: Made
    repository: str = ""


@frozen
class Move:
    """Moves ``blob`` to the destination of ``job``, compressed as ``how`` says (empty: unchanged); ``known`` is its
    result if it was made before.

    ``apart`` is for a registry that does not mount blobs from one repository into another.
    """

    job: Job
    blob: Descriptor
    media_type: str
    compression: Compression | None = None
    how: str = ""
    layer: bool = True
    label: str = ""
    known: Made | None = None
    apart: bool = False

    @property
    def key(self) -> str:
        """A key made of content, compression and target, whichever image wants the blob and however it describes it."""
        place, repository = _place(self.job)
        how = self.how or ("layer" if self.layer else "blob")
        return f"move-{self.blob.digest}-{how}-{place}/{repository if self.apart else ''}"

    @property
    def size(self) -> int:
        """The blob's bytes at the source."""
        return self.blob.size

    def run(self, ends: Ends, report: Report) -> Brought:
        """Move the blob unless it is there. Its diff_id is computed, never trusted. Raises what Execution raises."""
        with ExitStack() as stack:
            source = stack.enter_context(ends.source(self.job))
            sink = stack.enter_context(ends.sink(self.job, report))
            leaf = self._leaf(source)
            if self.known is not None:
                self.learn(self.known, ends.memory)
            running = Running(jobs=1, memory=ends.memory, report=report)
            (tree,) = with_threads(sink, ends.workers, running).run([leaf])
        return Brought(made=replace(tree.done, facts=LayerFacts()), repository=_place(self.job)[1])

    def _leaf(self, source: Source) -> Copy | Make:
        with within(str(self.job.source)):
            blob = source.fetch(self.blob)
        if self.compression is None:
            return Copy(content=blob, media_type=self.media_type, find_diff_id=self.layer, label=self.label)
        content = Derived(inputs=(Layer(content=blob),), compression=self.compression)
        recipe = packing(content)
        if recipe is None or recipe[1] != self.how:
            got = "another way" if recipe is None else recipe[1]
            raise Unsupported(f"got {got!r} as the way to pack on this machine, want {self.how!r}, as on the others")
        return Make(content=content, media_type=self.media_type, label=self.label)

    def made_before(self, memory: Memory) -> Made | None:
        """The result, if this run or an earlier one already made it."""
        if self.how:
            made = memory.packed(self.blob.digest, self.how)
            return None if made is None else replace(made, descriptor=made.descriptor.retyped(self.media_type))
        diff_id = memory.get(self.blob.digest)
        if self.layer and diff_id is None:
            return None
        return Made(descriptor=self.blob.retyped(self.media_type), diff_id=diff_id)

    def learn(self, made: Made, memory: Memory) -> None:
        """Remember the result."""
        if self.how:
            memory.learn_packed(self.blob.digest, self.how, made)
        elif made.diff_id is not None:
            memory.learn(self.blob.digest, made.diff_id)


def moves(job: Job, target: Target) -> list[Move] | None:
    """Every layer of a target as a task; None if not all can be stored before the documents are."""
    if not job.destination.kind.adds_blobs:
        return None
    light = portable(job)
    found = [_move(light, leaf) for leaf in leaves(target.plan.root)]
    return None if None in found else [move for move in found if move is not None]


def _move(job: Job, leaf: Copy | Make) -> Move | None:
    """A leaf as a task; None if it needs more than copying or recompressing one blob."""
    if isinstance(leaf, Copy):
        if leaf.examine is not None or leaf.algorithm != "sha256":
            return None
        layer = leaf.find_diff_id or leaf.diff_id is not None
        return Move(job=job, blob=leaf.content.descriptor, media_type=leaf.media_type, layer=layer, label=leaf.label)
    content = leaf.content
    if not isinstance(content, Derived) or content.algorithm != "sha256":
        return None
    recipe, inner = packing(content), content.inputs[0].content
    if recipe is None or not isinstance(inner, Known):
        return None
    return Move(
        job=job,
        blob=inner.descriptor,
        media_type=leaf.media_type,
        compression=content.compression,
        how=recipe[1],
        label=leaf.label,
    )


def bring(todo: Sequence[Move], sink: Sink, ends: Ends, elsewhere: Elsewhere, report: Report) -> None:
    """Have layers brought to where their image will find them, each blob only once for all images.

    The memory of ``ends`` then has the results. Raises what the first failure raised.
    """

    def one(move: Move) -> None:
        with ends.memory.turn(move.blob.digest):
            _bring(move, sink, ends, elsewhere, _reading(report))

    each(one, sorted(todo, key=lambda move: move.size, reverse=True), AT_ONCE, lambda _: None)


def _bring(move: Move, sink: Sink, ends: Ends, elsewhere: Elsewhere, report: Report) -> None:
    place, repository = _place(move.job)
    made = move.made_before(ends.memory)
    if made is None or not ends.holders.of(place, made.descriptor.digest):
        brought = elsewhere.run(replace(move, known=made), report)
        made = brought.made
        move.learn(made, ends.memory)
        ends.holders.learn(place, brought.repository, made.descriptor.digest)
    if repository not in ends.holders.of(place, made.descriptor.digest) and not sink.has(made.descriptor):
        elsewhere.run(replace(move, known=made, apart=True), report)
        ends.holders.learn(place, repository, made.descriptor.digest)


def _place(job: Job) -> tuple[str, str]:
    """The registry and repository that the job writes to, or the path of the layout and an empty text."""
    if job.destination.transport != "docker":
        return job.destination.path, ""
    name = ImageName.parse(job.destination.path)
    return name.host, name.repository


def _reading(report: Report) -> Report:
    """Pass on only how far a blob has been read, and warnings: the image that waits for it reports the rest."""

    def hear(event: Event) -> None:
        if isinstance(event, Moved | Warned):
            report(event)

    return hear
