"""Plans what a target will be and what it cannot hold, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from converter import formats
from converter.conversion import origin, signatures
from converter.conversion.find_dependencies import Library
from converter.conversion.job import Options
from converter.conversion.selection import SelectedImage, with_referrers
from converter.conversion.signatures import Carried
from converter.conversion.targets import codec_for_oci, format_for, name_for, not_loaded_by_docker
from converter.errors import LossRefused, within
from converter.model.content import Derived, Descriptor, source_blobs
from converter.model.frozen import frozen
from converter.model.image import Index, Item, images_of
from converter.model.reference import Location
from converter.model.settings import Settings
from converter.model.transport import TRANSPORTS
from converter.plan import Evaluated, Leaf, Make, Node, Plan, forecast
from converter.ports import Sink, Writer
from converter.transform import as_stored, encode_item, transform


@frozen
class PlannedTarget:
    """One image to be written to one destination, under ``name``; ``remark`` is what a person should know of it."""

    destination: Location
    name: str
    selected: SelectedImage
    format: Writer
    plan: Plan
    carried: Carried
    origin: bool = False
    remark: str = ""

    @property
    def distant(self) -> bool:
        """Whether its blobs are read or written over a network."""
        return not self.selected.local or self.destination.kind.access == "registry"


def plan_target(
    destination: Location,
    sink: Sink,
    selected: SelectedImage,
    options: Options,
    library: Library,
    *,
    files: ExitStack | None = None,
) -> PlannedTarget:
    """Plan one image for one destination. Nothing is written; raises LossRefused for a loss that the caller forbids.

    With ``files``, which closes what this opens, an ACI converted to another format earlier is restored byte for byte.
    """
    with within(str(destination)):
        codec = codec_for_oci(selected.item, options, sink.accepts, destination)
        if codec:
            options = replace(options, to="oci")
        target = format_for(destination, selected.item, options.to, preserve=options.preserve_digests)
        mixed = isinstance(selected.item, Index) and not options.to and len(destination.kind.formats) > 1
        unpacked = selected.unpacked and not destination.kind.docker_unpacks
        pack = as_stored(target, selected.settings, mixed=mixed, local=selected.local, unpacked=unpacked)
        item = transform(selected.item, target, selected.settings, name=selected.called, find=library.find, pack=pack)
        root = encode_item(item, target, sink.accepts, selected.settings, mixed=mixed)
        if options.attachments:
            selected = _with_dependencies(selected, item, library)
        due = options.keeps_origin and origin.due(selected, root, options.origin)
        recorded = due and bool(destination.attached)
        before = selected.attached
        back = _restore_aci(root, selected, options, library, files) if recorded else None
        if back is not None:
            (root, selected), recorded = back, False
        kept = origin.KEPT if recorded else ""
        profiles = before if back is not None else ()
        carried = signatures.carry_attachments(
            selected, root, forecast(root).documents(), destination, elsewhere=kept, profiles=profiles
        )
        more = (*carried.losses, *(origin.losses(destination) if due else ()), *selected.unread)
        lost = tuple(target.losses(item, sink.accepts, selected.settings)) if back is None else ()
        planned = Plan(root=root, losses=(*lost, *more, *not_loaded_by_docker(destination, item)))
        refuse_losses(planned, selected, target.name, options)
        return PlannedTarget(
            destination=destination,
            name=name_for(destination, selected.name, selected.called, selected.root, selected.item),
            selected=selected,
            format=target,
            plan=planned,
            carried=carried,
            origin=recorded,
            remark=f"written as OCI: Docker manifests cannot hold {codec} layers" if codec else "",
        )


def _restore_aci(
    root: Node, selected: SelectedImage, options: Options, library: Library, files: ExitStack | None
) -> tuple[Node, SelectedImage] | None:
    """The original ACI, unchanged, if the image was one before and no other packing is requested."""
    if files is None or options.compress is not None or not isinstance(root, Make):
        return None
    from converter.conversion.restoring import restore_aci

    # With the original's dependencies at hand, it can be restored without their layers merged in.
    finder = library.find if options.aci_paths and not options.rkt_dev_links else None
    return restore_aci(root, selected, files, options.threads, finder)


def _with_dependencies(selected: SelectedImage, item: Item, library: Library) -> SelectedImage:
    """The image with the attachments of images that became layers of it, which only an origin record carries."""
    found = (
        known.descriptor for image in images_of(item) for layer in image.layers for known in source_blobs(layer.content)
    )
    below = dict.fromkeys(one.digest for one in found if one.media_type in formats.READERS)
    below.pop(selected.root.digest, None)
    return with_referrers(selected, library, below) if below else selected


def refuse_losses(planned: Plan, selected: SelectedImage, target: str, options: Options) -> None:
    """Raise LossRefused if a plan loses anything, or changes a digest, that the caller wants kept."""
    lost = [loss.field for loss in planned.losses if loss.kept != origin.KEPT]
    if options.strict and lost:
        hint = "; --squash or --layered keeps the layers" if "layers" in lost else ""
        raise LossRefused(f"the target cannot hold {', '.join(lost)}: nothing was written (--strict{hint})")
    if options.preserve_digests:
        made = forecast(planned.root).made
        if made is None or made.descriptor.digest != selected.root.digest:
            why = ", ".join(reasons(selected.root, selected.item, target, planned.root, options)) or "documents"
            raise LossRefused(f"the digest would change, by {why}: {_keeping(selected, options)} (--preserve-digests)")


def _keeping(selected: SelectedImage, options: Options) -> str:
    """What would keep a digest: fewer options, or another transport."""
    given = {
        "--to": bool(options.to) and options.compress is None,  # zstd may have chosen it
        "--squash": options.squash,
        "--layered": options.layered,
        "--compress": options.compress is not None,
        "--change": bool(options.changes),
    }
    if others := [name for name, is_given in given.items() if is_given]:
        return f"leave out {' and '.join(others)}"
    return f"{' or '.join(f'{name}:' for name in keepers(selected.item)) or 'nothing'} can keep it"


def reasons(root: Descriptor, item: Item, target: str, node: Node, settings: Settings) -> tuple[str, ...]:
    """What makes the digest of ``item``, taken from ``root``, another one in the format ``target``: at most all of
    platform, format, squash, compression, change; empty if it is written anew for none of these.
    """
    return tuple(dict.fromkeys(_reasons(root, item, target, forecast(node), settings)))


def _reasons(root: Descriptor, item: Item, target: str, tree: Evaluated, settings: Settings) -> Iterator[str]:
    original = item.original
    if original is not None and original.manifest.descriptor.digest != root.digest:
        yield "platform"
    if original is not None and original.format != target:
        yield "format"
    leaves: Iterable[Leaf] = [one.leaf for one in tree.layers()]
    made = [one.content for one in leaves if isinstance(one, Make) and isinstance(one.content, Derived)]
    if any(len(one.inputs) > 1 for one in made) or settings.squash:
        yield "squash"
    elif any(one.rewrite is None for one in made):
        yield "compression"
    if settings.changes:
        yield "change"


def keepers(item: Item) -> tuple[str, ...]:
    """The transports that can hold an item in its own format, and as it is."""
    own = "" if item.original is None else item.original.format.removesuffix("-v1")
    return tuple(name for name, kind in TRANSPORTS.items() if own in kind.formats and not kind.docker_unpacks)
