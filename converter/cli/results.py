"""The result of a conversion, as text for people, as JSON and as a page; and the times of its steps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import count
from converter.events import Event, Finished, Planned, Report, Started
from converter.model import media_types as types
from converter.model.frozen import frozen
from converter.model.limits import size
from converter.model.reference import STDIN, STDOUT, Location

if TYPE_CHECKING:
    from converter.conversion import LayerResult, Result, TargetResult
    from converter.model.descriptor import Descriptor

_WORDS = {"retarred": "rewritten", None: "not known yet"}
"""What became of a layer, as it is called in JSON → for people, where they would have to look it up."""

FORMAT_NAMES = {"aci": "ACI", "docker": "Docker", "oci": "OCI", "runtime": "a root file system"}
"""The formats in the title; in a bundle, the root file system has a ``config.json``."""

RELATIONS = {
    "identical": "the same bytes",
    "recompressed": "the same tar, compressed otherwise",
    "retarred": "the same files, in another tar",
    "squashed": "the files of several layers in one",
}

STEPS = 60
"""The most steps in the plot, the longest."""


def document(result: Result, steps: Sequence[Step] = ()) -> dict[str, Any]:
    """The JSON of ``convert --json``; null for a digest that a dry run cannot know. ``seconds`` is the wall time."""
    return {
        "source": result.source,
        "targets": [_target(target, result.seconds) for target in result.targets],
        "steps": [
            {"name": one.name, "began": round(one.began, 3), "ended": round(one.ended, 3), "size": one.size}
            for one in steps
        ],
    }


def _target(target: TargetResult, seconds: float) -> dict[str, Any]:
    return {
        "destination": target.destination,
        "name": target.name,
        "format": target.format,
        "digest": target.digest,
        "source_digest": target.source_digest,
        "changed_by": target.changed_by,
        "media_type": target.media_type,
        "image_id": target.image_id,
        "preserved": target.preserved,
        "losses": [asdict(loss) for loss in target.losses],
        "signatures": [dict(signature) for signature in target.signatures],
        "layers": [_layer(layer) for layer in target.layers],
        "size": target.size,
        "seconds": round(seconds, 3),
    }


def _layer(layer: LayerResult) -> dict[str, Any]:
    return {
        "source": layer.source,
        "target": layer.target,
        "diff_id": layer.diff_id,
        "relation": layer.relation,
        "reason": layer.reason,
        "sources": list(map(_blob, layer.sources)),
        "size": layer.size,
    }


def _blob(blob: Descriptor) -> dict[str, Any]:
    known = blob.size >= 0
    return {"digest": blob.digest, "size": blob.size if known else None}


def lines(result: Result, changes: Sequence[str] = (), *, dry_run: bool) -> Iterator[str]:
    """The same as text: one paragraph per target, and the ``changes`` that were asked for."""
    for target in result.targets:
        # The reference by which the image can be read again.
        place = target.destination
        if target.name and not place.endswith(f":{target.name}"):
            place += f":{target.name}"
        yield f"would write {place}" if dry_run else f"wrote {place}"
        for label, value in _facts(target, dry_run=dry_run):
            yield f"  {label:<6} {value}"
        if target.changed_by:
            yield f"  changed by {', '.join(target.changed_by)}"
    if not dry_run:
        yield f"took {result.seconds:.1f} s"
    if changes:
        yield f"changed by {'; '.join(changes)}"


def _facts(target: TargetResult, *, dry_run: bool) -> Iterator[tuple[str, str]]:
    """Labels, so short that a digest beside them fits on 80 columns, and values."""
    yield "format", f"{format_words(target.format, target.media_type)} ({target.media_type})"
    yield "digest", str(target.digest or "known once it is written")
    if target.preserved:
        yield "source", "the same digest"
    elif target.source_digest is not None:
        yield "source", str(target.source_digest)
    if target.image_id:
        yield "ID", target.image_id
    kinds = Counter(map(_kind, target.layers))
    yield "layers", ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none"
    if target.signatures:
        yield "signed", ", ".join(dict.fromkeys(one["kind"] for one in target.signatures))
    for path in _needed(target):
        yield "needs", path
    beside = None if dry_run else origin_beside(target.destination, target.media_type)
    if beside is not None and beside.exists():
        yield "also", f"{beside}: keep it beside {beside.name.removesuffix('.origin')}"
    if target.size and not (dry_run and target.digest is None):
        yield "size", size(target.size)


def _kind(layer: LayerResult) -> str:
    """What became of a layer, and why."""
    word = _WORDS.get(layer.relation, layer.relation)
    return f"{word} ({layer.reason})" if layer.reason else word


def format_words(name: str, media_type: str) -> str:
    """A format; what Docker loads may have a manifest of OCI, with the digest that the image has elsewhere."""
    return "docker, OCI manifest" if name == "docker" and ".oci." in media_type else name


def _needed(target: TargetResult) -> Iterator[str]:
    """The ACIs that a layered ACI depends on, base first: they have to be moved along with it."""
    others = [layer.target for layer in target.layers if layer.target is not None and layer.target != target.digest]
    if target.format == "aci" and others:
        from converter.stores.aci_file import below_path

        path = Path(Location.parse(target.destination).path)
        yield from (str(below_path(path, other)) for other in others)


def origin_beside(reference: str, media_type: str) -> Path | None:
    """The file beside an ACI that keeps what was signed, whether or not it is there; None if there is no place."""
    place = Location.parse(reference)
    elsewhere = place.transport and place.attached != "beside"
    if media_type != types.ACI or elsewhere or place.path in (*STDIN, *STDOUT):
        return None
    from converter.stores.aci_file import origin_path

    return origin_path(Path(place.path))


def losses(result: Result) -> Iterator[str]:
    """One line for each field that a target could not hold."""
    several = len(result.targets) > 1
    for target in result.targets:
        where = f"{target.destination}: " if several else ""
        for loss in target.losses:
            yield f"{where}{loss}"


@frozen(kw_only=False)
class Step:
    """One step; times are in seconds since the conversion began, ``size`` is what it read, in bytes."""

    name: str
    began: float
    ended: float
    size: int = 0


class Stopwatch:
    """A Report that passes every event on. Threads may call it at once."""

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._start = clock()
        self._running: dict[str, float] = {}
        self._planned = float("inf")
        self._blobs: list[Step] = []

    def __call__(self, event: Event) -> None:
        now = self._clock() - self._start
        match event:
            case Planned():
                self._planned = now
            case Started(name):
                self._running[name] = now
            case Finished(name, size, skipped=False):
                self._blobs.append(Step(name, self._running.pop(name, now), now, size))
        self._report(event)

    def steps(self, seconds: float) -> list[Step]:
        """The steps of a conversion that took so long: what came before the blobs, these, and what came after."""
        blobs = sorted(self._blobs, key=lambda step: (step.began, step.ended))
        begin = min(seconds, self._planned, *(step.began for step in blobs))
        end = max([begin, *(step.ended for step in blobs)])
        last = Step("write documents, commit", end, max(end, seconds))
        return [Step("read and plan", 0, begin), *blobs, last]


def page(result: Result, steps: Sequence[Step] = (), *, dry_run: bool) -> str:
    """The report of ``convert``."""
    from converter.pages import render
    from converter.verification.proof import CONFIG, IDENTICAL, PROOF_LEVELS, REBUILT

    done = "Would be converted" if dry_run else "Converted"
    formats = dict.fromkeys(FORMAT_NAMES.get(target.format, target.format) for target in result.targets)
    fields = {loss.field for loss in result.losses}
    lost = f"{count(len(fields), 'field')} lost or kept elsewhere" if fields else "nothing lost"
    longest_steps = sorted(steps, key=lambda one: one.began - one.ended)[:STEPS]
    return render(
        "conversion.html.j2",
        title=f"{done} to {' and '.join(formats)}, {lost}",
        result=result,
        dry_run=dry_run,
        targets=[(target, *_sizes(target)) for target in result.targets],
        relations=RELATIONS,
        # At which `verify` proves a layer to be what was signed: REBUILT is CARRIED if the record has the source.
        levels={"identical": IDENTICAL, "recompressed": CONFIG, "retarred": REBUILT, "squashed": REBUILT},
        proof_levels=PROOF_LEVELS,
        steps=[step for step in steps if step in longest_steps],
        left_out=max(0, len(steps) - STEPS),
    )


def _sizes(target: TargetResult) -> tuple[int, int]:
    """The bytes of the layers that a target was made of, as far as known, and of the largest layer on either side."""
    before = [sum(max(0, one.size) for one in layer.sources) for layer in target.layers]
    after = [layer.size or 0 for layer in target.layers]
    return sum(before), max(before + after, default=0)
