"""Runs a plan: leaves first, each blob once, in as many threads as allowed; the sink then holds the root's tree.

The bytes written do not depend on the number of threads. Nothing is visible in the target before the sink commits.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from converter.cache import REWRITES, VerifiedCache, edition
from converter.errors import CalledOff, DigestMismatch, within_part
from converter.events import Finished, Moved, Planned, Report, Started, silent
from converter.formats.documents import require_written
from converter.model.content import Content, Derived, Known, Repeatable, source_blobs
from converter.model.descriptor import Descriptor, Digest
from converter.plan import (
    Copy,
    Derive,
    Evaluated,
    Leaf,
    Made,
    MadeInputs,
    Make,
    Node,
    Write,
    evaluate,
    known_in_advance,
    leaves_below,
)
from converter.ports import Sink
from converter.streams.blocks import Block, Blocks, RereadableBlocks, closing
from converter.streams.read_ahead import fan_out, read_ahead
from converter.streams.workers import Workers, run_each


class Execution(ABC):
    """Runs plans into one sink. How a leaf is made, a subclass says: ``Threads``, or one that asks other machines."""

    def __init__(
        self, sink: Sink, memory: VerifiedCache, report: Report = silent, *, jobs: int, copies: int = 0
    ) -> None:
        """``memory`` is what is already known about blobs; ``jobs`` leaves are made at once, or ``copies`` if that is
        more: what only waits for a network needs no processor.
        """
        self.sink = sink
        self._memory = memory
        self._report = report
        self._jobs = jobs
        self._copies = copies
        self._announced: set[Leaf] = set()
        self._crowded = False
        """Whether more leaves are on their way at once than there are jobs."""

    @abstractmethod
    def make(self, leaf: Leaf, inputs: MadeInputs) -> tuple[Made, bool]:
        """The result of a leaf, and whether it was already there; raises DigestMismatch for another diff_id."""

    @abstractmethod
    def _stop(self, error: BaseException) -> None:
        """Stop the leaves in progress, because something failed. After a KeyboardInterrupt, nobody waits for them."""

    def announce(self, roots: Sequence[Node]) -> None:
        """Report how much there is to do, before ``run`` does: the work of several targets is then known at once."""
        more = set(leaves_below(*roots)) - self._announced
        self._announced |= more
        if more:
            self._report(Planned(sum(map(input_size, more)), len(more)))

    def run(self, roots: Sequence[Node], made: Mapping[Leaf, Made] | None = None) -> list[Evaluated]:
        """Make every root and all that it names, but for leaves that are already ``made``."""
        finished = self.make_leaves(roots) if made is None else dict(made)

        def finish(leaf: Leaf, inputs: MadeInputs) -> Made:
            if leaf not in finished:
                finished[leaf] = self._reported(leaf, inputs)
            return finished[leaf]

        return [evaluate(root, finish, self._put_document) for root in roots]

    def make_leaves(self, roots: Sequence[Node]) -> dict[Leaf, Made]:
        """Make all leaves that have no inputs, largest first unless the order of calls shows in the target.

        Raises the first failure, once all threads have stopped.
        """
        self.announce(roots)
        todo = [leaf for leaf in leaves_below(*roots) if not leaf.inputs]
        if not self.sink.ordered:
            todo.sort(key=input_size, reverse=True)
        threads = 1 if self.sink.ordered else max(self._jobs, self._copies)
        self._crowded = min(threads, len(todo)) > self._jobs
        made = run_each(self._reported, todo, threads, self._stop)
        return dict(zip(todo, made, strict=True))

    def _reported(self, leaf: Leaf, inputs: MadeInputs = ()) -> Made:
        with within_part(leaf.label or "blob"):
            size = input_size(leaf)
            self._report(Started(leaf.label, size))
            made, skipped = self.make(leaf, inputs)
            self._report(Finished(leaf.label, size, skipped))
            return made

    def _put_document(self, node: Write, data: bytes) -> Made:
        if not node.carried:
            require_written(data, node.media_type)
        descriptor = node.described(data)
        with self._memory.turn(descriptor.digest):
            if not self.sink.has(descriptor):
                descriptor = self.sink.put((data,), node.media_type, descriptor)
        return Made(descriptor=descriptor)


class Threads(Execution):
    """Makes leaves in this process, with threads that share ``workers``."""

    def __init__(
        self,
        sink: Sink,
        workers: Workers,
        memory: VerifiedCache,
        report: Report = silent,
        *,
        jobs: int,
        copies: int = 0,
        link: bool = False,
        halt: Callable[[], None] = lambda: None,
    ) -> None:
        """Even with more ``copies``, layers are made by ``jobs`` threads, because packing takes memory. With ``link``,
        files may be shared; ``halt`` is called on an interrupt to wake threads that wait for a network.
        """
        super().__init__(sink, memory, report, jobs=jobs, copies=copies)
        self._workers = workers
        self._link = link
        self._halt = halt
        self._making = threading.BoundedSemaphore(jobs)
        self._stopping = threading.Event()

    def make(self, leaf: Leaf, inputs: MadeInputs) -> tuple[Made, bool]:
        """As in Execution."""
        if isinstance(leaf, Copy):
            with self._memory.turn(leaf.content.descriptor.digest):
                return self._copy(leaf)
        with self._making:
            return self._make(leaf, inputs)

    def _stop(self, error: BaseException) -> None:
        self._stopping.set()
        if isinstance(error, KeyboardInterrupt):
            self._workers.stop()
            self._halt()

    def _copy(self, leaf: Copy) -> tuple[Made, bool]:
        expected = leaf.content.descriptor.retyped(leaf.media_type)
        diff_id = self._memory.get(expected.digest)
        if diff_id is not None and diff_id.algorithm != leaf.algorithm:
            diff_id = None
        require_diff_id(leaf, diff_id)
        unknown = diff_id is None and (leaf.find_diff_id or leaf.diff_id is not None or leaf.examine is not None)
        there = self.sink.has(expected)
        file = leaf.content.file if self._link else None
        if unknown:
            diff_id = self._copy_and_look(leaf, expected, put=not there and file is None)
        if not there and (file is not None or not unknown):
            blocks = RereadableBlocks(partial(self._read, leaf), file)
            self.sink.put(blocks, leaf.media_type, expected)
        return Made(descriptor=expected.bare(), diff_id=diff_id), there

    def _read(self, leaf: Copy) -> Iterator[Block]:
        """The blocks of a copy, read and hashed ahead of the writer, unless more copies run than there are cores."""
        blocks = self._watched(leaf.content, leaf.label)
        return blocks if self._crowded else read_ahead(blocks)

    def _copy_and_look(self, leaf: Copy, expected: Descriptor, *, put: bool) -> Digest:
        """Inflate the blob to learn its diff_id, copying it at the same time if ``put``."""
        from converter.execute.making import diff_id_of

        look = partial(diff_id_of, leaf=leaf)

        def write(blocks: Blocks) -> Digest:
            return self.sink.put(blocks, leaf.media_type, expected).digest

        blocks = self._watched(leaf.content, leaf.label)
        readers = (look, write) if put else (look,)
        diff_id = fan_out(blocks, readers)[0]
        self._memory.learn(expected.digest, diff_id)
        return diff_id

    def _make(self, leaf: Make, inputs: MadeInputs) -> tuple[Made, bool]:
        content = leaf.derived(inputs)
        key = result_key(content)
        if key is None:
            return self._make_anew(leaf, content, repeatable=False), False
        with self._memory.turn(*key):
            known = known_result(self._memory, replace(leaf, content=content))
            if known is not None and (self.sink.has(known.descriptor) or self._put_kept(known.descriptor)):
                return known, True
            made = self._make_anew(leaf, content, repeatable=True)
            self._memory.learn_result(*key, made)
            return made, False

    def _make_anew(self, leaf: Make, content: Derived, *, repeatable: bool) -> Made:
        """Make a layer; a blob that a later run would make again is also kept for it, if blobs are kept."""
        # Packing and unpacking code is imported only when needed: most conversions only copy.
        from converter.execute.making import make_layer

        folder = self._memory.blobs if repeatable else None
        expected: Descriptor | None = None
        if leaf.diff_id is not None and leaf.diff_id.algorithm == "sha256" and content.compression.codec == "none":
            # Of a layer made uncompressed, the digest is known, and checked on the way.
            expected = Descriptor(media_type=leaf.media_type, digest=leaf.diff_id, size=-1)

        def put(blocks: Blocks) -> Descriptor:
            if folder is None:
                return self.sink.put(self._until_stopped(blocks), leaf.media_type, expected)
            with folder.keeping(self._until_stopped(blocks)) as (passing, keep):
                made = self.sink.put(passing, leaf.media_type, expected)
                keep(made.digest)
            return made

        opened = partial(self._watched, label=leaf.label)
        return make_layer(leaf, content, opened, put, self._workers, report=self._report)

    def _put_kept(self, descriptor: Descriptor) -> bool:
        """Put the blob that an earlier run made; returns False if it was not kept."""
        cached = self._memory.blobs
        kept = cached.find(descriptor) if cached is not None else None
        if kept is None:
            return False
        self.sink.put(RereadableBlocks(kept.blocks), descriptor.media_type, descriptor)
        return True

    def _watched(self, known: Known, label: str) -> Iterator[Block]:
        with closing(known.blocks()) as source:
            for block in self._until_stopped(source):
                self._report(Moved(label, len(block)))
                yield block

    def _until_stopped(self, blocks: Blocks) -> Iterator[Block]:
        """The blocks until another layer fails: checked at both ends, as much may lie between them."""
        with closing(blocks) as source:
            for block in source:
                if self._stopping.is_set():
                    raise CalledOff("stopped because another layer failed")
                yield block


def require_diff_id(leaf: Leaf, diff_id: Digest | None) -> None:
    """Raises DigestMismatch if the diff_id that was found is not the leaf's; either may be unknown."""
    if leaf.diff_id is not None and diff_id is not None and diff_id != leaf.diff_id:
        raise DigestMismatch(f"diff_id mismatch: expected {leaf.diff_id}, computed {diff_id}")


