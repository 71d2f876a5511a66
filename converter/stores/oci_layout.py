"""OCI layouts, in a directory or in a tar of one (image-spec 1.0.2 and 1.1.1, image-layout.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.errors import ConverterError, NotFound
from converter.events import Report, Warned, silent
from converter.model import media_types as types
from converter.model.content import Blocks, Known, blocks_of, foreign_layer
from converter.model.descriptor import Descriptor, Digest, subject_of
from converter.model.document import load_object
from converter.model.image import Attachment
from converter.model.problems import RAISE_FIRST, Problems
from converter.model.reference import NAMES, REF_NAME, Location
from converter.ports import Fetch, Source
from converter.stores import oci_index
from converter.stores.base_source import ImageNames, ListedImage
from converter.stores.media import DirectoryMedium, Medium, MediumTarget, TargetSink, blob_name
from converter.stores.media.directory_target import LayoutTarget
from converter.stores.options import Kind, StoreOptions
from converter.streams.blocks import on_error

_WITH_SUBJECTS = types.MANIFESTS | types.INDEXES | {types.OCI_ARTIFACT}


def open_source(location: Location, options: StoreOptions) -> OciLayout:
    """``oci:`` reads a directory; ``oci-archive:`` a tar, possibly compressed or from standard input."""
    path = Path(location.path)
    if not location.kind.folder:
        from converter.stores.media.tar_medium import TarMedium

        return OciLayout(TarMedium(path), options.problems)
    return OciLayout(DirectoryMedium(path), options.problems)


def open_sink(location: Location, options: StoreOptions) -> OciSink:
    """``oci:`` creates a layout or adds to one; ``oci-archive:`` writes a tar."""
    path = Path(location.path)
    if not location.kind.folder:
        from converter.stores.media.file_target import TarTarget

        return OciSink(TarTarget(path, options.overwriting("oci-archive"), options.epoch), ordered=True)
    # A mirror moves names all the time: that is what it is for.
    return OciSink(LayoutTarget(path), report=silent if options.mirror else options.report)


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes, with what they hold; a layout is added to."""
    return {} if location.kind.folder else {Path(location.path): "oci-archive"}


class OciLayout(Source):
    """The images of a layout. Blobs are found by digest, and verified when read."""

    def __init__(self, medium: Medium, problems: Problems = RAISE_FIRST) -> None:
        """Reports a missing file, and what is not a layout of version 1.0.0. Leaving the source closes the medium."""
        self.medium = medium
        index: dict[str, Any] = {}
        with on_error(medium.close):
            oci_index.check_layout(medium, problems)
            with problems.at(oci_index.INDEX, missing="oci/layout-index"):
                index = oci_index.read_index(medium.read_document(oci_index.INDEX), problems)
            self.rows = oci_index.index_rows(index, problems)
            """The entries of ``index.json`` by their positions, as far as they could be read."""
            self.entries = oci_index.with_cosign_tags(tuple(self.rows.values()))
            self.attached = LayoutReferrers(self.entries, self.fetch)

    def close(self) -> None:
        self.medium.close()

    def names(self) -> tuple[str, ...]:
        return self._catalogue.names()

    def resolve(self, name: str) -> Descriptor:
        return self._catalogue.resolve(name)

    def fetch(self, descriptor: Descriptor) -> Known:
        return fetch_blob(self.medium, descriptor)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """The entries with that subject, by their documents or by cosign's tags."""
        return self.attached.to(subject)

    @cached_property
    def images(self) -> tuple[ListedImage, ...]:
        """The entries that are not attached to others."""
        offers = [oci_index.listed_image(entry) for entry in self.entries if oci_index.attached_to(entry) is None]
        return tuple(one for one in offers if one.names or one.root.digest not in self.attached.subjects)

    @cached_property
    def _catalogue(self) -> ImageNames:
        return ImageNames(where=self.medium.where, offers=self.images, positions=self.entries, fetch=self.fetch)


def fetch_blob(medium: Medium, descriptor: Descriptor, names: Sequence[str] = ()) -> Known:
    """A blob, unopened, under one of these names, else that of a layout; absent if it is a foreign layer available only
    from its URLs. Raises NotFound.
    """
    found = medium.blob(descriptor, names or (blob_name(descriptor.digest),))
    if found is not None:
        return found
    if descriptor.data is not None:
        return Known(descriptor, blocks_of(descriptor.data))
    if descriptor.urls:
        return foreign_layer(descriptor, medium.where)
    raise NotFound(f"blob unknown: {descriptor.digest} in {medium.where}")


