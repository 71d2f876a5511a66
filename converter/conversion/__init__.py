"""The main path: resolve, decode, edit, plan, execute. Everything is refused before anything is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace

from converter.cache import FOLDER, Blobs, Cache, Forgetful
from converter.conversion import acis, attachments, origin, signed
from converter.conversion.attachments import Attached, Found, Listing
from converter.conversion.dependencies import Library
from converter.conversion.ends import source_store, target_store
from converter.conversion.opened import open_image
from converter.conversion.options import Options
from converter.conversion.prepare import alone, prepare
from converter.conversion.result import LayerResult, Lookup, Result, TargetResult, image_id, layer_results, size_of
from converter.conversion.signed import Carried, Shown
from converter.conversion.targets import called, check, compression_for, format_for, name_for, shown_format
from converter.edits import each_image, recompressed, relabelled
from converter.errors import LossRefused, Usage, within
from converter.events import Report, silent
from converter.execute import DiffIds, Execution
from converter.execute import Settings as Running
from converter.formats import labelled
from converter.model import media_types as types
from converter.model.compression import Compression
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Image, Item, subjects
from converter.model.limits import enforced
from converter.model.reference import Location
from converter.plan import Loss, Made, Node, Plan, Write, forecast
from converter.ports import Fetch, Format, Sink, Source
from converter.stores import open_sink, open_source
from converter.stores.once import Once
from converter.streams.workers import Workers
from converter.trust.origin import Settings

DISTANT = 4
"""Blobs on their way at once over a network, of one image: many servers give a connection only so much. Docker has 3;
first copies, which are inflated on the way, stay below 100 MB of memory."""

__all__ = ["LayerResult", "Options", "Result", "TargetResult", "convert", "open_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An image of the source: its name there, its root, and what is to become of it.

    ``local`` says that its layers are opened at little cost.
    """

    name: str
    root: Descriptor
    item: Item
    fetch: Fetch
    attached: tuple[Attached, ...] = ()
    unread: tuple[Loss, ...] = ()
    local: bool
    unpacked: bool = False
    settings: Settings = field(default_factory=Settings)

    @property
    def before(self) -> origin.Before:
        """What it was, for an origin record."""
        return origin.Before(
            root=labelled(self.fetch(self.root)).descriptor,
            item=self.item,
            fetch=self.fetch,
            attached=self.attached,
            settings=self.settings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One image on its way to one destination, under ``name``."""

    destination: Location
    name: str
    chosen: Chosen
    format: Format
    plan: Plan
    carried: Carried
    origin: bool = False

    @property
    def distant(self) -> bool:
        """Whether its blobs come or go over a network."""
        return not self.chosen.local or self.destination.transport == "docker"


def convert(
    source: str, destinations: Sequence[str], options: Options | None = None, report: Report = silent
) -> Result:
    """Convert the image at ``source`` to every destination, each ``TRANSPORT:LOCATION``.

    Raises a ConverterError, and then no destination has changed: as Invalid or DigestMismatch for what breaks its
    specification, as LossRefused for what ``strict`` or ``preserve_digests`` forbid.
    """
    options = options or Options()
    if not destinations:
        raise Usage("got no destination, want at least one")
    started = time.monotonic()
    location = Location.parse(source)
    with enforced(options.store.limits), ExitStack() as stack:
        opened = stack.enter_context(open_source(location, source_store(options)))
        places = [Location.parse(destination) for destination in destinations]
        if options.cache is not None and options.cache_blobs and not opened.local:
            from converter.conversion.caching import Caching

            opened = Caching(opened, Blobs(options.cache / FOLDER))
        once = None if opened.local else stack.enter_context(Once(opened))
        opened = once or opened
        with within(source):
            library = library_of(options, location, stack)
            images = choose(opened, location, options, library)
        check(places, len({image.root.digest for image in images}))
        if once and _planned_of_layers(places, images, options):
            once.hold()
        planned = []
        for destination in places:
            store = replace(target_store(options, location, destination), report=report)
            sink = open_sink(destination, store)
            planned.append((sink, [plan(destination, sink, one, options, library, files=stack) for one in images]))
        if once and len(places) > 1:
            once.hold()
        if options.dry_run:
            results = [foreseen(target) for _, targets in planned for target in targets]
        else:
            results = execute(planned, stack, options, report)
    results = list(_sign_files(results, options))
    return Result(source=source, targets=tuple(results), seconds=time.monotonic() - started)


def library_of(options: Options, location: Location, files: ExitStack) -> Library:
    """What the ACI at ``location`` may depend on, signed as it has to be itself."""
    discover = location.transport == "appc"
    return Library(options.aci_paths, files, options.store, discover=discover, require=signed.below(options.wanted))


def _planned_of_layers(places: Sequence[Location], images: Iterable[Chosen], options: Options) -> bool:
    """Whether planning reads layers that are read again.

    An ACI is made of all layers; its origin record, and what tells whether it has been one before, need them again.
    """
    aci = any(place.transport == acis.NAME for place in places)
    return aci and any(one.attached or origin.may_be_due(one.before, options.origin) for one in images)


def choose(source: Source, location: Location, options: Options, library: Library) -> list[Chosen]:
    """The images that a conversion is about, prepared for it."""
    if options.all_images and location.name:
        raise Usage(f"got the image {location.name!r} and --all-images, want one of them")
    chosen = []
    for one in source.names() if options.all_images else (location.name,):
        root = source.resolve(one)
        signed.require(source, replace(location, name=one), root, options.wanted, alone(options))
        name = called(location, one, root)
        item = prepare(source, root, options, library.find, name)
        found = attachments.find(source, subjects(root, item)) if options.attachments else Found()
        attached = found.attached
        if options.remove_signatures:
            attached = signed.without_signatures(attached, source.fetch)
        chosen.append(
            Chosen(
                name=one,
                root=root,
                item=item,
                attached=attached,
                unread=found.losses,
                fetch=source.fetch,
                local=source.local,
                unpacked=source.unpacked,
                settings=origin.settings(options, root, item, name),
            )
        )
    if options.content_trust and options.keeps_origin:
        return _with_content_trust(chosen, options.content_trust)
    return chosen


def _with_content_trust(chosen: list[Chosen], files: Mapping[str, bytes]) -> list[Chosen]:
    """The same with the documents of Docker Content Trust that the caller has; raises Usage where none fits any."""
    from converter.conversion.beside import listing

    known = [labelled(one.fetch(one.root)) for one in chosen]
    found = [_with(one, listing(files, root), [one.root.digest]) for one, root in zip(chosen, known, strict=True)]
    if all(one.attached == was.attached for one, was in zip(found, chosen, strict=True)):
        fact = "got documents that speak of no such image, want root.json and targets that have its digest"
        raise Usage(f"{fact} (--content-trust)")
    return found


def plan(
    destination: Location,
    sink: Sink,
    chosen: Chosen,
    options: Options,
    library: Library,
    *,
    files: ExitStack | None = None,
) -> Target:
    """Plan one image for one destination. Nothing is written; raises LossRefused where the caller forbids a loss.

    With ``files``, which closes what that needs, an ACI that has been another format's meanwhile becomes itself again.
    """
    with within(str(destination)):
        target = format_for(destination, chosen.item, options.to, preserve=options.preserve_digests)
        if target.name != acis.NAME:  # an ACI may go on depending on others
            chosen = replace(chosen, item=acis.resolved(chosen.item, library.find))
        if options.attachments:
            chosen = _with_dependencies(chosen, library)
        compression = compression_for(destination, options.compress, unpacked=chosen.unpacked)
        root = encode(target, chosen, sink.accepts, compression, options)
        place = origin.place_of(destination)
        due = options.keeps_origin and origin.due(chosen.before, root, options.origin)
        recorded = due and place in origin.PLACES
        if recorded and files is not None and target.name == acis.NAME and options.compress is None:
            from converter.conversion.restoring import restored

            back = restored(root, chosen.before, files, options.threads)
            if back is not None:
                root, chosen, recorded = back.node, replace(chosen, attached=back.attached), False
        carried = signed.carry(chosen.attached, root, place, chosen.fetch, origin.KEPT if recorded else "")
        more = (*carried.losses, *(origin.losses(place) if due else ()), *chosen.unread)
        planned = Plan(root=root, losses=(*losses(target, chosen.item, options), *more))
        refuse(planned, chosen.root, options)
        return Target(
            destination=destination,
            name=name_for(destination, chosen.name, chosen.root, chosen.item),
            chosen=chosen,
            format=target,
            plan=planned,
            carried=carried,
            origin=recorded,
        )


def _with_dependencies(chosen: Chosen, library: Library) -> Chosen:
    """The same with what speaks of the ACIs that its layers came of, which only an origin record takes along."""
    below = [digest for digest in acis.sources(chosen.item) if digest != chosen.root.digest]
    return _with(chosen, library, below) if below else chosen


def _with(chosen: Chosen, listing: Listing, subjects: Iterable[Digest]) -> Chosen:
    """The same with what speaks of the subjects elsewhere."""
    found = attachments.find(listing, subjects)
    return replace(
        chosen,
        attached=(*chosen.attached, *found.attached),
        unread=(*chosen.unread, *found.losses),
        fetch=attachments.first(chosen.fetch, listing),
    )


def encode(
    target: Format, chosen: Chosen, accepts: frozenset[str], compression: Compression | None, options: Options
) -> Node:
    """Plan an item with its layers, or an ACI as a whole, under a compression (None: as they are)."""
    item = chosen.item
    if target.name == acis.NAME:
        return acis.encode(item, accepts, compression, options)
    if chosen.local:
        item = each_image(lambda image: _labelled(image, target, compression))(item)
    edit = each_image(recompressed(compression)) if compression else None
    return target.encode(edit(item) if edit else item, accepts)


def _labelled(image: Image, target: Format, compression: Compression | None) -> Image:
    """The image, no layer of it under a false label where a manifest is written anew: what is copied stays as it is."""
    copied = compression is None and image.original is not None and image.original.format == target.name
    return image if copied or not target.media_types else relabelled(image)


def losses(target: Format, item: Item, options: Options) -> Iterator[Loss]:
    """What the target cannot hold, and what the neutral form of an ACI could not."""
    if target.name == acis.NAME:
        yield from acis.losses(item, layered=options.layered)
    else:
        yield from target.losses(item)
        yield from acis.conversion_losses(item, target.name)
    if isinstance(item, Image):
        yield from (Loss(**row) for row in item.foreign.get("index", {}).get("losses", ()))


def refuse(planned: Plan, root: Descriptor, options: Options) -> None:
    """Raises LossRefused where a plan loses something, or a digest, that the caller wants kept."""
    lost = [loss.field for loss in planned.losses if loss.kept != origin.KEPT]
    if options.strict and lost:
        count = "one loss" if len(lost) == 1 else f"{len(lost)} losses"
        raise LossRefused(f"got {count} ({', '.join(lost)}), want none (--strict)")
    if options.preserve_digests:
        made = forecast(planned.root)
        got = "a digest that depends on layers still to be made" if made is None else str(made.descriptor.digest)
        if got != str(root.digest):
            raise LossRefused(f"got {got}, want {root.digest} (--preserve-digests)")


def execute(
    planned: Sequence[tuple[Sink, list[Target]]],
    stack: ExitStack,
    options: Options,
    report: Report,
    memory: DiffIds | None = None,
) -> list[TargetResult]:
    """Run every plan. The sinks commit when the caller leaves ``stack``, so all do or none does.

    ``memory`` is what several conversions at a time share; one that is alone opens the cache of the options.
    """
    results = []
    own = Cache(options.cache, options.cache_blobs) if options.cache else Forgetful()
    with Workers(options.threads) as workers, nullcontext(memory) if memory else own as diff_ids:
        settings = Running(jobs=options.threads, diff_ids=diff_ids, report=report, link=options.link)
        for sink, targets in planned:
            stack.enter_context(sink)
            distant = memory is None and any(target.distant for target in targets)
            copies = options.jobs or DISTANT if distant else options.threads
            execution = Execution(sink, workers, replace(settings, copies=copies))
            attached = [one for target in targets for one in target.carried.attached]
            execution.run([*(target.plan.root for target in targets), *(one.node for one in attached)])
            for target in targets:
                sink.name(target.name, execution.made[id(target.plan.root)].descriptor)
            for one in attached:
                sink.attach(replace(one.attachment, descriptor=execution.made[id(one.node)].descriptor))
            for target in targets:
                if target.origin:
                    _record(sink, target, execution, workers)
                signatures = _sign(sink, target, execution.made[id(target.plan.root)].descriptor, options)
                done = result(target, execution.made)
                results.append(replace(done, signatures=(*done.signatures, *signatures)))
    return results


def _record(sink: Sink, target: Target, execution: Execution, workers: Workers) -> None:
    """Write the origin record of what has just been written, before it is committed."""
    after = origin.After(plan=target.plan.root, made=execution.made)
    if after.root.digest != target.chosen.root.digest:
        from converter.conversion.recording import record

        with ExitStack() as files:
            made = record(target.chosen.before, after, files, workers)
            execution.run([made.node])
            sink.attach(made.attachment)


def _sign(sink: Sink, target: Target, root: Descriptor, options: Options) -> Shown:
    """Add the signatures that are ordered to what is about to be committed."""
    if options.signing is None:
        return ()
    location = replace(target.destination, name=target.name)
    store = options.target_store or options.store
    return signed.add(sink, location, root, target.carried.attached, signing=options.signing, store=store)


def _sign_files(results: list[TargetResult], options: Options) -> Iterator[TargetResult]:
    """The results, once what is signed as a file has been, too: that needs the file to be there."""
    for done in results:
        if options.signing is not None and not options.dry_run and done.media_type == types.ACI:
            more = signed.add_beside(Location.parse(done.destination), options.signing, options.store)
            done = replace(done, signatures=(*done.signatures, *more))
        yield done


def result(target: Target, made: Lookup) -> TargetResult:
    """What a target is, as far as its nodes are made or foreseen."""
    root = target.plan.root
    there = made.get(id(root))
    return TargetResult(
        destination=str(target.destination),
        format=shown_format(target.destination, target.format),
        digest=there.descriptor.digest if there else None,
        media_type=there.descriptor.media_type if there else root.media_type,
        image_id=image_id(root, made),
        preserved=there is not None and there.descriptor.digest == target.chosen.root.digest,
        losses=target.plan.losses,
        signatures=target.carried.signatures,
        layers=layer_results(root, made),
        size=size_of(root, made),
        name=target.name,
    )


def foreseen(target: Target) -> TargetResult:
    """What a target would be: digests only where they do not depend on bytes still to be made."""
    made: dict[int, Made] = {}
    _foresee(target.plan.root, made)
    return result(target, made)


def _foresee(node: Node, made: dict[int, Made]) -> None:
    future = forecast(node)
    if future is not None:
        made[id(node)] = future
    if isinstance(node, Write):
        for child in node.inputs:
            _foresee(child, made)
