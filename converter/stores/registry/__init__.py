"""Registries: reads and writes any that speak the distribution API (distribution-spec 1.1; Docker Registry v2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from converter.errors import ConverterError, Invalid, NotFound, Usage
from converter.model.content import Known, blocks_of, foreign_layer
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.model.reference import ImageName, Location, is_of_attachment
from converter.ports import Sink, Source
from converter.stores.base_source import NameListing
from converter.stores.options import StoreOptions
from converter.stores.registry import lists
from converter.stores.registry.client import Client, Missing
from converter.stores.registry.download import blob_size, download_blob, has_blob
from converter.stores.registry.manifests import MANIFEST_TYPES, Manifests, reference_in
from converter.stores.registry.sink import RegistrySink
from converter.stores.registry.urls import refuse_link_local
from converter.streams.blocks import Block, peek

_HOST_ALONE = r"(localhost|[0-9]+(\.[0-9]+){3})(:[0-9]+)?"
"""What is a host of a registry, though in form an image of Docker Hub with its tag."""
_SHOWN = 20


def open_source(location: Location, options: StoreOptions) -> Source:
    """The repository of ``docker://HOST/REPO[:TAG|@DIGEST]``, or the list of all repositories of ``docker://HOST/`` or
    below ``docker://HOST/PREFIX/``; makes no request yet. Raises Invalid.
    """
    if location.is_registry:
        return _all_of(location, options)
    return RegistrySource(_image_name(location), options)


def _all_of(location: Location, options: StoreOptions) -> NameListing:
    below = ImageName.parse(f"{location.path}x")
    prefix = below.repository.removesuffix("x")

    def listed() -> tuple[str, ...]:
        with Client.of(replace(below, repository=""), options) as client:
            names = lists.list_names(client, "_catalog", "repositories")
            return tuple(f"{below.host}/{name}" for name in names if name.startswith(prefix))

    return NameListing(f"docker://{location.path}", f"docker://{location.path}NAME", listed)


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """The same, for writing."""
    return RegistrySink(_image_name(location), options)


def _image_name(location: Location) -> ImageName:
    if re.fullmatch(_HOST_ALONE, location.path):
        raise Usage(f"{location} names no repository: {location}/REPO[:TAG], or {location}/ for all there are")
    return ImageName.parse(location.path)


class RegistrySource(Source):
    """Reads one repository. Documents are fetched when requested, blobs when opened.

    A missing blob is therefore reported only when it is read.
    """

    local = False

    def __init__(self, name: ImageName, options: StoreOptions) -> None:
        self._name = name.tagged()
        self._hints = options.hints
        self._client = Client.of(name, options)
        self._manifests = Manifests(self._client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def names(self) -> tuple[str, ...]:
        """Every tag of the repository. Later reads in the same run assume that there are no others."""
        found = tuple(lists.list_tags(self._client))
        self._client.remembered.list(found)
        return found

    def resolve(self, name: str) -> Descriptor:
        """The image with a tag or digest; an empty name means that of the reference, ``latest`` by default.

        A schema 1 manifest has the digest of its bytes here, not that of its payload.
        """
        reference = reference_in(name) if name else self._name
        tag = reference.digest or reference.tag
        try:
            return self._manifests.get(tag).descriptor
        except Missing as error:
            if isinstance(tag, Digest):
                raise NotFound("manifest unknown: the registry has none with this digest") from error
            there = f" ({self._tags_hint()})" if self._hints else ""
            raise NotFound(f'no tag "{tag}" in {self._name.name}{there}') from error

    def fetch(self, descriptor: Descriptor) -> Known:
        """Documents come from the manifests endpoint, other blobs from the blobs endpoint; foreign layers as
        ``download_foreign`` says.
        """
        if descriptor.data is not None and descriptor.size == len(descriptor.data):
            return Known(descriptor, blocks_of(descriptor.data))
        document = self._manifests.known.get(descriptor.digest)
        if document is None and descriptor.media_type in MANIFEST_TYPES:
            document = self._manifests.get(descriptor.digest)
        if document is not None:
            return Known(descriptor.sized(document.descriptor.size), document.raw)
        if descriptor.urls and not has_blob(self._client, descriptor):
            if not self._client.options.download_foreign:
                return foreign_layer(descriptor, self._name.name)
            return Known(descriptor, lambda: self._foreign(descriptor))
        if descriptor.size < 0:
            size = blob_size(self._client, descriptor.digest)
            if size is None:
                raise NotFound(f"blob unknown: {descriptor.digest} in {self._name.name}")
            if size < 0:
                raise Invalid(f"the registry does not say how large {descriptor.digest} is (no Content-Length)")
            descriptor = descriptor.sized(size)
        url = self._client.url(f"blobs/{descriptor.digest}")
        return Known(descriptor, lambda: download_blob(self._client, url, descriptor.size))

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """Referrers, by the API or the fallback tag, and what cosign tagged."""
        return lists.attachments(self._client, self._manifests, subject)

    def _foreign(self, descriptor: Descriptor) -> Iterator[Block]:
        """A layer from the first URL that has it. The URLs come from a document, so each is checked first."""
        failures: list[ConverterError] = []
        for url in descriptor.urls:
            refuse_link_local(url)
            try:
                _, blocks = peek(download_blob(self._client, url, descriptor.size), 1)
            except ConverterError as error:
                failures.append(error)
                continue
            yield from blocks
            return
        raise failures[-1]

    def _tags_hint(self) -> str:
        try:
            named = (tag for tag in lists.list_tags(self._client) if not is_of_attachment(tag))
            found = list(islice(named, _SHOWN + 1))
        except NotFound:
            return "no such repository"
        except ConverterError:
            return "its tags cannot be listed"
        if not found:
            return "it has no tags"
        more = ", …" if len(found) > _SHOWN else ""
        return f"available: {', '.join(found[:_SHOWN])}{more}"
