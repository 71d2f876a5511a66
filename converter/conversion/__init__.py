"""The main path: resolve, decode, edit, plan, execute. All refusals come before anything is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from converter.cache import FOLDER, Cache, Memory
from converter.conversion import origin
from converter.conversion.chosen import Chosen, choose, library_of
from converter.conversion.ends import keeping, open_target, read, source_store, target_store, with_hosts
from converter.conversion.executing import execute, foreseen, sign_files
from converter.conversion.opened import open_image
from converter.conversion.options import Options
from converter.conversion.planning import plan
from converter.conversion.result import LayerResult, Result, TargetResult
from converter.conversion.targets import apart, check
from converter.errors import AlreadyExists, Usage, within
from converter.events import Report, Warned, silent
from converter.formats.documents import remembering
from converter.model.limits import enforced
from converter.model.reference import Location, Reference
from converter.ports import Source
from converter.stores import StoreOptions, open_source, require_new
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs
from converter.streams.workers import Workers

if TYPE_CHECKING:
    from converter.stores.spool import SharedSource

__all__ = ["LayerResult", "Options", "Result", "TargetResult", "convert", "open_image"]


def convert(
    source: Reference, destinations: Sequence[Reference], options: Options | None = None, report: Report = silent
) -> Result:
    """Convert the image at ``source`` to every destination, each ``TRANSPORT:LOCATION``.

    Raises a ConverterError, and then no destination has changed: Invalid or DigestMismatch for a violation of a
    specification, LossRefused for what ``strict`` or ``preserve_digests`` forbids.
    """
    options = with_hosts(options or Options(), hosts := Hosts())
    if not destinations:
        raise Usage("got no destination, want at least one")
    started = time.monotonic()
    location, places = Location.parse(source), [Location.parse(destination) for destination in destinations]
    apart(places)
    options = keeping(options, Inputs(read(options, location)))
    stores = [replace(target_store(options, location, place), report=report) for place in places]
    with enforced(options.store.limits), hosts, ExitStack() as stack:
        for place, store in zip(places, stores, strict=True):
            _require_new(place, store, report if options.dry_run else None)
        memory = stack.enter_context(Cache(options.cache, options.cache_blobs) if options.cache else Memory())
        stack.enter_context(remembering(memory))
        opened = open_source(location, source_store(options))
        once = None if opened.local else _costly(opened, options)
        opened = stack.enter_context(once or opened)
        with within(str(source)):
            library = library_of(options, location, stack)
            images = choose(opened, location, options)
        check(places, len({image.root.digest for image in images}))
        if once and _planned_of_layers(places, images, options):
            once.hold()
        planned = []
        for destination, store in zip(places, stores, strict=True):
            sink = open_target(destination, store, memory)
            planned.append((sink, [plan(destination, sink, one, options, library, files=stack) for one in images]))
        if once and len(places) > 1:
            once.hold()
        if options.dry_run:
            results = [foreseen(target) for _, targets in planned for target in targets]
        else:
            with Workers(options.threads) as workers:
                results = execute(planned, stack, options, report, memory, workers=workers, alone=True)
    results = list(sign_files(results, options))
    return Result(source=str(source), targets=tuple(results), seconds=time.monotonic() - started)


def _require_new(place: Location, store: StoreOptions, warn: Report | None) -> None:
    """Raise AlreadyExists if a file would be replaced that must not be; with ``warn``, say so instead."""
    try:
        require_new(place, store)
    except AlreadyExists as error:
        if warn is None:
            raise
        warn(Warned(str(error)))


def _costly(source: Source, options: Options) -> SharedSource:
    """Wrap a source that is not on this machine: cached blobs are not fetched, and blobs that are held are fetched
    once.
    """
    from converter.stores.spool import SharedSource

    if options.cache is not None and options.cache_blobs:
        from converter.cache.blobs import KeptBlobs
        from converter.conversion.caching import CachedSource

        source = CachedSource(source, KeptBlobs(options.cache / FOLDER))
    return SharedSource(source)


def _planned_of_layers(places: Sequence[Location], images: Iterable[Chosen], options: Options) -> bool:
    """Whether planning reads layers that are read again later.

    An ACI is one file, made from all layers; its origin record, and the check whether the image was an ACI before, read
    them again.
    """
    file = any(place.kind.attached == "beside" for place in places)
    return file and any(one.attached or origin.may_be_due(one.before, options.origin) for one in images)
