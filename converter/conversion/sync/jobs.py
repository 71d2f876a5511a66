"""Plans a run: every image of the entries, and its name at the destination. Registries are asked only for names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

from converter.conversion.find_dependencies import names_in
from converter.conversion.job import Job
from converter.conversion.sync.sync_file import NAME_FIELD, SyncEntry
from converter.errors import ConverterError, Invalid, NotFound, Usage, within
from converter.events import Report, Warned, silent
from converter.model.descriptor import HEX_LENGTHS
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location, is_name, is_of_attachment, split_host
from converter.stores import open_source, recognised, require_writable
from converter.stores.disk import is_inside

DEFAULT = "{name}"
"""As skopeo: the last component of the repository. ``{host}/{repository}`` is what it does with ``--scoped``."""
FROM_REGISTRY = "{repository}"
"""Where all repositories of a registry are meant, of which several may end alike."""

_OWN_TAG = re.compile(r"[:@][^/]*\Z")
_DIRECTORY = re.compile(r"([^:@]+)(?::([^:@/]+)|@([^@/]+))")
"""The name that ``skopeo sync``, and this program, give to the directory of an image."""


@frozen
class SourceName:
    """The name of an image at its source; ``name`` is the last component of ``repository``."""

    host: str = ""
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def of(cls, source: Location, name: str, place: str = "") -> Self:
        """Of a reference, and a name within it; a directory is named by its path below ``place``. Raises Invalid."""
        access = source.kind.access
        if access == "registry" or (access == "engine" and is_name(source.path)):
            full = ImageName.parse(source.path).tagged()
            return cls(host=full.host, repository=full.repository, tag=full.tag, digest=str(full.digest or ""))
        if source.kind.attached == "directory":
            found = _DIRECTORY.fullmatch(_path_below(source.path, place))
            if found:
                return cls(repository=found[1], tag=found[2] or "", digest=found[3] or "")
        if name.startswith("@") or not (":" in name or "/" in name):
            stem = Path(source.path).name.partition(".")[0].lower() or "image"
            return cls(repository=stem, tag=name.removeprefix("@") or "latest")
        host, rest = split_host(name)
        repository, _, tag = rest.partition(":")
        return cls(host=host, repository=repository, tag=tag or "latest")

    @property
    def name(self) -> str:
        """The last component of the repository."""
        return self.repository.rpartition("/")[2]

    def rendered(self, template: str) -> str:
        """Render a template; tag or digest is appended if the template has no field for them and no tag of its own."""
        text = NAME_FIELD.sub(lambda match: str(getattr(self, match[1])), template)
        if "{tag}" in template or "{digest}" in template or _OWN_TAG.search(template):
            return text
        return f"{text}@{self.digest}" if self.digest else f"{text}:{self.tag}"


def _path_below(path: str, place: str) -> str:
    """The path relative to a place; for the place itself, its last component."""
    below = os.path.relpath(path, place or path)
    return Path(path).absolute().name if below == "." else below


def destination_of(to: Location, called: SourceName, template: str) -> Location:
    """The destination of an image below ``to``: a repository, a name in a layout, a file. Raises Invalid, Usage."""
    require_writable(to)
    if to.name:
        raise Usage(f"destination {to} has the name of an image: leave it out")
    if "{host}" in template and not called.host:
        raise Invalid(f'the image names no host for "{template}": leave out {{host}}')
    name = called.rendered(template)
    if any(part in ("", ".", "..") for part in name.split("/")) or not name.isprintable():
        raise Invalid(f'invalid name "{name[:200]}": expected parts between slashes, none of them empty, "." or ".."')
    path = to.path.rstrip("/") if to.path.strip("/") else to.path
    if to.kind.access == "registry":
        ImageName.parse(f"{path}/{name}")
    if to.kind.holds == "name":
        return replace(to, path=f"{path}/{name}" if path else name)
    ending = to.kind.ending
    if ending is None and to.kind.holds == "several":
        return replace(to, name=name)
    if ending:
        name = re.sub("[:@]", "-", name) + ending
    return replace(to, path=f"{path}/{name}")


@frozen
class Unlisted:
    """A source whose images could not be listed, or named at their destination."""

    source: Location
    error: ConverterError
    destination: ClassVar[None] = None

    @property
    def text(self) -> str:
        """The error, after the source."""
        text, source = str(self.error), str(self.source)
        return text if text.startswith(source) else f"{source}: {text}"


def plan_jobs(entries: Iterable[SyncEntry], report: Report = silent) -> Iterator[Job | Unlisted]:
    """One job per image, in the order of the entries; an image listed twice is planned once.

    Images that a layout has without a name, beside others that have one, are left out, and reported.
    Raises Usage if two images would get the same name; then nothing may be written.
    """
    taken: dict[Location | str, Job] = {}
    for entry in entries:
        empty = True
        for job in _jobs_of(entry, entry.source.path, report):
            empty = False
            if isinstance(job, Unlisted):
                yield job
                continue
            place = job.destination
            before = taken.setdefault(os.path.realpath(place.path) if place.kind.ending is not None else place, job)
            if (before.source, before.destination.transport) != (job.source, place.transport):
                raise Usage(_one_name(before.source, job.source, place))
            if before is job:
                yield job
        if empty and entry.takes is not None:
            report(Warned(f"{entry.source}: no image has a tag that is asked for"))


def _one_name(first: Location, second: Location, destination: Location) -> str:
    """The error for two sources that would get the same name; it says what would distinguish them."""
    names = [SourceName.of(one, _name_at(one)) for one in (first, second)]
    way = "a rename for each in a sync file, such as other:{tag}"
    hosts = {one.host for one in names}
    if len(hosts) > 1 and "" not in hosts:
        way = "--rename '{host}/{repository}'"
    elif len({one.repository for one in names}) > 1:
        way = "--rename '{repository}'"
    return f"{first} and {second} would both become {destination}: use other names ({way})"


def _jobs_of(entry: SyncEntry, place: str, report: Report) -> Iterator[Job | Unlisted]:
    """A job for every image of an entry, or of what is in its ``place``."""
    try:
        if entry.source.is_registry:
            for repository in _repositories(entry):
                yield from filter(_has_tags, _jobs_of(repository, place, report))
        elif (below := _places_below(entry)) is not None:
            for one in below:
                yield from _jobs_of(one, place, report)
        else:
            for source in list(_named_sources(entry, report)):
                yield _job(entry, source, place)
    except Usage:
        raise
    except ConverterError as error:
        yield Unlisted(source=entry.source, error=error)


def _repositories(entry: SyncEntry) -> list[SyncEntry]:
    with within(str(entry.source)), open_source(entry.source, entry.options.store) as registry:
        names = registry.names()
    rename = entry.rename or FROM_REGISTRY
    return [replace(entry, source=replace(entry.source, path=name), rename=rename) for name in names]


def _places_below(entry: SyncEntry) -> list[SyncEntry] | None:
    """The archives and layouts below a folder, of which each may have several images; None for any other source."""
    place = entry.source
    if place.name or (place.transport and place.kind.holds != "several"):
        return None
    found = _images_below(entry)
    if found and entry.references:
        raise Usage(f"{place} is a folder: name the archive or layout in it to choose tags from")
    return [replace(entry, source=replace(place, path=path)) for path in found] or None


def _images_below(entry: SyncEntry) -> list[str]:
    """The images below a folder; none for any other source. Raises Usage if the next run would find among them what
    this one writes, NotFound.
    """
    from converter.stores.recognise import images_below

    place, to = entry.source, entry.to
    found = images_below(place)
    if found and to.kind.on_disk and place.transport in ("", to.transport) and is_inside(to.path, place.path):
        raise Usage(f"{to} is inside {place}, where the next run would find it as a source: choose another folder")
    return found


def _has_tags(found: Job | Unlisted) -> bool:
    """False for a repository that a registry lists although it has no tags."""
    return not (isinstance(found, Unlisted) and isinstance(found.error, NotFound))


def _job(entry: SyncEntry, source: Location, place: str) -> Job | Unlisted:
    try:
        with within(str(source)):
            called = SourceName.of(source, _name_at(source), place)
            there = destination_of(entry.to, called, entry.rename or DEFAULT)
    except Usage:
        raise
    except ConverterError as error:
        return Unlisted(source=source, error=error)
    return Job(source=source, destinations=(there,), options=entry.options)


def _name_at(source: Location) -> str:
    """The name of an image at its source; that of an ACI is in its manifest, as its file may have any name."""
    if source.kind.access == "discovery":
        return source.path.partition(",")[0]
    if not source.kind.has_acis or source.path == "-":
        return source.name
    return names_in(Path(source.path))[1]


def _named_sources(entry: SyncEntry, report: Report) -> Iterator[Location]:
    """The images that an entry names, each with its own name."""
    place = entry.source
    if _is_one(place):
        if entry.references or entry.takes is not None:
            raise Usage(f"{place} names one image, so no tags can be chosen beside it")
        yield place
    elif place.kind.attached in ("directory", "beside"):
        yield from _chosen(entry, [replace(place, path=path) for path in _images_below(entry)] or [place])
    elif entry.references:
        yield from (_at_reference(place, reference) for reference in entry.references)
    else:
        yield from _list_names(entry, report)


def _list_names(entry: SyncEntry, report: Report) -> Iterator[Location]:
    place = entry.source
    with within(str(place)), open_source(place, entry.options.store) as source:
        names = source.names()
        saved = source.unpacked
        place = recognised(place, source)
    selected = [name for name in names if not is_of_attachment(name)]
    if takes := entry.takes:
        selected = [name for name in selected if takes(_tag_at(_at_reference(place, name)))]
    unnamed = [name for name in selected if name.startswith("@")]
    if unnamed and len(unnamed) < len(selected) and not saved:
        # When a name moves in a layout, the image that had it stays, unnamed. In a docker save archive, all were
        # requested.
        fact = f"{len(unnamed)} of {len(selected)} images in {place} have no name and are left out"
        report(Warned(f"{fact}: {place}:{unnamed[0]} is the first of them"))
        selected = [name for name in selected if name not in unnamed]
    yield from (_at_reference(place, name) for name in selected)


def _chosen(entry: SyncEntry, sources: list[Location]) -> list[Location]:
    """The images, each in a place of its own, that have one of the tags that are asked for.

    One whose name cannot be read is among them, and fails alone. Raises NotFound if no image has a certain tag.
    """
    takes = entry.takes or entry.references.__contains__
    if entry.takes is None and not entry.references:
        return sources
    tags: dict[Location, str] = {}
    for source in sources:
        with suppress(ConverterError):
            tags[source] = _tag_at(source)
    for missing in {*entry.references} - {*tags.values()}:
        raise NotFound(f'no image with the tag "{missing}" in {entry.source}')
    return [source for source in sources if source not in tags or takes(tags[source])]


def _tag_at(source: Location) -> str:
    """The tag of an image, or its digest, as its name at the source has it."""
    called = SourceName.of(source, _name_at(source))
    return called.tag or called.digest


def _is_one(place: Location) -> bool:
    """Whether a place is an image, not one of several."""
    if name := place.image_name:
        return bool(name.tag or name.digest)
    if place.kind.access == "engine":
        return bool(place.path)
    return bool(place.name) or place.kind.access == "discovery"


def _at_reference(place: Location, reference: str) -> Location:
    if place.kind.access == "engine":
        return replace(place, path=reference)
    if place.kind.access != "registry":
        # A store of one image, such as a directory, has no name for it.
        return place if place.kind.attached in ("directory", "beside") else replace(place, name=reference)
    joint = "@" if reference.partition(":")[0] in HEX_LENGTHS else ":"
    return replace(place, path=f"{place.path}{joint}{reference}")
