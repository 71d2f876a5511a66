"""App container images, one file each, with what refers to them in files next to them (appc 0.8.11, spec/aci.md).

The digest of an image is that of the file as stored, because signatures refer to it; the image ID is a different
digest. The signature is ``NAME.aci.asc``; manifests, for which an ACI has no room, are in ``NAME.aci.origin``, the tar
of a layout.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from converter.errors import NotFound, Unsupported, within
from converter.model import media_types as types
from converter.model.content import Blocks, Known, known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.model.limits import current_limits
from converter.model.reference import STDIN, Location
from converter.stores import require_new
from converter.stores.base_source import SingleSource
from converter.stores.disk import disk_errors, regular_size, walk_directory
from converter.stores.media import DirectoryMedium, OneImageSink, write_blob
from converter.stores.media.file_target import OutFile, TarTarget
from converter.stores.media.tar_medium import TarMedium, display_name, open_bytes
from converter.stores.oci_layout import OciLayout, OciSink
from converter.stores.options import Kind, StoreOptions, is_stream
from converter.streams.blocks import COPY_BLOCK, digest_and_size, file_blocks, on_error

_STORED = r"sha512-[0-9a-f]{64}"


def open_source(location: Location, _options: StoreOptions) -> AciFile:
    """Read an ACI; ``-`` is standard input."""
    return AciFile(Path(location.path))


def open_sink(location: Location, options: StoreOptions) -> AciSink:
    """Write an ACI; ``-`` is standard output."""
    return AciSink(location, options)


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes or removes, with what they hold, except dependencies, whose digests name them."""
    path = Path(location.path)
    if is_stream(path):
        return {path: "aci"}
    return {path: "aci", signature_path(path): "signature", origin_path(path): "oci-archive"}


def files_beside(text: str) -> tuple[Path, ...]:
    """The files next to an ACI that reading it may read as well: what refers to it, and what it was layered over."""
    path = Path(text)
    return () if text in STDIN else (signature_path(path), origin_path(path), *paths_below(path))


def whole_acis_below(folder: Path) -> set[Path]:
    """As ``acis_below``, without those that others are layered over."""
    found = acis_below(folder)
    return set(found).difference(*map(paths_below, found))


class AciFile(SingleSource):
    """The single image of a file, whose content is not examined here."""

    def __init__(self, path: Path, source: int | None = None, closed: Callable[[], None] = lambda: None) -> None:
        """``source`` is the file if it is open already, which is closed at the end, before ``closed`` is called. Raises
        NotFound, StorageFailed.
        """
        self.path = path
        self.where = display_name(path)
        self._files = ExitStack()
        self._files.callback(closed)
        fd = open_bytes(path) if source is None else source
        self._file = self._files.enter_context(os.fdopen(fd, "rb", buffering=0))

    def close(self) -> None:
        self._files.close()

    def fetch(self, descriptor: Descriptor) -> Known:
        if descriptor.digest == self.root.digest:
            return Known(descriptor.sized(self.size), self.unverified)
        if self._signature is not None and self._signature.descriptor.digest == descriptor.digest:
            return Known(descriptor.sized(self._signature.descriptor.size), self._signature.raw)
        if (below := self._below(descriptor)) is not None:
            return below
        if self._beside is None:
            raise NotFound(f"blob unknown: {descriptor.digest} in {self.where}")
        return self._beside.fetch(descriptor)

    def unverified(self) -> Blocks:
        """The bytes of the file, which is not read for its digest first: for telling what it may be, and no more."""
        return file_blocks(self._file.fileno(), 0, self.size, COPY_BLOCK)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """The detached signature next to the file, if any, and the attachments in the layout next to it."""
        if self._signature is not None and subject == self.root.digest:
            yield Attachment(subject=subject, descriptor=self._signature.descriptor)
        if self._beside is not None:
            yield from self._beside.attachments(subject)

    def _below(self, descriptor: Descriptor) -> Known | None:
        """An image that a layered image depends on, if it is next to the file."""
        if descriptor.media_type != types.ACI or str(self.path) in STDIN:
            return None
        path = below_path(self.path, descriptor.digest)
        return DirectoryMedium(path.parent).blob(descriptor, (path.name,))

    @cached_property
    def size(self) -> int:
        """Bytes of the file. Raises LimitExceeded, StorageFailed."""
        with disk_errors(self.path, "read"):
            size = os.fstat(self._file.fileno()).st_size
        # Checked before reading: a sparse file may claim a terabyte.
        current_limits().require("layer", size, "bytes")
        return size

    @cached_property
    def root(self) -> Descriptor:
        """The image; the file is read once, for its digest."""
        digest = digest_and_size(self.unverified()).digest()
        return Descriptor(media_type=types.ACI, digest=digest, size=self.size)

    @cached_property
    def _signature(self) -> Known | None:
        path = signature_path(self.path)
        if str(self.path) in STDIN or regular_size(path) is None:
            return None
        return known_bytes(DirectoryMedium(path.parent).read_document(path.name), types.PGP_SIGNATURE)

    @cached_property
    def _beside(self) -> OciLayout | None:
        path = origin_path(self.path)
        if str(self.path) in STDIN or regular_size(path) is None:
            return None
        with within(path.name):
            return self._files.enter_context(OciLayout(TarMedium(path)))


