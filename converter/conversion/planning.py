"""Plans a target: its format, the image's name there, and what it cannot hold, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from converter import formats
from converter.conversion.attachments import (
    KEPT,
    Carried,
    carry_attachments,
    find_attachments,
    may_need_record,
    record_loss,
)
from converter.conversion.find_dependencies import Library
from converter.conversion.job import Options
from converter.conversion.selection import SelectedImage
from converter.errors import LossRefused, Usage, within
from converter.model import media_types as types
from converter.model.content import Derived, source_blobs
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Image, Index, Item, Loss, images_of, is_from
from converter.model.reference import REF_NAME, STDOUT, Location, is_full
from converter.model.transport import transports_where
from converter.plan import Evaluated, Make, forecast
from converter.ports import Sink, Writer
from converter.stores import files_written
from converter.stores.disk import is_inside
from converter.transform import as_stored, encode_item, transform


def check_distinct(destinations: Sequence[Location]) -> None:
    """Raise Usage if two destinations would write the same file, or one a file in a directory that another writes."""
    taken: dict[Path, Location] = {}
    for destination in destinations:
        if destination.path in STDOUT and destination.kind.folder:
            raise Usage(f"{destination.transport} needs a directory: standard output cannot hold it")
        for place in _places(destination) if len(destinations) > 1 else ():
            before = taken.setdefault(place, destination)
            if before is not destination and not (before.transport == destination.transport and before.kind.grows):
                raise Usage(f"{before} and {destination} are the same place: give each a place of its own")
    for place, destination in taken.items():
        around = next((taken[folder] for folder in place.parents if folder in taken), None)
        if around is not None and files_written(destination):
            raise Usage(f"{destination} is in {around}: give each a place of its own")


def check_outside(source: Location, destinations: Sequence[Location]) -> None:
    """Raise Usage if a destination is in the tree of files that is the source, and so would be part of itself."""
    if not source.kind.is_tree or not Path(source.path).is_dir():
        return
    for destination in destinations:
        if destination.kind.on_disk and is_inside(destination.path, source.path):
            raise Usage(f"{destination} is in {source}, and would be part of itself: choose a place outside")


def _places(destination: Location) -> Iterator[Path]:
    """What a destination writes: files, a directory, or a place that is not on this disk."""
    if destination.kind.holds == "name":
        yield Path(str(destination))
    elif destination.path in STDOUT:
        yield Path("-")
    else:
        for place in files_written(destination) or (Path(destination.path),):
            yield Path(os.path.realpath(place))


def misleading_ending(destination: Location) -> str:
    """What is written to a path that ends like a compressed archive, and is none; empty for any other path."""
    if not destination.kind.on_disk or destination.kind.has_acis:
        return ""
    compressed = (suffix for name, codec in types.CODECS.items() if name != "none" for suffix in codec.suffixes)
    ending = next(filter(destination.path.endswith, compressed), "")
    form = "a plain tar" if files_written(destination) else "a directory"
    return f"written as {form}, although its name ends in {ending}" if ending else ""


def check_capacity(destinations: Sequence[Location], images: int) -> None:
    """Check that every destination can hold so many images; raises Usage."""
    for destination in destinations:
        if images > 1 and destination.kind.holds != "several":
            raise Usage(f"{destination} can hold one image, not {images}: `transship sync` makes a place for each")
        if images > 1 and destination.name:
            raise Usage(f"{destination} has a name, but there are {images} images: leave the name out")


def codec_for_oci(item: Item, settings: Options, accepts: frozenset[str], destination: Location) -> str:
    """The codec that makes a Docker image one of OCI, as Docker's readers do not know it; empty if it can stay."""
    if settings.to or settings.compress is None or settings.compress.is_known_to("docker"):
        return ""
    codec = settings.compress.codec
    if "oci" not in destination.kind.formats or accepts.intersection(types.CODECS[codec].docker):
        return ""
    items: list[Item | None] = [item]
    if isinstance(item, Index):
        items += [entry.item for entry in item.entries]
    is_docker = any(isinstance(one, Image | Index) and _own_format(one) == "docker" for one in items)
    return codec if is_docker else ""


