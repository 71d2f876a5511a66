"""Runs one job: what ``converter.convert`` does for one image, with what all images of a run share."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from converter.bulk.ends import Ends
from converter.bulk.foresight import foreseen, size
from converter.bulk.move import bring, moves
from converter.bulk.outcome import Outcome, State
from converter.bulk.plan import Job
from converter.bulk.task import Elsewhere, portable, travels
from converter.bulk.telling import rest
from converter.conversion import signed
from converter.conversion.chosen import choose, library_of
from converter.conversion.executing import execute
from converter.conversion.planning import Target, plan
from converter.errors import ConverterError, Denied, Invalid, NotFound, within
from converter.events import Planned, Report
from converter.execute import input_size
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location
from converter.plan import leaves
from converter.ports import Sink


@frozen
class Whole:
    """An image that one machine makes as a whole: a file, or one whose layers need more than recompression.

    ``root`` is the digest of its root at the source, ``size`` the bytes to read.
    """

    job: Job
    root: Digest
    size: int = 0

    @property
    def key(self) -> str:
        """A key made of content, target, and options."""
        how = sha256(repr(self.job.options).encode()).hexdigest()
        return f"image-{self.root}-{how}-{self.job.destination}"

    def run(self, ends: Ends, report: Report) -> Outcome:
        """Run the job as without other machines."""
        return run(self.job, ends, report)


def run(job: Job, ends: Ends, report: Report, elsewhere: Elsewhere | None = None) -> Outcome:
    """Run the job, unless its target already has the image. Raises what ``converter.convert`` raises.

    With ``elsewhere``, other machines bring the layers, or make the whole image; this machine writes the documents that
    name layers, and does what needs keys.
    """
    began = time.monotonic()
    _require_room(job.destination)
    with ExitStack() as stack:
        source = stack.enter_context(ends.source(job))
        options = job.options
        with within(str(job.source)):
            library = library_of(options, job.source, stack)
            (chosen,) = choose(source, job.source, options, library)
        sink = ends.sink(job, report)
        target = plan(job.destination, sink, chosen, options, library)
        outcome = _forecast(job, target, ends)
        if outcome.state == "written":
            outcome = _write(
                outcome, job, target, sink=sink, ends=ends, elsewhere=elsewhere, report=report, stack=stack
            )
    if outcome.state == "written":
        _sign_file(job, target)
    return replace(outcome, seconds=time.monotonic() - began)


def failed(source: Location, destination: Location | None, error: ConverterError, seconds: float = 0.0) -> Outcome:
    """The outcome of a job that raised."""
    # The source is reported separately.
    error.trail = tuple(place for place in error.trail if place != str(source))
    return Outcome(
        source=str(source), destination=str(destination or ""), state="failed", error=str(error), seconds=seconds
    )


def _forecast(job: Job, target: Target, ends: Ends) -> Outcome:
    """What has to be done, and its result as far as it is known beforehand."""
    root = target.plan.root
    future = foreseen(root, ends.memory)
    state: State = "planned" if job.options.dry_run else "written"
    if future is not None and _is_there(job, target, future.descriptor, ends):
        state = "there"
    return Outcome(
        source=str(job.source),
        destination=str(job.destination),
        state=state,
        digest=str(future.descriptor.digest) if future else "",
        format=target.format.name,
        before=sum(map(input_size, leaves(root))),
        after=size(root, ends.memory),
        losses=target.plan.losses,
    )


def _write(
    outcome: Outcome,
    job: Job,
    target: Target,
    *,
    sink: Sink,
    ends: Ends,
    elsewhere: Elsewhere | None,
    report: Report,
    stack: ExitStack,
) -> Outcome:
    """Write the image; it is visible once ``stack`` is closed."""
    options = job.options
    if elsewhere is not None and travels(job):
        todo = moves(job, target)
        if todo is not None:
            report(Planned(outcome.before, len(todo)))
            bring(todo, sink, ends, elsewhere, report)
            report = rest(report, outcome.before)
        elif options.signing is None and options.wanted is None:
            whole = elsewhere.run(Whole(job=portable(job), root=target.chosen.root.digest, size=outcome.before), report)
            return replace(outcome, digest=whole.digest, after=whole.after)
    stack.enter_context(ends.turn(job))
    if job.destination.kind.ending is not None:
        Path(job.destination.path).parent.mkdir(parents=True, exist_ok=True)
    (done,) = execute([(sink, [target])], stack, options, report, ends.memory, workers=ends.workers, alone=False)
    return replace(outcome, digest=str(done.digest or ""), after=done.size)


def _require_room(place: Location) -> None:
    """Raises Invalid if a root directory or bundle is not empty: its files do not tell which image they are."""
    if "runtime" in place.kind.formats and Path(place.path).is_dir() and any(Path(place.path).iterdir()):
        told = f"got files at {place}, which do not tell of which image they are, want none"
        raise Invalid(f"{told} (remove them to have it written again)")


def _is_there(job: Job, target: Target, root: Descriptor, ends: Ends) -> bool:
    """Whether the target already has this image under its name, and nothing is to be added to it.

    An image with attachments (signatures) never counts as there: those are checked blob by blob.
    """
    signing = job.options.signing
    if not job.destination.kind.keeps_roots or target.chosen.attached:
        return False
    try:
        with ends.there(job) as there:
            if there.resolve(target.name).digest != root.digest:
                return False
            if signing is not None and not signed.done(there, job.destination, root, signing):
                return False
    except (NotFound, Denied, Invalid):
        # Nothing is there yet; without permission to read, writing may still be allowed.
        return False
    if job.destination.transport == "docker":
        where = ImageName.parse(job.destination.path)
        for leaf in leaves(target.plan.root):
            made = foreseen(leaf, ends.memory)
            if made is not None:
                ends.holders.learn(where.host, where.repository, made.descriptor.digest)
    return True


def _sign_file(job: Job, target: Target) -> None:
    if job.options.signing is not None and target.plan.root.media_type == types.ACI:
        signed.add_beside(job.destination, job.options.signing, job.options.store)