def subjects_of(entries: Iterable[Descriptor], fetch: Fetch) -> Iterator[tuple[Digest, Digest]]:
    """The entries whose documents have a ``subject`` (manifest.md), with that subject. Unreadable ones count as having
    none.
    """
    listed = {entry.digest: entry for entry in entries if entry.media_type in _WITH_SUBJECTS}
    for digest, entry in listed.items():
        with suppress(ConverterError):
            subject = subject_of(load_object(fetch(entry).read()))
            if subject is not None:
                yield digest, subject


def expand_fallback(entries: Iterable[Descriptor], fetch: Fetch) -> Iterator[Descriptor]:
    """The entries; instead of an index with the tag of the fallback, which regclient writes, what it lists."""
    for entry in entries:
        below: tuple[Descriptor, ...] = (entry,)
        attached = oci_index.shares_its_tag(entry) and oci_index.attached_to(entry) != entry.digest
        if attached and entry.media_type == types.OCI_INDEX:
            with suppress(ConverterError):
                index = load_object(fetch(entry).read())
                if index.get("subject") is None:
                    below = oci_index.index_entries(index)
        names = {key: text for key, text in entry.annotations.items() if key in NAMES}
        for one in below:
            yield replace(one, annotations={**one.annotations, **names})


def attachments_by_subject(
    entries: Iterable[Descriptor], by_entry: Mapping[Digest, Digest]
) -> dict[Digest, list[Attachment]]:
    """What refers to each subject, in order: by the subject of its document, or by its tag, of which cosign's takes
    precedence.
    """
    found: dict[Digest, list[Attachment]] = {}
    for entry in entries:
        stated, tagged = by_entry.get(entry.digest), oci_index.attached_to(entry)
        names: dict[Digest, str] = {}
        if stated is not None:
            names[stated] = ""
        if tagged is not None and not (tagged == stated and oci_index.shares_its_tag(entry)):
            names[tagged] = entry.annotations[REF_NAME]
        for subject, tag in names.items():
            descriptor = oci_index.named_entry(entry, {})
            found.setdefault(subject, []).append(Attachment(subject=subject, descriptor=descriptor, tag=tag))
    return found


class LayoutReferrers:
    """Which entries refer to others; their documents are fetched on first use, for all threads once."""

    def __init__(self, entries: Sequence[Descriptor], fetch: Fetch) -> None:
        self._entries = entries
        self._fetch = fetch
        # From Python 3.12 on, a cached_property lets every thread compute it.
        self._lock = threading.Lock()

    @property
    def subjects(self) -> dict[Digest, Digest]:
        """The entries whose documents have a subject, with that subject."""
        with self._lock:
            return self._resolved[0]

    def to(self, subject: Digest) -> Sequence[Attachment]:
        """The entries with that subject, by their documents or by cosign's tags."""
        with self._lock:
            return self._resolved[1].get(subject, ())

    @cached_property
    def _resolved(self) -> tuple[dict[Digest, Digest], dict[Digest, list[Attachment]]]:
        """The subjects of entries, also of those that an index of referrers lists, and what refers to each."""
        entries = tuple(expand_fallback(self._entries, self._fetch))
        subjects = dict(subjects_of(entries, self._fetch))
        return subjects, attachments_by_subject(entries, subjects)


class OciSink(TargetSink[MediumTarget]):
    """Writes a layout. ``name`` moves an existing name; the image that had it stays, without one, which is reported."""

    def __init__(self, target: MediumTarget, *, ordered: bool = False, report: Report = silent) -> None:
        super().__init__(target)
        self.ordered = ordered
        self._report = report
        self._added: list[Descriptor] = []
        self._moved: list[tuple[str, int]] = []

    def has(self, descriptor: Descriptor) -> bool:
        return self._target.has(descriptor.digest, descriptor.size)

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        return self._target.take(blocks, expected).retyped(media_type)

    def name(self, name: str, root: Descriptor) -> None:
        self._added.append(oci_index.named_entry(root, oci_index.name_annotations(name)))

    def tagged(self, tag: str) -> Iterable[bytes]:
        medium = self._target.existing()
        if medium is not None:
            for entry in oci_index.entries_tagged(medium.read_document(oci_index.INDEX), tag):
                with suppress(NotFound):
                    yield fetch_blob(medium, entry).read()

    def attach(self, attachment: Attachment) -> None:
        self._added.append(oci_index.attachment_entry(attachment))

    def _commit(self) -> None:
        self._target.commit(self._documents)
        shown = f"oci:{self._target.shown}"
        for name, position in self._moved:
            self._report(Warned(f"the image that was {shown}:{name} before is {shown}:@{position} now"))

    def _documents(self, old: bytes | None) -> dict[str, bytes]:
        index, self._moved = oci_index.render_index(old, self._added)
        return {oci_index.LAYOUT: oci_index.LAYOUT_CONTENT, oci_index.INDEX: index}
