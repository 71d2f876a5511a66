"""The images of an archive, whichever table of contents lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, partial

from converter.errors import NotFound, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import read_json
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.problems import RAISE_FIRST, Problems
from converter.ports import Source
from converter.stores import oci_index
from converter.stores.docker_archive import manifest_json, repositories
from converter.stores.docker_archive.archive_blobs import ArchiveBlobs
from converter.stores.docker_archive.index_json import CompleteIndex, Listed, read_listed
from converter.stores.docker_archive.manifest_json import SavedImage
from converter.stores.docker_archive.repositories import Chains
from converter.stores.image_names import ImageNames, ListedImage, full_reference
from converter.stores.media import Medium
from converter.stores.oci_layout import OciLayout, fetch_blob


@frozen(kw_only=False)
class ArchiveImages:
    """The archive's images, with stand-ins for roots that are assembled only on demand."""

    image_names: ImageNames
    roots: dict[Digest, Callable[[], Descriptor]]


class DockerArchive(Source):
    """Reads an archive. The manifest of an image is kept if the archive has it, otherwise one is made up."""

    unpacked = True

    def __init__(self, medium: Medium, problems: Problems = RAISE_FIRST) -> None:
        """Reports what is wrong with its tables of contents. Leaving the source closes the medium."""
        self.medium = medium
        self._problems = problems
        self._blobs = ArchiveBlobs(medium)
        self._made: dict[Digest, Descriptor] = {}
        self.rows: tuple[SavedImage, ...] | None = None
        """The rows of ``manifest.json``; None if there is none."""
        self.layout: OciLayout | None = None
        """The layout that the archive is as well, if it lists images."""
        self.chains: tuple[tuple[str, tuple[str, ...]], ...] = ()
        """The newest layers of images from before Docker 1.10, with their names, if nothing else lists images."""
        try:
            if (data := self._document(manifest_json.NAME)) is not None:
                self.rows = manifest_json.read_rows(data, problems)
            self.layout = self._as_layout()
            if self.rows is None and not (self.layout and self.layout.entries):
                self.chains = Chains(medium, problems).images()
                if not self.chains:
                    fact = f"no images in {medium.where}: it has neither manifest.json nor index.json nor repositories"
                    problems.report(NotFound(fact), "")
        except BaseException:
            medium.close()
            raise

    def close(self) -> None:
        self.medium.close()

    def names(self) -> tuple[str, ...]:
        return self._contents.image_names.names()

    def resolve(self, name: str) -> Descriptor:
        """As in Source; the root's annotations state the name that was found."""
        stand_in = self._contents.image_names.resolve(name)
        if stand_in.digest not in self._contents.roots:
            return stand_in  # found by its own digest
        if stand_in.digest not in self._made:
            self._made[stand_in.digest] = self._contents.roots[stand_in.digest]()
        root = self._made[stand_in.digest]
        names = [each for each in self._contents.image_names.names_of(stand_in) if full_reference(each)]
        same = [each for each in names if full_reference(each) == full_reference(name)]
        if names:
            return replace(root, annotations=oci_index.docker_annotations((same or names)[0]))
        return root

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
    def _contents(self) -> ArchiveImages:
        if self.chains:
            with within(self.medium.where):
                return self._chained()
        return self._saved(self.rows or ())

    def _saved(self, rows: tuple[SavedImage, ...]) -> ArchiveImages:
        """The rows of ``manifest.json``, and the images that ``index.json`` has besides or above them."""
        entries = () if self.layout is None else self.layout.entries
        images = [entry for entry in entries if not self._is_attached(entry)]
        index = read_listed(images, lambda entry: fetch_blob(self.medium, entry))
        roots: dict[Digest, Callable[[], Descriptor]] = {}
        stand_ins = [self._stand_in(row, index, roots) for row in rows]
        members = {stand_in.digest for stand_in in stand_ins}
        offers = []
        named_elsewhere: set[tuple[Digest, str]] = set()
        for group in index.groups:
            offer = _group_offer(group, rows, stand_ins)
            offers.append(offer)
            roots[offer.root.digest] = _always(group.root)
            named_elsewhere |= {(one, name) for one in group.manifests for name in (*offer.names, "")}
        for row, stand_in in zip(rows, stand_ins, strict=True):
            tags = tuple(tag for tag in row.tags if (stand_in.digest, tag) not in named_elsewhere)
            if tags or (stand_in.digest, "") not in named_elsewhere:
                offers.append(ListedImage(root=stand_in, names=tags))
        for entry in index.singles:
            if entry.digest not in members:
                offers.append(oci_index.listed_image(entry))
                roots[entry.digest] = _always(entry)
        # Images that are not rows, such as the unnamed index of docker save IMAGE-ID, come after the rows.
        others = (offer.root for offer in offers if offer.root.digest not in members)
        positions = (*stand_ins, *others) if rows else entries
        roots |= {entry.digest: _always(entry) for entry in entries if entry.digest not in roots}
        return ArchiveImages(
            ImageNames(where=self.medium.where, offers=tuple(offers), positions=positions, fetch=self._fetch_listed),
            roots,
        )

    def _stand_in(self, row: SavedImage, index: Listed, roots: dict[Digest, Callable[[], Descriptor]]) -> Descriptor:
        """The manifest that the index has for a row, or the row's config, standing in for a manifest to be made."""
        config = manifest_json.config_of(self._blobs, row)
        manifest = index.manifest_of(config.digest, row)
        if manifest is not None:
            roots[manifest.digest] = _always(manifest)
            return manifest
        roots[config.digest] = lambda: manifest_json.assemble_manifest(self._blobs, row)
        return config

    def _chained(self) -> ArchiveImages:
        roots: dict[Digest, Callable[[], Descriptor]] = {}
        offers = []
        for top, names in self.chains:
            stand_in = Descriptor.of(top.encode(), types.DOCKER_SCHEMA1)
            roots[stand_in.digest] = partial(repositories.assemble_manifest, self._blobs, top, names)
            offers.append(ListedImage(root=stand_in, names=names))
        positions = tuple(offer.root for offer in offers)
        return ArchiveImages(
            ImageNames(where=self.medium.where, offers=tuple(offers), positions=positions, fetch=self._fetch_listed),
            roots,
        )

    def _is_attached(self, entry: Descriptor) -> bool:
        named = bool(oci_index.listed_image(entry).names)
        is_subject = self.layout is not None and entry.digest in self.layout.attached.subjects
        return oci_index.attached_to(entry) is not None or (not named and is_subject)


def _always(root: Descriptor) -> Callable[[], Descriptor]:
    return lambda: root


def _group_offer(group: CompleteIndex, rows: tuple[SavedImage, ...], stand_ins: list[Descriptor]) -> ListedImage:
    """An index under its own names, spelled as in the rows; if it has none, under the names of its images."""
    own = oci_index.listed_image(group.root)
    full = {full_reference(name) for name in (*own.names, *own.aliases)}
    tags = [
        tag
        for row, stand_in in zip(rows, stand_ins, strict=True)
        if stand_in.digest in group.manifests
        for tag in row.tags
        if full_reference(tag) in full or not own.names
    ]
    return replace(own, names=tuple(dict.fromkeys(tags)) or own.names)
