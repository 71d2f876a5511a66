"""The directory of an image that skopeo and podman write as ``dir:`` (containers/image, docs/containers-transports.5).

``manifest.json`` is the root; blobs are named by the hex of their digests, the manifests of an index
``HEX.manifest.json``; signatures are files ``signature-N``, and ``HEX.signature-N`` for an image of an index. Other
attachments are stored among the blobs and listed in ``attachments.json``, an OCI index that only this program uses and
others ignore.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from converter.errors import Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import lenient_member, load_object
from converter.model.image import Attachment
from converter.model.problems import RAISE_FIRST, Problems
from converter.model.reference import Location
from converter.stores import oci_index
from converter.stores.base_source import SingleSource
from converter.stores.disk import regular_size
from converter.stores.media import DirectoryMedium, TargetSink
from converter.stores.media.directory_target import SwappedDirectory
from converter.stores.oci_layout import LayoutReferrers, fetch_blob
from converter.stores.options import Inputs, StoreOptions

MANIFEST, VERSION, ATTACHMENTS = "manifest.json", "version", "attachments.json"
VERSION_CONTENT = b"Directory Transport Version: 1.1\n"
_VERSION = rb"Directory Transport Version: 1\.[0-9]+\n?"
_IMAGE_FILE = (
    r"[0-9a-f]{64,128}(\.manifest\.json|\.signature-[0-9]+)?|signature-[0-9]+|(manifest|attachments)\.json|version"
)


def open_source(location: Location, options: StoreOptions) -> DirectoryImage:
    """The one image of a directory."""
    return DirectoryImage(Path(location.path), options.problems)


def open_sink(location: Location, options: StoreOptions) -> DirectorySink:
    """A new directory, which replaces an existing ``dir:`` image unless that is read."""
    return DirectorySink(Path(location.path), options.inputs)


def signature_start(subject: Digest, root: Digest) -> str:
    """What is before ``signature-N`` in the names of a subject's signatures: nothing for the root itself."""
    return "" if subject == root else f"{subject.encoded}."


def is_image(path: Path) -> bool:
    """Whether the directory's ``version`` file marks it as a ``dir:`` image."""
    if regular_size(path / VERSION) is None:
        return False
    return bool(re.fullmatch(_VERSION, DirectoryMedium(path).read_document(VERSION)))


class DirectoryImage(SingleSource):
    """Reads a directory. A missing ``version`` is accepted: old tools wrote none."""

    def __init__(self, path: Path, problems: Problems = RAISE_FIRST) -> None:
        """Reports a missing manifest, and another version."""
        self._medium = DirectoryMedium(path)
        self.where = self._medium.where
        if self._medium.size(VERSION) is not None and not is_image(path):
            expected = VERSION_CONTENT.decode().strip()
            problems.report(Invalid(f"unknown version (expected {expected!r})"), VERSION, "dir/version")
        data, media_type = b"", ""
        with problems.at(MANIFEST):
            if self._medium.size(MANIFEST) is None:
                raise NotFound(f"no such file: {self.where} is not a dir: image")
            data = self._medium.read_document(MANIFEST)
            media_type = lenient_member(load_object(data), "mediaType", str)  # if empty, the content must tell
        self._root = Descriptor.of(data, media_type)
        self._named = {self._root.digest: MANIFEST}
        """The files that are not named by their digest."""

    @property
    def root(self) -> Descriptor:
        return self._root

    def fetch(self, descriptor: Descriptor) -> Known:
        encoded = descriptor.digest.encoded
        names = (self._named.get(descriptor.digest, encoded), encoded, f"{encoded}.manifest.json")
        return fetch_blob(self._medium, descriptor, names)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """The signatures of the root, or of an image in it, by number, then the listed attachments."""
        start = signature_start(subject, self._root.digest)
        number = 1
        while self._medium.size(name := f"{start}signature-{number}") is not None:
            data = self._medium.read_document(name)
            descriptor = Descriptor.of(data, types.DIR_SIGNATURE)
            self._named[descriptor.digest] = name
            yield Attachment(subject=subject, descriptor=descriptor)
            number += 1
        yield from self._listed.to(subject)

    @cached_property
    def _listed(self) -> LayoutReferrers:
        entries: tuple[Descriptor, ...] = ()
        if self._medium.size(ATTACHMENTS) is not None:
            data = self._medium.read_document(ATTACHMENTS)
            entries = oci_index.index_entries(oci_index.read_index(data, place=ATTACHMENTS), place=ATTACHMENTS)
        return LayoutReferrers(entries, self.fetch)


class DirectorySink(TargetSink[SwappedDirectory]):
    """Writes a directory with one image or index. Any number of threads may ``put``."""

    def __init__(self, path: Path, inputs: Inputs) -> None:
        super().__init__(SwappedDirectory(path, is_image, re.compile(_IMAGE_FILE), inputs))
        self._root: Descriptor | None = None
        self._names: dict[Digest, str] = {}
        self._signed: dict[tuple[Digest, Digest], None] = {}
        """The images that are signed, each with a signature."""
        self._signatures: dict[Digest, bytes] = {}
        self._listed: list[Descriptor] = []

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self._names

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        if media_type == types.DIR_SIGNATURE:
            # Several images may have the same one, each as a file of its own.
            data = b"".join(blocks)
            signature = Descriptor.of(data, media_type, expected.digest.algorithm if expected else "sha256")
            self._signatures[signature.digest] = data
            return signature
        document = media_type in types.MANIFESTS | types.INDEXES | {types.DOCKER_SCHEMA1, types.DOCKER_SCHEMA1_SIGNED}
        suffix = ".manifest.json" if document else ""
        made = self._target.take(blocks, expected, lambda digest: f"{digest.encoded}{suffix}")
        self._names[made.digest] = f"{made.digest.encoded}{suffix}"
        return made.retyped(media_type)

    def name(self, name: str, root: Descriptor) -> None:
        """Make ``root`` the image; its name is not stored. Raises Unsupported for a second image."""
        del name
        if self._root is not None and self._root.digest != root.digest:
            raise Unsupported("cannot write two images to one directory")
        self._root = root

    def attach(self, attachment: Attachment) -> None:
        """Number a signature, or list a manifest; raises Unsupported for anything else."""
        media_type = attachment.descriptor.media_type
        if media_type == types.DIR_SIGNATURE:
            self._signed[attachment.subject, attachment.descriptor.digest] = None
        elif media_type in types.MANIFESTS | types.INDEXES:
            self._listed.append(oci_index.attachment_entry(attachment))
        else:
            raise Unsupported(f"a directory cannot have an attachment of type {media_type}")

    def _commit(self) -> None:
        if self._root is None or self._root.digest not in self._names:
            raise Invalid("no image was written to the directory")
        documents = {VERSION: VERSION_CONTENT}
        numbers: dict[Digest, int] = {}
        for subject, signature in self._signed:
            numbers[subject] = numbers.get(subject, 0) + 1
            start = signature_start(subject, self._root.digest)
            documents[f"{start}signature-{numbers[subject]}"] = self._signatures[signature]
        if self._listed:
            documents[ATTACHMENTS], _ = oci_index.render_index(None, self._listed)
        self._target.commit(self._names[self._root.digest], documents, MANIFEST)
