"""The archives of ``docker save`` and ``docker load``: all three generations are read, the newest is written.

Before Docker 1.10 an archive had ``repositories`` and chains of layers; since then it has ``manifest.json``, and since
Docker 25 it is an OCI layout as well (moby, image/tarexport; image/spec/v1.2.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path

from converter.errors import NotFound
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import load_object, read_json
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.limits import current_limits
from converter.model.problems import RAISE_FIRST, Problems
from converter.model.reference import Location
from converter.ports import Fetch, Source
from converter.stores import oci_index
from converter.stores.base_source import ImageNames, ListedImage, full_reference
from converter.stores.docker_archive import tables
from converter.stores.docker_archive.sink import DockerArchiveSink
from converter.stores.media import DirectoryMedium, Medium
from converter.stores.media.file_target import TarTarget
from converter.stores.media.tar_medium import TarMedium
from converter.stores.oci_layout import OciLayout, fetch_blob
from converter.stores.options import Kind, StoreOptions
from converter.streams.blocks import on_error


def open_source(location: Location, options: StoreOptions) -> DockerArchive:
    """Read a tar, possibly compressed or from standard input, or a directory into which one was unpacked."""
    path = Path(location.path)
    medium: Medium = DirectoryMedium(path) if path.is_dir() else TarMedium(path)
    return DockerArchive(medium, options.problems)


def open_sink(location: Location, options: StoreOptions) -> DockerArchiveSink:
    """Write a new archive."""
    return DockerArchiveSink(TarTarget(Path(location.path), options.overwriting("docker-archive"), options.epoch))


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes, with what they hold."""
    return {Path(location.path): "docker-archive"}


class DockerArchive(Source):
    """Reads an archive. The manifest of an image is kept if the archive has it, otherwise one is made up."""

    unpacked = True

    def __init__(self, medium: Medium, problems: Problems = RAISE_FIRST) -> None:
        """Reports what is wrong with its tables of contents. Leaving the source closes the medium."""
        self.medium = medium
        self._problems = problems
        self._blobs = tables.ArchiveBlobs(medium)
        self._stand_ins: dict[Digest, Callable[[], Descriptor]] = {}
        """What stands in for roots that are assembled only on demand, with what assembles them."""
        self._read: dict[tuple[object, ...], Sequence[Candidate]] = {}
        """What is at or below entries of ``index.json``."""
        with on_error(medium.close):
            data = self._document(tables.MANIFEST)
            self.rows = None if data is None else tables.read_rows(data, problems)
            """The rows of ``manifest.json``; None if there is none."""
            self.layout = self._as_layout()
            """The layout that the archive is as well, if it lists images."""
            self.chain_reader = tables.Chains(medium, problems)
            listed = self.rows is not None or bool(self.layout and self.layout.entries)
            self.chains = () if listed else self.chain_reader.images()
            """The newest layers of images from before Docker 1.10, with their names, if nothing else lists images."""
            if not listed and not self.chains:
                fact = f"no images in {medium.where}: it has neither manifest.json nor index.json nor repositories"
                problems.report(NotFound(fact), "")

    def close(self) -> None:
        self.medium.close()

    def names(self) -> tuple[str, ...]:
        return self._images.names()

    def resolve(self, name: str) -> Descriptor:
        """As in Source; the root's annotations state the name that was found."""
        found = self._images.resolve(name)
        assemble = self._stand_ins.get(found.digest)
        root = found if assemble is None else assemble()
        names = self._images.references_to(found)
        if not names:
            return root
        asked = full_reference(name)
        best = asked if asked in names else next(iter(names))
        return replace(root, annotations=oci_index.docker_annotations(best))

    def _fetch_listed(self, asked: Descriptor) -> Known:
        """What has that digest: a root that is only assembled on demand, or a blob."""
        roots = map(self.resolve, self.names())
        return self.fetch(next((root for root in roots if root.digest == asked.digest), asked))

    def fetch(self, descriptor: Descriptor) -> Known:
        return self._blobs.known(descriptor) or fetch_blob(self.medium, descriptor)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """What ``index.json`` lists as referring to the subject."""
        return () if self.layout is None else self.layout.attachments(subject)

    def _document(self, name: str) -> bytes | None:
        """A file; None if it is missing, or cannot be read, which is reported."""
        with self._problems.at(name):
            if self.medium.size(name) is not None:
                return self.medium.read_document(name)
        return None

    def _as_layout(self) -> OciLayout | None:
        """The layout in the archive. The Engine may write an index of null, and old tools one without a layout."""
        data = self._document(oci_index.INDEX)
        if data is None:
            return None
        if self.rows is not None:
            index = read_json(data).value
            empty = isinstance(index, dict) and not index.get("manifests")
            if empty or self.medium.size(oci_index.LAYOUT) is None:
                return None
        return OciLayout(self.medium, self._problems)

    @cached_property
    def _images(self) -> ImageNames:
        offers, positions = self._chained() if self.chains else self._saved(self.rows or ())
        return ImageNames(where=self.medium.where, offers=offers, positions=positions, fetch=self._fetch_listed)

    def _saved(self, rows: tuple[tables.SavedImage, ...]) -> tuple[list[ListedImage], Sequence[Descriptor]]:
        """The rows of ``manifest.json``, and the images that ``index.json`` has besides or above them."""
        images = () if self.layout is None else self.layout.images
        below = [self._below(image.root) for image in images]
        by_config: dict[Digest | None, list[Candidate]] = {}
        distinct = {id(found): found for found in below}
        for one in itertools.chain.from_iterable(distinct.values()):
            by_config.setdefault(one.config, []).append(one)
        saved = [(row, self._stand_in(row, by_config)) for row in rows]
        members = {stand_in.digest for _, stand_in in saved}
        offers, singles = [], []
        grouped: dict[Digest, set[str]] = {}
        for image, manifests in zip(images, below, strict=True):
            if image.root.media_type not in types.INDEXES:
                if image.root.digest not in members:
                    singles.append(image)
            # The Engine saves indexes that lack images, which are none themselves. BuildKit's cache lacks none.
            elif all(one.config is not None for one in manifests):
                digests = {one.manifest.digest for one in manifests}
                offer = _group_offer(image, digests, saved)
                offers.append(offer)
                for digest in digests:
                    grouped.setdefault(digest, {""}).update(offer.names)
        for row, stand_in in saved:
            elsewhere = grouped.get(stand_in.digest)
            tags = tuple(tag for tag in row.tags if elsewhere is None or tag not in elsewhere)
            if tags or elsewhere is None:
                offers.append(ListedImage(root=stand_in, names=tags))
        offers += singles
        if self.layout is not None and not rows:
            return offers, self.layout.entries
        # Images that are not rows, such as the unnamed index of docker save IMAGE-ID, come after the rows.
        others = (offer.root for offer in offers if offer.root.digest not in members)
        return offers, (*(stand_in for _, stand_in in saved), *others)

    def _below(self, root: Descriptor) -> Sequence[Candidate]:
        """The images at or below an entry of ``index.json``. An index is read once, however often it is listed."""
        key = root.media_type, root.digest, root.size, root.data, root.platform and root.platform.known
        if root.media_type not in types.INDEXES or key not in self._read:
            self._read[key] = tuple(_manifests(root, self.fetch, set()))
        return self._read[key]

    def _stand_in(self, row: tables.SavedImage, by_config: dict[Digest | None, list[Candidate]]) -> Descriptor:
        """The manifest that the index has for a row, or the row's config, standing in for a manifest to be made.

        Of several manifests with that config, it is the one with a name of the row's, else the one with its layers.
        """
        config = tables.config_of(self._blobs, row)
        names = frozenset(map(full_reference, row.tags))
        layers = tuple(map(tables.claimed_digest, row.layers))
        if config.digest in by_config:
            found = by_config[config.digest]
            return max(found, key=lambda one: (not names.isdisjoint(one.names), one.layers == layers)).manifest
        self._stand_ins[config.digest] = cache(partial(tables.assemble_manifest, self._blobs, row, config))
        return config

    def _chained(self) -> tuple[list[ListedImage], Sequence[Descriptor]]:
        """The images from before Docker 1.10."""
        offers = []
        for top, names in self.chains:
            stand_in = Descriptor.of(top.encode(), types.DOCKER_SCHEMA1)
            self._stand_ins[stand_in.digest] = cache(partial(tables.assemble_chain, self._blobs, top, names))
            offers.append(ListedImage(root=stand_in, names=names))
        return offers, [offer.root for offer in offers]