def _own_format(item: Item) -> str:
    """The format that an item was read in, for schema 1 Docker's; empty if it was read in none."""
    return "" if item.original is None else item.original.format.removesuffix("-v1")


def format_for(destination: Location, item: Item, asked: str, *, preserve: bool) -> Writer:
    """The format in which to write an item: the one asked for, else its own if possible.

    Schema 1 is written only to ``preserve`` it. Raises Usage if the destination cannot hold the format.
    """
    holds = destination.kind.formats
    if not holds:
        written = transports_where(lambda kind: bool(kind.formats))
        raise Usage(f"{destination.transport} cannot be a destination (one of: {', '.join(written)})")
    if asked and asked not in holds:
        known = "do without --to" if "runtime" in holds else f"one of: {', '.join(holds)}"
        raise Usage(f"{destination.transport} cannot hold the format {asked} ({known})")
    if preserve and not asked and is_from(item, "docker-v1") and "docker" in holds:
        return formats.reader_of(types.DOCKER_SCHEMA1)
    own = _own_format(item)
    writer = formats.writer(asked or (own if own in holds else holds[0]))
    if writer.single_file_name and isinstance(item, Index):
        raise Usage(f"cannot write {writer.single_file_name} for several platforms: choose one with --platform")
    return writer


def not_loaded_by_docker(destination: Location, item: Item) -> Iterator[Loss]:
    """What a docker-archive holds only for readers of layouts: ``docker load`` reads nothing but images with all their
    layers.
    """
    if not destination.kind.loaded:
        return
    if next(images_of(item), None) is None:
        yield Loss(field="artifact", reason=f"docker load does not find {item}", kept="index.json")
    absent = sum(layer.absent for image in images_of(item) for layer in image.layers)
    if absent:
        layers = "1 layer is" if absent == 1 else f"{absent} layers are"
        reason = f"{layers} only at a URL, from which docker load fetches nothing (from a registry: --download-foreign)"
        yield Loss(field="layers", reason=reason, kept="LayerSources")


def name_for(destination: Location, source_name: str, full: str, root: Descriptor, item: Item) -> str:
    """The image's name: the one asked for, else the one it had, in ``full`` if there is one."""
    if destination.name or destination.kind.holds != "several":
        return destination.name
    short = root.annotations.get(REF_NAME, "")
    own = item.notes.name if isinstance(item, Image) else ""
    full = next((text for text in (full, own) if is_full(text)), "")
    if destination.kind.loaded:
        return full
    return full or short or ("" if source_name.startswith("@") else source_name)


@frozen
class PlannedTarget:
    """One image to be written to one destination, under ``name``: what becomes of it there, and what is lost.

    ``forecast`` is its plan, as far as that determines what it becomes; ``remark`` is what a person should know of it.
    """

    destination: Location
    name: str
    selected: SelectedImage
    format: Writer
    forecast: Evaluated
    losses: tuple[Loss, ...]
    carried: Carried
    origin: bool = False
    remark: str = ""

    def reasons(self) -> tuple[str, ...]:
        """What makes the digest another one: at most all of platform, format, squash, compression, change; empty if the
        image is written anew for none of these.
        """
        settings, original = self.selected.settings, self.selected.item.original
        leaves = [one.leaf for one in self.forecast.layers()]
        made = [one.content for one in leaves if isinstance(one, Make) and isinstance(one.content, Derived)]
        squashed = settings.squash or any(len(one.inputs) > 1 for one in made)
        found = {
            "platform": original is not None and original.manifest.descriptor.digest != self.selected.root.digest,
            "format": original is not None and original.format != self.format.name,
            "squash": squashed,
            "compression": not squashed and any(one.rewrite is None for one in made),
            "change": bool(settings.changes),
        }
        return tuple(name for name, holds in found.items() if holds)


