"""The outcome of each image, and of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

from converter.conversion.job import Job
from converter.conversion.result import Done, State, image_layers, size_of
from converter.errors import ConverterError
from converter.execute import input_size
from converter.model.frozen import frozen
from converter.model.image import Loss
from converter.model.reference import Location

WORDS = {
    "written": "copied",
    "there": "already there",
    "planned": "planned",
    "failed": "failed",
    "unstarted": "not started",
}
"""The states of an image, as reports for programs spell them → for people. An interrupted one counts as not started."""


@frozen
class Outcome:
    """The outcome of one image. Sizes of its layers in bytes: ``before`` at the source, ``after`` at the target (0:
    unknown).
    """

    source: str
    destination: str
    state: State | Literal["failed", "unstarted"]
    digest: str = ""
    source_digest: str = ""
    changed_by: tuple[str, ...] = ()
    format: str = ""
    before: int = 0
    after: int = 0
    seconds: float = 0.0
    losses: tuple[Loss, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, job: Job, done: Done, seconds: float) -> Self:
        """The outcome of a job that did not fail."""
        layers = list(image_layers(done.tree))
        return cls(
            source=str(job.source),
            destination=str(job.destination),
            state=done.state,
            digest=str(done.tree.made.descriptor.digest) if done.tree.made else "",
            source_digest=str(done.target.selected.root.digest),
            changed_by=done.changed_by,
            format=done.target.format.name,
            before=sum(input_size(one.leaf) for one in layers),
            after=size_of(done.tree) if all(one.made for one in layers) else 0,
            seconds=seconds,
            losses=done.target.plan.losses,
        )

    @classmethod
    def failed(
        cls, source: Location, destination: Location | None, error: ConverterError, seconds: float = 0.0
    ) -> Self:
        """The outcome of a job that raised."""
        # The source is reported separately.
        error.trail = tuple(place for place in error.trail if place != str(source))
        return cls(
            source=str(source),
            destination=str(destination or ""),
            state="failed",
            error=str(error).removeprefix(f"{source}: "),
            seconds=seconds,
        )

    @classmethod
    def unstarted(cls, source: Location, destination: Location | None) -> Self:
        """The outcome of a job that the run did not come to, or broke off."""
        return cls(source=str(source), destination=str(destination or ""), state="unstarted")

    def to_json(self) -> dict[str, Any]:
        """The JSON of a report."""
        return {
            "source": self.source,
            "destination": self.destination,
            "state": self.state,
            "digest": self.digest or None,
            "source_digest": self.source_digest or None,
            "changed_by": list(self.changed_by),
            "format": self.format or None,
            "size_before": self.before,
            "size_after": self.after,
            "seconds": round(self.seconds, 3),
            "losses": [asdict(one) for one in self.losses],
            "error": self.error or None,
        }


@frozen
class Summary:
    """The outcomes of a run, in the order of the plan; ``fetched`` are the bytes of blobs from remote sources."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    fetched: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of images in each state."""
        counts = dict.fromkeys(WORDS, 0)
        for one in self.outcomes:
            counts[one.state] += 1
        return counts

    @property
    def unstarted(self) -> int:
        """The number of images that were not started, because an earlier one failed, or the run was interrupted."""
        return self.counts["unstarted"]

    @property
    def failed(self) -> bool:
        """Whether an image failed, or was not started."""
        return bool(self.counts["failed"] or self.unstarted)

    @property
    def before(self) -> int:
        """The bytes of all images at the sources; what they share counts each time."""
        return sum(one.before for one in self.outcomes)

    @property
    def after(self) -> int:
        """The same at the targets."""
        return sum(one.after for one in self.outcomes)

    @property
    def losses(self) -> Mapping[Loss, list[str]]:
        """Each loss once, with the destinations that have it: thousands of images may share the same ones."""
        found: dict[Loss, list[str]] = {}
        for one in self.outcomes:
            for loss in one.losses:
                found.setdefault(loss, []).append(one.destination)
        return found

    def to_json(self) -> dict[str, Any]:
        """The JSON of a report."""
        return {
            "images": len(self.outcomes),
            **self.counts,
            "size_before": self.before,
            "size_after": self.after,
            "fetched": self.fetched,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "outcomes": [one.to_json() for one in self.outcomes],
        }
