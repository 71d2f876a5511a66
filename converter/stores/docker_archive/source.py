"""The images of an archive, whichever table of contents lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Self

from converter.errors import NotFound, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.limits import Limits
from converter.stores import oci_index
from converter.stores.catalogue import Catalogue, Offer, in_full
from converter.stores.docker_archive import manifest_json, repositories
from converter.stores.docker_archive.blobs import Blobs
from converter.stores.docker_archive.listed import Listed, Members, listed
from converter.stores.docker_archive.manifest_json import Saved
from converter.stores.media import Medium
from converter.stores.oci_layout import Attached, fetch_blob


@frozen(kw_only=False)
class Contents:
    """The archive's images, with stand-ins for roots that are assembled only on demand."""

    catalogue: Catalogue
    roots: dict[Digest, Callable[[], Descriptor]]


class DockerArchive:
    """Reads an archive. The manifest of an image is kept if the archive has it, otherwise one is made up."""

    local = True
    unpacked = True
    losses = ()

    def __init__(self, medium: Medium, limits: Limits) -> None:
        """Raises Invalid if it is not an archive of images. Leaving the source closes the medium."""
        self._medium = medium
        self._limits = limits
        self._blobs = Blobs(medium, limits)
        self._made: dict[Digest, Descriptor] = {}
        try:
            self._entries = self._read_index()
            self._attached = Attached(self._entries, lambda entry: fetch_blob(medium, entry).read(limits))
            self._contents = self._read_contents()
        except BaseException:
            medium.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._medium.close()

    def names(self) -> tuple[str, ...]:
        return self._contents.catalogue.names()

    def resolve(self, name: str) -> Descriptor:
        """As in Source; the root's annotations state the name that was found."""
        stand_in = self._contents.catalogue.resolve(name)
        if stand_in.digest not in self._made:
            self._made[stand_in.digest] = self._contents.roots[stand_in.digest]()
        root = self._made[stand_in.digest]
        names = [each for each in self._contents.catalogue.names_of(stand_in) if in_full(each)]
        same = [each for each in names if in_full(each) == in_full(name)]
        if names:
            return replace(root, annotations=oci_index.docker_annotations((same or names)[0]))
        return root

    def fetch(self, descriptor: Descriptor) -> Known:
        return self._blobs.known(descriptor) or fetch_blob(self._medium, descriptor)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """What ``index.json`` lists as referring to the subject."""
        return self._attached.to(subject)

    def _read_index(self) -> tuple[Descriptor, ...]:
        """The entries of ``index.json``. The Engine may write it without entries, and old tools without a layout."""
        if self._medium.size(oci_index.INDEX) is None:
            return ()
        saved = self._medium.size(manifest_json.NAME) is not None
        if saved and self._medium.size(oci_index.LAYOUT) is None:
            return ()
        oci_index.check_layout(self._medium)
        with within(oci_index.INDEX):
            data = self._medium.read_document(oci_index.INDEX)
            if saved and load_object(data, self._limits).get("manifests") is None:
                return ()
            return oci_index.entries(oci_index.read_index(data, self._limits))

    def _read_contents(self) -> Contents:
        if self._medium.size(manifest_json.NAME) is not None:
            with within(manifest_json.NAME):
                rows = manifest_json.read(self._medium.read_document(manifest_json.NAME), self._limits)
            return self._saved(rows)
        if self._entries:
            return self._saved(())
        with within(self._medium.where):
            return self._chains()

    def _saved(self, rows: tuple[Saved, ...]) -> Contents:
        """The rows of ``manifest.json``, and the images that ``index.json`` has besides or above them."""
        images = [entry for entry in self._entries if not self._is_attached(entry)]
        index = listed(images, lambda entry: fetch_blob(self._medium, entry), self._limits)
        roots: dict[Digest, Callable[[], Descriptor]] = {}
        stand_ins = [self._stand_in(row, index, roots) for row in rows]
        members = {stand_in.digest for stand_in in stand_ins}
        offers = []
        spoken_for: set[tuple[Digest, str]] = set()
        for group in index.groups:
            offer = _group_offer(group, rows, stand_ins)
            offers.append(offer)
            roots[offer.root.digest] = _always(group.root)
            spoken_for |= {(one, name) for one in group.manifests for name in (*offer.names, "")}
        for row, stand_in in zip(rows, stand_ins, strict=True):
            tags = tuple(tag for tag in row.tags if (stand_in.digest, tag) not in spoken_for)
            if tags or (stand_in.digest, "") not in spoken_for:
                offers.append(Offer(root=stand_in, names=tags))
        for entry in index.singles:
            if entry.digest not in members:
                offers.append(oci_index.offer(entry))
                roots[entry.digest] = _always(entry)
        # Images that are not rows, such as the unnamed index of docker save IMAGE-ID, come after the rows.
        others = (offer.root for offer in offers if offer.root.digest not in members)
        positions = (*stand_ins, *others) if rows else self._entries
        roots |= {entry.digest: _always(entry) for entry in self._entries if entry.digest not in roots}
        return Contents(Catalogue(where=self._medium.where, offers=tuple(offers), positions=positions), roots)

    def _stand_in(self, row: Saved, index: Listed, roots: dict[Digest, Callable[[], Descriptor]]) -> Descriptor:
        """The manifest that the index has for a row, or the row's config, standing in for a manifest to be made."""
        config = manifest_json.config_of(self._blobs, row)
        manifest = index.manifest_of(config.digest, row)
        if manifest is not None:
            roots[manifest.digest] = _always(manifest)
            return manifest
        roots[config.digest] = lambda: manifest_json.assemble(self._blobs, row)
        return config

    def _chains(self) -> Contents:
        roots: dict[Digest, Callable[[], Descriptor]] = {}
        offers = []
        for top, names in repositories.images(self._medium, self._limits):
            stand_in = Descriptor.of(top.encode(), types.DOCKER_SCHEMA1)
            roots[stand_in.digest] = partial(repositories.assemble, self._blobs, top, names)
            offers.append(Offer(root=stand_in, names=names))
        if not offers:
            raise NotFound("got neither manifest.json nor index.json nor repositories, want an archive of images")
        positions = tuple(offer.root for offer in offers)
        return Contents(Catalogue(where=self._medium.where, offers=tuple(offers), positions=positions), roots)

    def _is_attached(self, entry: Descriptor) -> bool:
        named = bool(oci_index.offer(entry).names)
        return oci_index.attached_to(entry) is not None or (not named and entry.digest in self._attached.subjects)


def _always(root: Descriptor) -> Callable[[], Descriptor]:
    return lambda: root


def _group_offer(group: Members, rows: tuple[Saved, ...], stand_ins: list[Descriptor]) -> Offer:
    """An index under its own names, spelled as in the rows; if it has none, under the names of its images."""
    own = oci_index.offer(group.root)
    full = {in_full(name) for name in (*own.names, *own.aliases)}
    tags = [
        tag
        for row, stand_in in zip(rows, stand_ins, strict=True)
        if stand_in.digest in group.manifests
        for tag in row.tags
        if in_full(tag) in full or not own.names
    ]
    return replace(own, names=tuple(dict.fromkeys(tags)) or own.names)
