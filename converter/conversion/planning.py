"""Plans what a target will be and what it cannot hold, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from converter import formats
from converter.conversion import acis, origin, signed
from converter.conversion.chosen import Chosen, speaking
from converter.conversion.dependencies import Library
from converter.conversion.options import Options
from converter.conversion.signed import Carried
from converter.conversion.targets import compression_for, format_for, name_for, unloaded
from converter.edits import each_image, recompressed, relabelled
from converter.errors import LossRefused, within
from converter.model.compression import Compression
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Image, Index, Item
from converter.model.reference import Location
from converter.plan import Loss, Node, Plan, forecast
from converter.ports import Format, Sink

if TYPE_CHECKING:
    from converter.conversion.restoring import Restored


@frozen
class Target:
    """One image to be written to one destination, under ``name``."""

    destination: Location
    name: str
    chosen: Chosen
    format: Format
    plan: Plan
    carried: Carried
    origin: bool = False

    @property
    def distant(self) -> bool:
        """Whether its blobs are read or written over a network."""
        return not self.chosen.local or self.destination.transport == "docker"


def plan(
    destination: Location,
    sink: Sink,
    chosen: Chosen,
    options: Options,
    library: Library,
    *,
    files: ExitStack | None = None,
) -> Target:
    """Plan one image for one destination. Nothing is written; raises LossRefused for a loss that the caller forbids.

    With ``files``, which closes what this opens, an ACI converted to another format earlier is restored byte for byte.
    """
    with within(str(destination)):
        target = format_for(destination, chosen.item, options.to, preserve=options.preserve_digests)
        if target.name != acis.NAME:  # an ACI may keep its dependencies
            chosen = replace(chosen, item=acis.resolved(chosen.item, library.find))
        if options.attachments:
            chosen = _with_dependencies(chosen, library)
        compression = compression_for(destination, options.compress, unpacked=chosen.unpacked)
        mixed = isinstance(chosen.item, Index) and not options.to and len(destination.kind.formats) > 1
        root = encode(target, chosen, sink.accepts, compression, options, mixed=mixed)
        place = origin.place_of(destination)
        due = options.keeps_origin and origin.due(chosen.before, root, options.origin)
        recorded = due and origin.has_room(place)
        back = _restored(root, chosen, options, library, files) if recorded and target.name == acis.NAME else None
        if back is not None:
            root, chosen, recorded = back.node, replace(chosen, attached=back.attached), False
        carried = signed.carry(
            chosen.attached, forecast(root).documents(), place, chosen.fetch, origin.KEPT if recorded else ""
        )
        more = (*carried.losses, *(origin.losses(place) if due else ()), *chosen.unread)
        lost = losses(target, chosen.item, options) if back is None else ()
        planned = Plan(root=root, losses=(*lost, *more, *unloaded(destination, chosen.item)))
        refuse(planned, chosen.root, options)
        return Target(
            destination=destination,
            name=name_for(destination, chosen.name, chosen.called, chosen.root, chosen.item),
            chosen=chosen,
            format=target,
            plan=planned,
            carried=carried,
            origin=recorded,
        )


def _restored(
    root: Node, chosen: Chosen, options: Options, library: Library, files: ExitStack | None
) -> Restored | None:
    """The original ACI, unchanged, if the image was one before and no other packing is requested."""
    if files is None or options.compress is not None:
        return None
    from converter.conversion.restoring import restored

    # With the original's dependencies at hand, it can be restored without their layers merged in.
    finder = library.find if options.aci_paths and not options.rkt_dev_links else None
    return restored(root, chosen.before, files, options.threads, finder)


def _with_dependencies(chosen: Chosen, library: Library) -> Chosen:
    """The image with the attachments of the ACIs that its layers came from, which only an origin record carries."""
    below = [digest for digest in acis.below(chosen.item) if digest != chosen.root.digest]
    return speaking(chosen, library, below) if below else chosen


def encode(
    target: Format,
    chosen: Chosen,
    accepts: frozenset[str],
    compression: Compression | None,
    options: Options,
    *,
    mixed: bool,
) -> Node:
    """Plan an item with its layers, or as a whole ACI, under a compression (None: unchanged).

    ``mixed``: each image listed by an index keeps its own format.
    """
    item = chosen.item
    if target.name == acis.NAME:
        return acis.encode(item, accepts, compression, options)
    if chosen.local:
        item = each_image(lambda image: _labelled(image, target, compression, mixed=mixed))(item)
    item = acis.confined(item, target.name)
    if compression:
        item = each_image(recompressed(compression, packed=options.compress is not None))(item)
    return formats.encode_mixed(item, accepts) if mixed else target.encode(item, accepts)


def _labelled(image: Image, target: Format, compression: Compression | None, *, mixed: bool) -> Image:
    """The image with falsely labelled layers relabelled if its manifest is rewritten; a copied manifest stays
    unchanged.
    """
    before = image.original
    copied = compression is None and before is not None and (mixed or before.format == target.name)
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
    """Raise LossRefused if a plan loses anything, or changes a digest, that the caller wants kept."""
    lost = [loss.field for loss in planned.losses if loss.kept != origin.KEPT]
    if options.strict and lost:
        count = "one loss" if len(lost) == 1 else f"{len(lost)} losses"
        raise LossRefused(f"got {count} ({', '.join(lost)}), want none (--strict)")
    if options.preserve_digests:
        made = forecast(planned.root).made
        got = "a digest that depends on layers still to be made" if made is None else str(made.descriptor.digest)
        if got != str(root.digest):
            raise LossRefused(f"got {got}, want {root.digest} (--preserve-digests)")
