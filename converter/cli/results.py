"""The result of a conversion, as text for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.model.limits import size

if TYPE_CHECKING:
    from converter.cli.steps import Step
    from converter.conversion import LayerResult, Result, TargetResult


_WORDS = {"retarred": "rewritten", None: "not known yet"}
"""What became of a layer, as it is called in JSON → for people, where they would have to look it up."""


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
        "digest": _text(target.digest),
        "source_digest": _text(target.source_digest),
        "changed_by": list(target.changed_by),
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
        "source": _text(layer.source),
        "target": _text(layer.target),
        "diff_id": _text(layer.diff_id),
        "relation": layer.relation,
        "reason": layer.reason,
        "sources": [{"digest": str(one.digest), "size": one.size if one.size >= 0 else None} for one in layer.sources],
        "size": layer.size,
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def lines(result: Result, *, dry_run: bool) -> Iterator[str]:
    """The same as text: one paragraph per target."""
    for target in result.targets:
        yield f"{'would write' if dry_run else 'wrote'} {_named(target)}"
        for label, value in _facts(target, dry_run=dry_run):
            yield f"  {label:<6} {value}"
        if target.changed_by:
            yield f"  changed by {', '.join(target.changed_by)}"
    if not dry_run:
        yield f"took {result.seconds:.1f} s"


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
    words = ((_WORDS.get(layer.relation, layer.relation), layer.reason) for layer in target.layers)
    kinds = Counter(f"{word}{reason and f' ({reason})'}" for word, reason in words)
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


def format_words(name: str, media_type: str) -> str:
    """A format; what Docker loads may have a manifest of OCI, with the digest that the image has elsewhere."""
    return "docker, OCI manifest" if name == "docker" and ".oci." in media_type else name


def _needed(target: TargetResult) -> Iterator[str]:
    """The ACIs that a layered ACI depends on, base first: they have to be moved along with it."""
    others = [layer.target for layer in target.layers if layer.target is not None and layer.target != target.digest]
    if target.format == "aci" and others:
        from converter.model.reference import Location
        from converter.stores.aci_file import below_path

        path = Path(Location.parse(target.destination).path)
        yield from (str(below_path(path, other)) for other in others)


def origin_beside(reference: str, media_type: str) -> Path | None:
    """The file beside an ACI that keeps what was signed, whether or not it is there; None if there is no place."""
    from converter.model import media_types as types
    from converter.model.reference import STDIN, STDOUT, Location
    from converter.stores.aci_file import origin_path

    place = Location.parse(reference)
    if media_type != types.ACI or (place.transport and place.attached != "beside") or place.path in (*STDIN, *STDOUT):
        return None
    return origin_path(Path(place.path))


def _named(target: TargetResult) -> str:
    """The reference by which the image can be read again."""
    named = not target.name or target.destination.endswith(f":{target.name}")
    return target.destination if named else f"{target.destination}:{target.name}"


def losses(result: Result) -> Iterator[str]:
    """One line for each field that a target could not hold."""
    several = len(result.targets) > 1
    for target in result.targets:
        where = f"{target.destination}: " if several else ""
        for loss in target.losses:
            yield f"{where}{loss}"
