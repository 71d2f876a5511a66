"""One job: what ``converter.convert`` does for one image, with what all images of a run share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from converter.bulk.ends import Ends
from converter.bulk.outcome import Outcome, State
from converter.bulk.plan import Job
from converter.conversion import Target, choose, execute, plan, signed
from converter.conversion.dependencies import Library
from converter.conversion.result import TargetResult
from converter.errors import ConverterError, Denied, Invalid, NotFound, within
from converter.events import Report
from converter.execute import DiffIds, packing, work
from converter.model import media_types as types
from converter.model.content import Derived
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName, Location
from converter.plan import Copy, Made, Make, Node, leaves
from converter.stores import open_source

_ASKED = ("docker", "oci", "dir")
"""Destinations that can tell which image has a name there."""

_ON_DISK = ("dir", "rootfs", "bundle", "aci", "docker-archive", "oci-archive")


def run(job: Job, ends: Ends, report: Report, *, dry_run: bool) -> Outcome:
    """Do the job, unless its target has the image already. Raises what ``converter.convert`` raises."""
    began = time.monotonic()
    with ExitStack() as stack:
        source = stack.enter_context(ends.source(job))
        options = job.options
        with within(str(job.source)):
            discover = job.source.transport == "appc"
            library = Library(options.aci_paths, stack, options.store, discover=discover)
            (chosen,) = choose(source, job.source, options, library.find)
        sink = ends.sink(job, report)
        target = plan(job.destination, sink, chosen, options, library.find)
        before = sum(work(leaf) for leaf in {id(leaf): leaf for leaf in leaves(target.plan.root)}.values())
        future = foreseen(target.plan.root, ends.memory)
        state: State = "planned" if dry_run else "written"
        if future is not None and _is_there(job, target, future.descriptor, ends):
            state = "there"
        done = None
        if state != "written":
            size = _size(target.plan.root, ends.memory)
            digest = str(future.descriptor.digest) if future else ""
        else:
            stack.enter_context(ends.turn(job))
            if job.destination.transport in _ON_DISK:
                Path(job.destination.path).parent.mkdir(parents=True, exist_ok=True)
            (done,) = execute([(sink, [target])], stack, options, report, ends.memory)
            digest, size = str(done.digest or ""), done.size
    if done is not None:
        _sign_file(job, done)
    return Outcome(
        source=str(job.source),
        destination=str(job.destination),
        state=state,
        digest=digest,
        format=target.format.name,
        before=before,
        after=size,
        seconds=time.monotonic() - began,
        losses=target.plan.losses,
    )


def failed(source: Location, destination: Location | None, error: ConverterError, seconds: float = 0.0) -> Outcome:
    """The outcome of a job that raised."""
    return Outcome(
        source=str(source), destination=str(destination or ""), state="failed", error=str(error), seconds=seconds
    )


def foreseen(node: Node, memory: DiffIds) -> Made | None:
    """What a node will be, as far as its bytes were made before: by this run or an earlier one. None: not known."""
    if isinstance(node, Make):
        recipe = packing(node.content) if isinstance(node.content, Derived) else None
        made = memory.packed(*recipe) if recipe else None
        if made is None or node.diff_id not in (None, made.diff_id):
            return None
        return Made(descriptor=made.descriptor.retyped(node.media_type), diff_id=made.diff_id)
    if isinstance(node, Copy):
        descriptor = node.content.descriptor.retyped(node.media_type)
        diff_id = node.diff_id or memory.get(descriptor.digest)
        return None if node.find_diff_id and diff_id is None else Made(descriptor=descriptor, diff_id=diff_id)
    inputs = tuple(_all(node.inputs, memory))
    if len(inputs) < len(node.inputs):
        return None
    return Made(descriptor=Descriptor.of(node.render(inputs), node.media_type))


def _all(nodes: Sequence[Node], memory: DiffIds) -> Iterator[Made]:
    for node in nodes:
        made = foreseen(node, memory)
        if made is None:
            return
        yield made


def _size(root: Node, memory: DiffIds) -> int:
    """The bytes of a tree that is foreseen, 0 where it is not."""
    found = [foreseen(leaf, memory) for leaf in {id(leaf): leaf for leaf in leaves(root) if leaf is not root}.values()]
    whole = foreseen(root, memory)
    if whole is None:
        return 0
    return whole.descriptor.size + sum(made.descriptor.size for made in found if made is not None)


def _is_there(job: Job, target: Target, root: Descriptor, ends: Ends) -> bool:
    """Whether the target has this image under its name, and nothing is to be added to it.

    What lies beside an image (signatures) is looked at blob by blob, as ever.
    """
    if job.destination.transport not in _ASKED or job.options.signing is not None or target.chosen.attached:
        return False
    try:
        with open_source(job.destination, ends.target_store(job)) as there:
            if there.resolve(target.name).digest != root.digest:
                return False
    except (NotFound, Denied, Invalid):
        # Nothing is there yet; who may not read may still be allowed to write.
        return False
    if job.destination.transport == "docker":
        where = ImageName.parse(job.destination.path)
        ends.holders.open(where)
        for leaf in leaves(target.plan.root):
            made = foreseen(leaf, ends.memory)
            if made is not None:
                ends.holders.learn(where, made.descriptor.digest)
    return True


def _sign_file(job: Job, done: TargetResult) -> None:
    if job.options.signing is not None and done.media_type == types.ACI:
        signed.add_beside(job.destination, job.options.signing, job.options.store)
