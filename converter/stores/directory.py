"""The directory of an image that skopeo and podman write as ``dir:`` (containers/image, docs/containers-transports.5).

``manifest.json`` is the root; blobs are named by the hex of their digests, the manifests of an index
``HEX.manifest.json``; signatures are files ``signature-N``, and ``HEX.signature-N`` for an image of an index. Other
attachments are stored among the blobs and listed in ``attachments.json``, an OCI index that only this program uses and
others ignore.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
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
from converter.stores.disk import disk_errors, names_in, regular_size, sync_directory, sync_tree, write_file
from converter.stores.media import DirectoryMedium, OneImageSink, TargetSink
from converter.stores.media.directory_target import BlobStaging
from converter.stores.oci_layout import LayoutReferrers, fetch_blob
from converter.stores.options import Inputs, StoreOptions

MANIFEST, VERSION, ATTACHMENTS = "manifest.json", "version", "attachments.json"
_DOCUMENTS = types.MANIFESTS | types.INDEXES | {types.DOCKER_SCHEMA1, types.DOCKER_SCHEMA1_SIGNED}
VERSION_CONTENT = b"Directory Transport Version: 1.1\n"
_VERSION = rb"Directory Transport Version: 1\.[0-9]+\n?"
_OWN_FILE = (
    r"[0-9a-f]{64,128}(\.manifest\.json|\.signature-[0-9]+)?|signature-[0-9]+|(manifest|attachments)\.json|version"
)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def open_source(location: Location, options: StoreOptions) -> DirectoryImage:
    """The one image of a directory."""
    return DirectoryImage(Path(location.path), options.problems)


def open_sink(location: Location, options: StoreOptions) -> DirectorySink:
    """A new directory, which replaces an existing ``dir:`` image unless that is read."""
    return DirectorySink(Path(location.path), options.inputs)


def signature_names(subject: Digest, root: Digest) -> Iterator[str]:
    """The names for a subject's signatures, by number: just ``signature-N`` for the root itself."""
    start = "" if subject == root else f"{subject.encoded}."
    return (f"{start}signature-{number}" for number in itertools.count(1))


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
        for name in signature_names(subject, self._root.digest):
            if self._medium.size(name) is None:
                break
            data = self._medium.read_document(name)
            descriptor = Descriptor.of(data, types.DIR_SIGNATURE)
            self._named[descriptor.digest] = name
            yield Attachment(subject=subject, descriptor=descriptor)
        yield from self._listed.to(subject)

    @cached_property
    def _listed(self) -> LayoutReferrers:
        entries: tuple[Descriptor, ...] = ()
        if self._medium.size(ATTACHMENTS) is not None:
            data = self._medium.read_document(ATTACHMENTS)
            entries = oci_index.index_entries(oci_index.read_index(data, place=ATTACHMENTS), place=ATTACHMENTS)
        return LayoutReferrers(entries, self.fetch)


class SwappedDirectory(BlobStaging):
    """The directory of a ``dir:`` image, flat: it appears at once, or in one exchange with the one that it replaces."""

    expected = "one or a new name"

    def __init__(self, path: Path, inputs: Inputs) -> None:
        """Only an empty directory, or a ``dir:`` image, is replaced. Files that are not the image's stay, and none of
        its own may be one of ``inputs``.
        """
        super().__init__(path)
        self._inputs = inputs

    def begin(self) -> None:
        """Start staging. Raises Invalid if something else is there, StorageFailed."""
        with disk_errors(self.path, "write"):
            there = self.there()
            if there and not is_image(self.path):
                raise Invalid(f"{self.shown} is neither empty nor a dir: image: choose another name")
            for path in map(self.path.joinpath, there):
                if re.fullmatch(_OWN_FILE, path.name):
                    self._inputs.refuse(path, path.stat())
            self.stage()

    def commit(self, root: str, documents: Mapping[str, bytes]) -> None:
        """Make the file ``root`` the manifest, add documents, and take the place by one rename or exchange; if the file
        system has none, file by file, the manifest last.
        """
        with disk_errors(self.path, "write"):
            (self.staged / root).rename(self.staged / MANIFEST)
            for name, data in documents.items():
                write_file(self.staged / name, data)
            sync_tree(self.staged)
            if not self.renamed() and not self._exchanged():
                self._move()

    def _exchanged(self) -> bool:
        """Swap the two directories; the old one is then in the staging place, and removed with it, but not with files
        that are of no image.
        """
        import ctypes

        if self.inside or not is_image(self.path):
            return False
        if not all(re.fullmatch(_OWN_FILE, name) for name in self.there()):
            return False
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is None:
            return False
        paths = os.fsencode(self.staged), os.fsencode(self.path)
        if rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) != 0:
            return False
        sync_directory(self.path.parent)
        return True

    def _move(self) -> None:
        if self.there() and not is_image(self.path):
            raise Invalid(f"{self.shown} was changed by something else: it is no dir: image any more")
        names = names_in(self.staged)
        for name in sorted(names, key=lambda name: name == MANIFEST):
            (self.staged / name).rename(self.path / name)
        sync_directory(self.path)
        for name in names_in(self.path):
            if name not in names and re.fullmatch(_OWN_FILE, name):
                (self.path / name).unlink()


class DirectorySink(TargetSink[SwappedDirectory], OneImageSink):
    """Writes a directory with one image or index. Any number of threads may ``put``."""

    place = "directory"

    def __init__(self, path: Path, inputs: Inputs) -> None:
        super().__init__(SwappedDirectory(path, inputs))
        self._names: dict[Digest, str] = {}
        self._signed: dict[Digest, dict[Digest, None]] = {}
        """The images that are signed, each with its signatures in their order."""
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
        suffix = ".manifest.json" if media_type in _DOCUMENTS else ""
        made = self._target.take(blocks, expected, lambda digest: f"{digest.encoded}{suffix}")
        self._names[made.digest] = f"{made.digest.encoded}{suffix}"
        return made.retyped(media_type)

    def attach(self, attachment: Attachment) -> None:
        """Number a signature, or list a manifest; raises Unsupported for anything else."""
        media_type = attachment.descriptor.media_type
        if media_type == types.DIR_SIGNATURE:
            self._signed.setdefault(attachment.subject, {})[attachment.descriptor.digest] = None
        elif media_type in types.MANIFESTS | types.INDEXES:
            self._listed.append(oci_index.attachment_entry(attachment))
        else:
            raise Unsupported(f"a directory cannot have an attachment of type {media_type}")

    def _commit(self) -> None:
        root = self._root_among(self._names)
        documents = {VERSION: VERSION_CONTENT}
        for subject, signatures in self._signed.items():
            for name, signature in zip(signature_names(subject, root), signatures):
                documents[name] = self._signatures[signature]
        if self._listed:
            documents[ATTACHMENTS], _ = oci_index.render_index(None, self._listed)
        self._target.commit(self._names[root], documents)
