"""Executes plans, all or none, and reports the results or, for a dry run, what they would be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from converter.conversion import attachments, origin, signed
from converter.conversion.options import Options
from converter.conversion.planning import Target, refuse
from converter.conversion.result import TargetResult, image_id, layer_result, size_of
from converter.conversion.signed import Shown
from converter.conversion.targets import shown_format
from converter.errors import within
from converter.events import Report
from converter.execute import Execution, Memory, Running, with_threads
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.plan import Evaluated, forecast
from converter.ports import Sink
from converter.streams.workers import Workers

DISTANT = 4
"""Concurrent blob transfers of one image over a network: many servers limit the rate of each connection. Docker uses 3;
first copies, which are inflated on the way, stay below 100 MB of memory.
"""


def execute(
    planned: Sequence[tuple[Sink, list[Target]]],
    stack: ExitStack,
    options: Options,
    report: Report,
    memory: Memory,
    *,
    workers: Workers,
    alone: bool,
) -> list[TargetResult]:
    """Run every plan. The sinks commit when the caller leaves ``stack``, so all do or none does.

    ``alone`` means that no other conversion runs at the same time.
    """
    results = []
    hosts = options.store.hosts
    halt = hosts.stop if hosts else lambda: None
    running = Running(jobs=options.threads, memory=memory, report=report, link=options.link, halt=halt)
    for sink, targets in planned:
        stack.enter_context(sink)
        distant = alone and any(target.distant for target in targets)
        copies = options.jobs or DISTANT if distant else options.threads
        execution = with_threads(sink, workers, replace(running, copies=copies))
        trees = execution.run([target.plan.root for target in targets])
        done = [(_as_it_was(target, tree, options), tree) for target, tree in zip(targets, trees, strict=True)]
        attached = [one for target, _ in done for one in target.carried.attached]
        with within(attachments.TRAIL):
            carried = execution.run([one.node for one in attached]) if attached else []
        for target, tree in done:
            sink.name(target.name, tree.done.descriptor)
        for one, there in zip(attached, carried, strict=True):
            sink.attach(replace(one.attachment, descriptor=there.done.descriptor))
        for target, tree in done:
            if target.origin:
                _record(sink, target, tree, execution, workers)
            signatures = _sign(sink, target, tree.done.descriptor, options)
            told = result(target, tree)
            results.append(replace(told, signatures=(*told.signatures, *signatures)))
    return results


def _as_it_was(target: Target, tree: Evaluated, options: Options) -> Target:
    """The target with all attachments of its image, if its digest could not be known in advance and did not change.

    Raises LossRefused if the caller forbids losses and the target has no place for some of them.
    """
    chosen = target.chosen
    if forecast(target.plan.root).made is not None or tree.done.descriptor.digest != chosen.root.digest:
        return target
    carried = signed.carry(chosen.attached, tree.documents(), origin.place_of(target.destination), chosen.fetch)
    others = tuple(loss for loss in target.plan.losses if loss not in target.carried.losses)
    planned = replace(target.plan, losses=(*others, *carried.losses))
    refuse(planned, chosen.root, options)
    return replace(target, carried=carried, plan=planned, origin=False)


def _record(sink: Sink, target: Target, tree: Evaluated, execution: Execution, workers: Workers) -> None:
    """Write the origin record of the image just written, before the sink commits."""
    from converter.conversion.recording import record

    with ExitStack() as files:
        made = record(target.chosen.before, tree, files, workers)
        execution.run([made.node])
        sink.attach(made.attachment)


def _sign(sink: Sink, target: Target, root: Descriptor, options: Options) -> Shown:
    """Add the requested signatures before the sink commits."""
    if options.signing is None:
        return ()
    location = replace(target.destination, name=target.name)
    store = options.target_store or options.store
    return signed.add(sink, location, root, target.carried.attached, signing=options.signing, store=store)


def sign_files(results: list[TargetResult], options: Options) -> Iterator[TargetResult]:
    """The results, after signing those whose signature is over a file, which must exist first."""
    for done in results:
        if options.signing is not None and not options.dry_run and done.media_type in types.WHOLE:
            store = replace(options.store, overwrite=options.overwrite)
            more = signed.add_beside(Location.parse(done.destination), options.signing, store)
            done = replace(done, signatures=(*done.signatures, *more))
        yield done


def result(target: Target, tree: Evaluated) -> TargetResult:
    """The result for a target, as far as its nodes are made or forecast."""
    there = tree.made
    return TargetResult(
        destination=str(target.destination),
        format=shown_format(target.destination, target.format),
        digest=there.descriptor.digest if there else None,
        media_type=there.descriptor.media_type if there else tree.node.media_type,
        image_id=image_id(tree),
        preserved=there is not None and there.descriptor.digest == target.chosen.root.digest,
        losses=target.plan.losses,
        signatures=target.carried.signatures,
        layers=tuple(map(layer_result, tree.layers())),
        size=size_of(tree),
        name=target.name,
    )


def foreseen(target: Target) -> TargetResult:
    """The result that a target would have: digests only where they do not depend on bytes still to be made."""
    return result(target, forecast(target.plan.root))
