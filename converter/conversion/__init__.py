"""Conversions: one image to any number of targets here, and many images in ``sync``; both are runs of jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from converter.cache import Cache, VerifiedCache
from converter.conversion.job import Job, Options, files_read, protect_inputs, with_hosts
from converter.conversion.result import LayerResult, Result, TargetResult
from converter.conversion.run_job import run_job
from converter.conversion.shared import Shared
from converter.conversion.targets import check_distinct, check_outside
from converter.errors import Usage
from converter.events import Report, silent
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs
from converter.streams.workers import Workers

__all__ = ["LayerResult", "Options", "Result", "TargetResult", "convert"]


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
    options = with_hosts(options or Options(), hosts := Hosts(report=report))
    options = protect_inputs(options, Inputs(files_read(options, location)))
    job = Job(source=location, destinations=places, options=options)
    with (
        enforce_limits(options.store.limits),
        hosts,
        Cache(options.cache, options.cache_blobs) if options.cache else VerifiedCache() as memory,
        Workers(options.threads) as workers,
        Shared(memory, workers) as shared,
    ):
        done = run_job(job, shared, report)
    return Result(source=str(source), targets=tuple(one.result for one in done), seconds=time.monotonic() - started)
