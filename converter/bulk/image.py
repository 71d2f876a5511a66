"""Runs one job: what ``converter.convert`` does for one image, with what all images of a run share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from converter.bulk.ends import Ends
from converter.bulk.move import bring, moves
from converter.bulk.outcome import Outcome, State
from converter.bulk.plan import Job
from converter.bulk.task import Elsewhere, portable, travels
from converter.bulk.telling import rest
from converter.conversion import signed
from converter.conversion.attachments import are_there
from converter.conversion.chosen import choose, library_of
from converter.conversion.executing import execute
from converter.conversion.planning import Target, plan
from converter.conversion.result import size_of
from converter.errors import ConverterError, Denied, Invalid, NotFound, within
from converter.events import Planned, Report
from converter.execute import input_size, remembered
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location
from converter.plan import Evaluated, evaluate
from converter.ports import Sink
from converter.stores import require_new


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
    return _Run(job, ends, report, elsewhere).outcome()


def failed(source: Location, destination: Location | None, error: ConverterError, seconds: float = 0.0) -> Outcome:
    """The outcome of a job that raised."""
    # The source is reported separately.
    error.trail = tuple(place for place in error.trail if place != str(source))
    return Outcome(
        source=str(source), destination=str(destination or ""), state="failed", error=str(error), seconds=seconds
    )


@frozen(kw_only=False)
class _Run:
    """One job under way."""

    job: Job
    ends: Ends
    report: Report
    elsewhere: Elsewhere | None

    def outcome(self) -> Outcome:
        began = time.monotonic()
        job, options = self.job, self.job.options
        _require_room(job.destination)
        require_new(job.destination, self.ends.store(job))
        with ExitStack() as stack:
            source = stack.enter_context(self.ends.source(job))
            with within(str(job.source)):
                library = library_of(options, job.source, stack)
                (chosen,) = choose(source, job.source, options)
            sink = self.ends.sink(job, self.report)
            target = plan(job.destination, sink, chosen, options, library)
            outcome = self._forecast(target)
            if outcome.state == "written":
                outcome = self._write(outcome, target, sink, stack)
        if outcome.state == "written" and options.signing is not None and target.plan.root.media_type in types.WHOLE:
            signed.add_beside(job.destination, options.signing, self.ends.store(job))
        return replace(outcome, seconds=time.monotonic() - began)

    def _forecast(self, target: Target) -> Outcome:
        """What has to be done, and its result as far as it is known beforehand."""
        job = self.job
        tree = evaluate(target.plan.root, remembered(self.ends.memory))
        layers, future = list(tree.layers()), tree.made
        state: State = "planned" if job.options.dry_run else "written"
        if future is not None and self._is_there(target, future.descriptor, layers):
            state = "there"
        return Outcome(
            source=str(job.source),
            destination=str(job.destination),
            state=state,
            digest=str(future.descriptor.digest) if future else "",
            format=target.format.name,
            before=sum(input_size(one.leaf) for one in layers),
            after=size_of(tree) if all(one.made for one in layers) else 0,
            losses=target.plan.losses,
        )

    def _write(self, outcome: Outcome, target: Target, sink: Sink, stack: ExitStack) -> Outcome:
        """Write the image; it is visible once ``stack`` is closed."""
        job, options, report = self.job, self.job.options, self.report
        if self.elsewhere is not None and travels(job):
            todo = moves(job, target)
            if todo is not None:
                report(Planned(outcome.before, len(todo)))
                bring(todo, sink, self.ends, self.elsewhere, report)
                report = rest(report, outcome.before)
            elif options.signing is None and options.wanted is None:
                whole = Whole(job=portable(job), root=target.chosen.root.digest, size=outcome.before)
                made = self.elsewhere.run(whole, report)
                return replace(outcome, digest=made.digest, after=made.after)
        stack.enter_context(self.ends.turn(job))
        if job.destination.kind.ending is not None:
            self.ends.folder(Path(job.destination.path).parent)
        memory, workers = self.ends.memory, self.ends.workers
        (done,) = execute([(sink, [target])], stack, options, report, memory, workers=workers, alone=False)
        return replace(outcome, digest=str(done.digest or ""), after=done.size)

    def _is_there(self, target: Target, root: Descriptor, layers: Sequence[Evaluated]) -> bool:
        """Whether the target already has this image under its name, and nothing is to be added to it.

        An image with attachments that changes never counts as there: which of them it keeps is only known once it is
        made.
        """
        job, signing, chosen = self.job, self.job.options.signing, target.chosen
        if not job.destination.kind.keeps_roots or (chosen.attached and root.digest != chosen.root.digest):
            return False
        try:
            with self.ends.there(job) as there:
                if there.resolve(target.name).digest != root.digest:
                    return False
                if not are_there(target.carried.attached, there):
                    return False
                if signing is not None and not signed.done(there, job.destination, root, signing):
                    return False
        except (NotFound, Denied, Invalid):
            # Nothing is there yet; without permission to read, writing may still be allowed.
            return False
        if job.destination.transport == "docker":
            where = ImageName.parse(job.destination.path)
            for layer in layers:
                if layer.made is not None:
                    self.ends.holders.learn(where.host, where.repository, layer.made.descriptor.digest)
        return True


def _require_room(place: Location) -> None:
    """Raises Invalid if a root directory or bundle is not empty: its files do not tell which image they are."""
    if "runtime" in place.kind.formats and Path(place.path).is_dir() and any(Path(place.path).iterdir()):
        told = f"got files at {place}, which do not tell of which image they are, want none"
        raise Invalid(f"{told} (remove them to have it written again)")