def plan_target(
    destination: Location,
    sink: Sink,
    selected: SelectedImage,
    options: Options,
    library: Library,
) -> PlannedTarget:
    """Plan one image for one destination. Nothing is written; raises LossRefused for a loss that the caller forbids.

    An ACI converted to another format earlier is restored byte for byte; what that opens, ``library.files`` closes.
    """
    with within(str(destination)):
        codec = codec_for_oci(selected.item, options, sink.accepts, destination)
        if codec:
            options = replace(options, to="oci")
        target = format_for(destination, selected.item, options.to, preserve=options.preserve_digests)
        mixed = isinstance(selected.item, Index) and not options.to and len(destination.kind.formats) > 1
        unpacked = selected.source.unpacked and not destination.kind.docker_unpacks
        pack = as_stored(target, selected.settings, mixed=mixed, local=selected.source.local, unpacked=unpacked)
        item = transform(selected.item, target, selected.settings, name=selected.called, find=library.find, pack=pack)
        root = encode_item(item, target, sink.accepts, selected.settings, mixed=mixed)
        if options.attachments:
            selected = _with_dependencies(selected, item, library)
        tree = forecast(root)
        changed = not tree.has_digest(selected.root.digest)
        due = options.keeps_origin and changed and may_need_record(selected, options.origin)
        unrecorded = (record_loss(destination),) if due and not destination.attached else ()
        recorded = due and not unrecorded
        back = None
        if recorded and options.compress is None and isinstance(root, Make) and isinstance(root.content, Derived):
            from converter.conversion.origin_records import restore_aci

            back = restore_aci(root.content, selected, options, library)
        if back is None:
            carried = carry_attachments(selected, tree, destination, recorded=recorded)
            lost = tuple(target.losses(item, sink.accepts, selected.settings))
        else:
            profiles = selected.attached
            node, selected = back
            tree, recorded, lost = forecast(node), False, ()
            carried = carry_attachments(selected, tree, destination, profiles=profiles)
        planned = PlannedTarget(
            destination=destination,
            name=name_for(destination, selected.name, selected.called, selected.root, selected.item),
            selected=selected,
            format=target,
            forecast=tree,
            losses=(
                *lost,
                *carried.losses,
                *unrecorded,
                *selected.unread,
                *not_loaded_by_docker(destination, item),
            ),
            carried=carried,
            origin=recorded,
            remark=f"written as OCI: Docker manifests cannot hold {codec} layers" if codec else "",
        )
        refuse_losses(planned, options)
        return planned


def _with_dependencies(selected: SelectedImage, item: Item, library: Library) -> SelectedImage:
    """The image with the attachments of images that became layers of it, which only an origin record carries."""
    found = (
        known.descriptor for image in images_of(item) for layer in image.layers for known in source_blobs(layer.content)
    )
    below = dict.fromkeys(one.digest for one in found if one.media_type in formats.READERS)
    below.pop(selected.root.digest, None)
    attached, unread = find_attachments(library, below)
    return replace(selected, attached=(*selected.attached, *attached), unread=(*selected.unread, *unread))


def refuse_losses(target: PlannedTarget, options: Options) -> None:
    """Raise LossRefused if a target loses anything, or changes a digest, that the caller wants kept."""
    lost = [loss.field for loss in target.losses if loss.kept != KEPT]
    if options.strict and lost:
        hint = "; --squash or --layered keeps the layers" if "layers" in lost else ""
        raise LossRefused(f"the target cannot hold {', '.join(lost)}: nothing was written (--strict{hint})")
    if options.preserve_digests and not target.forecast.has_digest(target.selected.root.digest):
        why = ", ".join(target.reasons()) or "documents"
        keeping = _keeping(target.selected, options)
        raise LossRefused(f"the digest would change, by {why}: {keeping} (--preserve-digests)")


def _keeping(selected: SelectedImage, options: Options) -> str:
    """What would keep a digest: fewer options, or another transport."""
    given = {
        "--to": options.to and options.compress is None,  # zstd may have chosen it
        "--squash": options.squash,
        "--layered": options.layered,
        "--compress": options.compress,
        "--change": options.changes,
    }
    others = [name for name, is_given in given.items() if is_given]
    if others:
        return f"leave out {' and '.join(others)}"
    own = _own_format(selected.item)
    keepers = transports_where(lambda kind: own in kind.formats and not kind.docker_unpacks)
    places = " or ".join(f"{name}:" for name in keepers)
    return f"{places or 'nothing'} can keep it"
