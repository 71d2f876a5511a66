"""Converts images: select, plan, check the destination, execute. Nothing is written before all checks have passed.

``convert`` is a run of one job; ``sync`` runs many.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial

from converter.cache import open_cache
from converter.conversion.attachments import (
    TRAIL,
    AttachmentWriter,
    are_listed_in,
    carry_attachments,
    has_requested_signatures,
    may_need_record,
)
from converter.conversion.find_dependencies import Library
from converter.conversion.job import Job, Options, Shared, for_run
from converter.conversion.planning import (
    PlannedTarget,
    check_capacity,
    check_distinct,
    check_outside,
    misleading_ending,
    plan_target,
    refuse_losses,
)
from converter.conversion.result import Done, LayerResult, Result, TargetResult
from converter.conversion.selection import select_images
from converter.errors import AlreadyExists, Denied, Invalid, NotFound, Usage, within, within_part
from converter.events import Report, Warned, silent
from converter.execute import Execution, Threads, known_result
from converter.model import media_types as types
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.plan import Evaluated, evaluate
from converter.ports import Sink
from converter.stores import files_read, require_new
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.streams.workers import Workers

__all__ = ["LayerResult", "Options", "Result", "TargetResult", "convert"]

NETWORK_COPIES = 4
"""Concurrent blob transfers of one image over a network: many servers limit the rate of each connection. Docker uses 3;
first copies, which are inflated on the way, stay below 100 MB of memory.
"""


def convert(
    source: Reference, destinations: Sequence[Reference], options: Options | None = None, report: Report = silent
) -> Result:
    """Convert the image at ``source`` to every destination, each ``TRANSPORT:LOCATION``.

    Raises a ConverterError, and then no destination has changed: Invalid or DigestMismatch for a violation of a
    specification, LossRefused for what ``strict`` or ``preserve_digests`` forbids.
    """
    if not destinations:
        raise Usage("no destination: at least one is needed")
    started = time.monotonic()
    location, places = Location.parse(source), tuple(map(Location.parse, destinations))
    check_distinct(places)
    check_outside(location, places)
    hosts = Hosts(report=report)
    options = for_run(options or Options(), hosts, Inputs(files_read(location)))
    job = Job(source=location, destinations=places, options=options)
    with (
        enforce_limits(options.store.limits),
        hosts,
        open_cache(options.cache, options.cache_blobs) as memory,
        Workers(options.threads) as workers,
        Shared(memory, workers) as shared,
    ):
        done = run_job(job, shared, report)
    return Result(source=str(source), targets=tuple(one.result for one in done), seconds=time.monotonic() - started)


def run_job(job: Job, shared: Shared, report: Report) -> list[Done]:
    """Convert an image to its destinations; raises what ``converter.convert`` raises, and then none has changed.

    Of many jobs, one whose destination already has its image writes nothing.
    """
    options = job.options
    for destination in job.destinations:
        try:
            require_new(destination, shared.store(job, destination))
        except AlreadyExists as error:
            if shared.many or not options.dry_run:
                raise
            report(Warned(str(error)))
    with ExitStack() as stack:
        source = stack.enter_context(shared.source(job))
        with within(str(job.source)):
            library = Library(options.aci_paths, stack, options.store, image=job.source, wanted=options.wanted)
            images = select_images(source, job.source, options)
        check_capacity(job.destinations, len({image.root.digest for image in images}))
        beside = any(place.kind.attached == "beside" for place in job.destinations)
        if beside and any(one.attached or may_need_record(one, options.origin) for one in images):
            # Layers are read for the plan already: an ACI is one file made from all of them, and so are its origin
            # record, and the check whether the image was an ACI before.
            source.hold()
        planned: list[tuple[Execution, list[PlannedTarget]]] = []
        for destination in job.destinations:
            sink = shared.sink(job, destination, report)
            with within_part(str(job.source)):
                targets = [plan_target(destination, sink, one, options, library) for one in images]
            if not shared.many:
                remarks = (misleading_ending(destination), *(target.remark for target in targets))
                for remark in dict.fromkeys(filter(None, remarks)):
                    report(Warned(f"{destination}: {remark}"))
            distant = not source.local or destination.kind.over_network
            planned.append((_execution(sink, options, shared, report, distant=distant), targets))
        if len(job.destinations) > 1:
            source.hold()
        if options.dry_run or shared.many:
            done = [_forecast(target, job, shared) for _, targets in planned for target in targets]
            if all(one.state != "written" for one in done):
                return done
        done = _write_targets(planned, job, shared, report)
    return [_signed_beside(one, job, shared) for one in done]


def _forecast(target: PlannedTarget, job: Job, shared: Shared) -> Done:
    """The forecast for a target: what will be done, and the result as far as it is known in advance."""
    tree = evaluate(target.forecast.node, partial(known_result, shared.memory))
    done = Done(target=target, tree=tree, state="planned" if job.options.dry_run else "written")
    there = shared.many and _is_there(done, job, shared)
    return replace(done, state="there") if there else done


def _is_there(done: Done, job: Job, shared: Shared) -> bool:
    """Whether the target already has this image under its name, and nothing is to be added to it.

    An image with attachments that changes never counts as there: which of them it keeps is only known once it is made.
    """
    if done.tree.made is None or not job.destination.kind.keeps_roots:
        return False
    if done.target.selected.attached and not done.preserved:
        return False
    # Nothing may be there yet; without permission to read, writing may still be allowed.
    with suppress(NotFound, Denied, Invalid), shared.there(job) as there:
        if there.resolve(done.target.name).digest != done.tree.made.descriptor.digest:
            return False
        if not are_listed_in(done.target.carried.attached, there):
            return False
        if not has_requested_signatures(there, done, job.options.signing):
            return False
        if where := job.destination.image_name:
            for layer in done.tree.layers():
                shared.memory.learn_place(where.host, layer.done.descriptor.digest, where.repository)
        return True
    return False


def _write_targets(
    planned: Sequence[tuple[Execution, Sequence[PlannedTarget]]], job: Job, shared: Shared, report: Report
) -> list[Done]:
    """Write what is planned for each destination, here or with the help of other machines."""
    made = None
    if shared.remote is not None:
        from converter.conversion import remote

        ((execution, (target,)),) = planned
        if remote.can_take_leaves(job, target.forecast.node):
            made = remote.RemoteMaker(job, execution.sink, shared, report).make_leaves([target.forecast.node])
        elif remote.can_take(job):
            return [Done(target=target, tree=remote.make_image(target, job, shared.remote, report), state="written")]
    if made is None:
        for execution, targets in planned:
            execution.announce([target.forecast.node for target in targets])
    done: list[Done] = []
    with shared.turn(job), ExitStack() as turns, ExitStack() as stack:
        writers: dict[Location | str, AttachmentWriter] = {}
        for destination, (execution, targets) in zip(job.destinations, planned, strict=True):
            stack.enter_context(execution.sink)
            with within_part(str(job.source)):
                trees = execution.run([target.forecast.node for target in targets], made)
            written = [_outcome(target, tree, job, shared) for target, tree in zip(targets, trees, strict=True)]
            repository = destination.image_name
            if shared.many and repository:
                # Images of one digest, which differ in their tags, share what is attached to them: of many jobs, one
                # adds to that at a time, until its sink has committed, and the next one finds it there.
                for one in written:
                    turns.enter_context(shared.memory.turn(repository.name, one.tree.done.descriptor.digest))
            place = repository.name if repository else replace(destination, name="")
            # Images in one place may share what is attached to them: one sink tags it, with all that was added.
            writer = writers.setdefault(place, AttachmentWriter(execution.sink, job.options.signing))
            done += _complete(written, execution, job, shared, writer=writer)
        # Here every sink commits, the last one first; after an error in this block, none does.
    return done


def _outcome(target: PlannedTarget, tree: Evaluated, job: Job, shared: Shared) -> Done:
    """What was made, before the sink commits: only now may it turn out to be what the target already has.

    A target that is written whole is written in any case, and loses what others have attached to the image.
    """
    done = Done(target=_with_all_attachments(target, tree, job.options), tree=tree, state="written")
    was_unknown = target.forecast.made is None
    there = shared.many and was_unknown and job.destination.kind.adds_blobs and _is_there(done, job, shared)
    return replace(done, state="there") if there else done


def _execution(sink: Sink, options: Options, shared: Shared, report: Report, *, distant: bool) -> Execution:
    hosts = options.store.hosts
    waits = distant and not shared.many and not options.jobs
    return Threads(
        sink,
        shared.workers,
        shared.memory,
        report,
        jobs=options.threads,
        copies=NETWORK_COPIES if waits else 0,
        link=options.link,
        halt=hosts.stop if hosts else lambda: None,
    )


def _complete(
    written: Sequence[Done], execution: Execution, job: Job, shared: Shared, *, writer: AttachmentWriter
) -> Iterator[Done]:
    """Finishes what was written: with attachments, names, records, signatures."""
    sink = execution.sink
    with within(TRAIL):
        attached = writer.merged([one for done in written for one in done.target.carried.attached])
        carried = execution.run([one.node for one in attached]) if attached else []
    for done in written:
        sink.name(done.target.name, done.tree.done.descriptor)
    for one, there in zip(attached, carried, strict=True):
        sink.attach(replace(one, descriptor=there.done.descriptor))
    for done in written:
        if done.target.origin:
            _write_record(done, execution, shared.workers)
        stated = writer.restate_profiles(done)
        to_sign = done.state == "written" and not _is_signed(done, job, shared)
        signed = writer.add_signatures(done) if to_sign else ()
        yield replace(done, signatures=(*stated, *signed))


def _is_signed(done: Done, job: Job, shared: Shared) -> bool:
    """Whether the target of one of many jobs, which is written again, has every signature asked for and keeps them."""
    if not shared.many or not job.destination.kind.adds_blobs or job.options.signing is None:
        return False
    with suppress(NotFound, Denied, Invalid), shared.there(job) as there:
        return has_requested_signatures(there, done, job.options.signing)
    return False


def _with_all_attachments(target: PlannedTarget, tree: Evaluated, options: Options) -> PlannedTarget:
    """The target with all attachments of its image, if its digest could not be known in advance and did not change.

    Raises LossRefused if the caller forbids losses and the target has no place for some of them.
    """
    selected = target.selected
    if target.forecast.made is not None or not tree.has_digest(selected.root.digest):
        return target
    carried = carry_attachments(selected, tree, target.destination)
    others = tuple(loss for loss in target.losses if loss not in target.carried.losses)
    planned = replace(target, carried=carried, losses=(*others, *carried.losses), origin=False)
    refuse_losses(planned, options)
    return planned


def _write_record(done: Done, execution: Execution, workers: Workers) -> None:
    """Write the origin record of the image just written, before the sink commits."""
    from converter.conversion.origin_records import make_record

    with ExitStack() as files:
        made = make_record(done.target.selected, done.tree, files, workers)
        execution.run([made.node])
        execution.sink.attach(made)


def _signed_beside(done: Done, job: Job, shared: Shared) -> Done:
    """The same, after signing a file, which must exist first: the signature is over it."""
    signing, destination = job.options.signing, done.target.destination
    if signing is None or done.tree.node.media_type not in types.SINGLE_FILE_TYPES:
        return done
    from converter.signing import sign

    more = sign(str(destination), signing, store=shared.store(job, destination))
    return replace(done, signatures=(*done.signatures, *map(asdict, more)))
