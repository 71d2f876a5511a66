"""Destinations: the format used for each, the image's name there, and what readers will not find."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from converter import formats
from converter.errors import Usage
from converter.model.content import Descriptor
from converter.model.image import Artifact, Image, Index, Item, Loss, images_of
from converter.model.media_types import CODECS
from converter.model.reference import REF_NAME, STDOUT, ImageName, Location, is_full
from converter.model.settings import Settings
from converter.model.transport import TRANSPORTS
from converter.ports import Writer
from converter.stores import files_written
from converter.stores.disk import is_inside

V1 = "docker-v1"
"""Docker's manifests of schema 1."""


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
        if destination.kind.access == "path" and is_inside(destination.path, source.path):
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
    if destination.kind.access != "path" or destination.kind.has_acis:
        return ""
    compressed = (suffix for name, codec in CODECS.items() if name != "none" for suffix in codec.suffixes)
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


def codec_for_oci(item: Item, settings: Settings, accepts: frozenset[str], destination: Location) -> str:
    """The codec that makes a Docker image one of OCI, as Docker's readers do not know it; empty if it can stay."""
    if settings.to or settings.compress is None or settings.compress.is_known_to("docker"):
        return ""
    codec = settings.compress.codec
    if "oci" not in destination.kind.formats or accepts.intersection(CODECS[codec].docker):
        return ""
    entries = item.entries if isinstance(item, Index) else ()
    items = (item, *(entry.item for entry in entries if entry.item is not None))
    return codec if any(map(_is_docker, items)) else ""


def _is_docker(item: Item) -> bool:
    return not isinstance(item, Artifact) and item.original is not None and item.original.format in ("docker", V1)


def format_for(destination: Location, item: Item, asked: str, *, preserve: bool) -> Writer:
    """The format in which to write an item: the one asked for, else its own if possible.

    Schema 1 is written only to ``preserve`` it. Raises Usage if the destination cannot hold the format.
    """
    holds = destination.kind.formats
    if not holds:
        written = (transport for transport, kind in TRANSPORTS.items() if kind.formats)
        raise Usage(f"{destination.transport} cannot be a destination (one of: {', '.join(written)})")
    if asked and asked not in holds:
        known = "do without --to" if "runtime" in holds else f"one of: {', '.join(holds)}"
        raise Usage(f"{destination.transport} cannot hold the format {asked} ({known})")
    if preserve and not asked and item.original is not None and item.original.format == V1 and "docker" in holds:
        return formats.reader_of(item.original.manifest.descriptor.media_type)
    own = "" if item.original is None else item.original.format.removesuffix("-v1")
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


def shown_format(destination: Location, writer: Writer) -> str:
    """The format's name for people: what ``docker load`` reads is shown as Docker's, whatever manifest it contains."""
    return "docker" if destination.kind.docker_unpacks else writer.name


def asked_for(location: Location) -> str:
    """The image that the source's reference names; empty if it names none."""
    if location.kind.access == "registry":
        name = ImageName.parse(location.path)
        return name.tag or str(name.digest or "")
    return location.name


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