class AciSink(OneImageSink):
    """Writes an image to its file, its signature next to it, and the images it depends on next to both.

    A dependency is named after the image and the start of its own digest: ``app.aci`` needs ``app-0123456789ab.aci``.
    The image itself appears last, when all that it needs is there. Standard output holds a single image only. A
    signature or an origin record next to it that refers to another image is removed.
    """

    accepts = frozenset((types.ACI, types.PGP_SIGNATURE))
    place = "ACI"

    def __init__(self, location: Location, options: StoreOptions) -> None:
        self._location = location
        self._path = Path(location.path)
        self._options = options
        self._parts: dict[Digest, tuple[OutFile, Descriptor]] = {}
        """The blobs taken, each with its file, which is not yet renamed."""
        self._signature: Digest | None = None
        self._attached: list[Attachment] = []

    def __enter__(self) -> Self:
        self._file().probe()
        require_new(self._location, self._options)
        return self

    def _abort(self) -> None:
        for file, _ in self._parts.values():
            file.abort()

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self._parts

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        file = self._file()
        file.begin()
        with on_error(file.abort):
            made = write_blob(blocks, expected, file.write).retyped(media_type)
        if self._parts.setdefault(made.digest, (file, made))[0] is not file:
            file.abort()
        return made

    def attach(self, attachment: Attachment) -> None:
        """Add a detached signature or a manifest next to the image; raises Unsupported for anything else."""
        media_type = attachment.descriptor.media_type
        if media_type in types.MANIFESTS:
            self._attached.append(attachment)
        elif media_type == types.PGP_SIGNATURE:
            self._signature = attachment.descriptor.digest
        else:
            raise Unsupported(f"an ACI cannot have an attachment of type {media_type}")

    def _commit(self) -> None:
        image = self._root_among(self._parts)
        root, _ = self._parts[image]
        needed = {digest: file for digest, (file, part) in self._parts.items() if part.media_type == types.ACI}
        needed.pop(image, None)
        if root.piped:
            if needed:
                raise Unsupported(
                    f"cannot write an image with {len(needed)} dependencies to {root.shown}: expected a file"
                )
            if self._attached:
                raise Unsupported(f"cannot write an attachment to {root.shown}: expected a file")
            root.appear()
            return
        require_new(self._location, self._options)
        for digest, file in needed.items():
            below = below_path(self._path, digest)
            if not _has_content(below, digest):
                file.appear(below.name)
        signature, origin, stale = signature_path(self._path), origin_path(self._path), []
        if self._signature is None:
            stale.append(signature)
        else:
            self._parts[self._signature][0].appear(signature.name)
        if self._attached:
            self._write_layout(origin)
        else:
            stale.append(origin)
        for path in stale:
            if regular_size(path) is not None and not _has_content(self._path, image):
                # It refers to the replaced image: next to the new one, it would make that look tampered with.
                with disk_errors(path, "remove"):
                    path.unlink()
        root.appear()

    def _write_layout(self, path: Path) -> None:
        """Write the manifests that refer to the image, with all that they name, to a layout in a tar."""
        target = TarTarget(path, self._options.overwriting("oci-archive"))
        with OciSink(target, ordered=True) as layout:
            for _, (part, made) in sorted(self._parts.items()):  # threads put them in any order
                if made.media_type not in self.accepts:
                    layout.put(file_blocks(part.fd, 0, made.size, COPY_BLOCK), made.media_type, made)
            for attachment in self._attached:
                layout.attach(attachment)

    def _file(self) -> OutFile:
        return OutFile(self._path, self._options.overwriting("aci"))


def _has_content(path: Path, digest: Digest) -> bool:
    """Whether a regular file has that content."""
    if regular_size(path) is None:
        return False
    with AciFile(path) as file:
        return file.resolve("").digest == digest


def signature_path(path: Path) -> Path:
    """The path of an image's signature (spec/aci.md, "Image Archives": the same name and ``.asc``)."""
    return Path(f"{path}.asc")


def origin_path(path: Path) -> Path:
    """The path of the manifests that refer to an image."""
    return Path(f"{path}.origin")


def acis_below(folder: Path) -> list[Path]:
    """The files in a folder, and in those within it, that have the name of an ACI; raises NotFound, StorageFailed.

    Any that ends in ``.aci``, and those of rkt's store: ``cas/blob/sha512/XX/sha512-…``, with the first 64 digits of
    the image ID (rkt, store/imagestore/store.go). ``cas/imageManifest`` has its manifest under the same name.
    """
    found = []
    for place, _, names in walk_directory(folder):
        for path in map(Path(place).joinpath, names):
            stored = re.fullmatch(_STORED, path.name) and "imageManifest" not in path.parts
            if stored or path.suffix == ".aci":
                found.append(path)
    return sorted(found)


def below_path(path: Path, digest: Digest) -> Path:
    """The path of an image that the layered one at ``path`` depends on."""
    return path.with_name(f"{path.name.removesuffix('.aci')}-{digest.encoded[:12]}.aci")


def paths_below(path: Path) -> list[Path]:
    """The files next to ``path`` whose names are as ``below_path`` makes them."""
    start = glob.escape(path.name.removesuffix(".aci"))
    return sorted(path.parent.glob(f"{start}-{'[0-9a-f]' * 12}.aci"))