def result_key(content: Content | Derive) -> tuple[Digest, str] | None:
    """What determines the bytes of a blob that is made: its source, and how; None if that cannot be told in a text.

    Of several sources the first is the source, and the others belong to the how.
    """
    if not isinstance(content, Derived):
        return None
    origin = _described(content)
    if origin is None:
        return None
    source = next(source_blobs(content))
    if origin != _described(source):
        origin += f" of transship {edition(REWRITES)}"
    return source.descriptor.digest, f"{origin} {how_packed(content)}"


def how_packed(content: Content | Derive) -> str:
    """How the uncompressed bytes of a content become a blob, and by which version of a library; empty for a copy."""
    if not isinstance(content, Derived):
        return ""
    from converter.streams.compress import packing_engine

    return f"{content.algorithm} {content.compression.codec} {packing_engine(content.compression)}"


def _described(content: Content) -> str | None:
    """The uncompressed bytes of a content in a text: blobs by their digests, and how they are rewritten.

    What is claimed of blobs (sizes), and of the layers that are rewritten (diff_ids), belongs to it, since a wrong
    claim must be refused each time.
    """
    if isinstance(content, Known):
        return f"{content.descriptor.digest} {content.descriptor.size}"
    if not content.inputs:
        return None
    if content.rewrite is None:
        return _described(content.inputs[0].content)
    if not isinstance(content.rewrite, Repeatable):
        return None
    inputs = []
    for layer in content.inputs:
        found = _described(layer.content)
        if found is None:
            return None
        inputs.append(f"{found} {layer.diff_id or 'any'}")
    return f"{content.rewrite.identity}({', '.join(inputs)})"