def _group_offer(
    own: ListedImage, manifests: set[Digest], saved: list[tuple[tables.SavedImage, Descriptor]]
) -> ListedImage:
    """An index under its own names, spelled as in the rows; if it has none, under the names of its images."""
    full = {full_reference(name) for name in (*own.names, *own.aliases)}
    tags: dict[str, None] = {}
    for row, stand_in in saved:
        if stand_in.digest in manifests:
            tags |= dict.fromkeys(tag for tag in row.tags if not own.names or full_reference(tag) in full)
    return replace(own, names=tuple(tags) or own.names)


@frozen(kw_only=False)
class Candidate:
    """A manifest, the digests of its config (None if blobs are missing) and its layers, and its own names in full."""

    manifest: Descriptor
    config: Digest | None = None
    layers: tuple[Digest, ...] = ()
    names: frozenset[str] = frozenset()


def _manifests(entry: Descriptor, fetch: Fetch, seen: set[Digest], depth: int = 0) -> Iterator[Candidate]:
    """Every image manifest at or below an entry, except attestations and documents of other types.

    Each of them is read once, however often indexes name it; ``seen`` holds those read already. Raises Invalid for one
    that is broken or does not match its digest.
    """
    current_limits().require("index_depth", depth, "indexes within each other")
    attestation = entry.platform is not None and not entry.platform.known
    if attestation or entry.digest in seen or entry.media_type not in types.INDEXES | types.MANIFESTS:
        return
    seen.add(entry.digest)
    candidate = Candidate(entry)
    with suppress(NotFound):
        document = load_object(fetch(entry).read())
        if entry.media_type in types.INDEXES:
            for child in descriptors(document, "manifests"):
                yield from _manifests(child, fetch, seen, depth + 1)
            return
        config, layers = Descriptor.from_json(document.get("config")), descriptors(document, "layers")
        for blob in (config, *layers):
            fetch(blob)
        # In an index below, annotations name nothing.
        names = frozenset(() if depth else map(full_reference, oci_index.listed_image(entry).aliases))
        candidate = Candidate(entry, config.digest, tuple(layer.digest for layer in layers), names)
    yield candidate