def known_result(memory: VerifiedCache, leaf: Leaf, _made: MadeInputs = ()) -> Made | None:
    """What a leaf becomes, if the plan says so, or this run or an earlier one made it already."""
    if isinstance(leaf, Copy):
        diff_id = leaf.diff_id or memory.get(leaf.content.descriptor.digest)
        return known_in_advance(replace(leaf, diff_id=diff_id))
    key = result_key(leaf.content)
    made = None if key is None else memory.result(*key)
    if made is None or leaf.diff_id not in (None, made.diff_id):
        return None
    return replace(made, descriptor=made.descriptor.retyped(leaf.media_type))


def remember_leaf(memory: VerifiedCache, leaf: Leaf, made: Made) -> None:
    """Remember what a leaf became, which ``known_result`` then finds."""
    if isinstance(leaf, Make):
        key = result_key(leaf.content)
        if key is not None:
            memory.learn_result(*key, made)
    elif made.diff_id is not None:
        memory.learn(leaf.content.descriptor.digest, made.diff_id)


def input_size(leaf: Leaf) -> int:
    """The bytes of blobs to read for a leaf, as far as known before its own inputs are made."""
    if not isinstance(leaf.content, Known | Derived):
        return 0
    return sum(one.descriptor.size for one in source_blobs(leaf.content))
