"""Opens what a reference names as it is: the stores used for conversion would refuse what is to be examined here."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from converter.errors import ConverterError, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import read
from converter.model.image import Attachment
from converter.model.reference import STDIN, Location
from converter.ports import Source
from converter.stores import StoreOptions, oci_index, open_source
from converter.stores.directory import MANIFEST, VERSION, fetch_blob, is_image
from converter.stores.docker_archive import manifest_json, repositories
from converter.stores.media import Medium
from converter.stores.media.archive import TarMedium, open_bytes
from converter.stores.media.directory import DirectoryMedium
from converter.streams.blocks import COPY_BLOCK, file_blocks
from converter.streams.detect import HEAD, detect, start_of
from converter.validate import UNKNOWN
from converter.validate.acis import check_aci
from converter.validate.blobs import Blobs
from converter.validate.findings import Findings
from converter.validate.layouts import LayoutCheck
from converter.validate.saved import SavedCheck
from converter.validate.walk import Walk


class Examination:
    """Examines everything that a reference names, and reports what is wrong with it."""

    def __init__(self, location: Location, options: StoreOptions, blobs: Blobs) -> None:
        self._location = location
        self._options = options
        self._blobs = blobs
        self._path = Path(location.path)

    def run(self) -> str:
        """Examine the image, and return its kind.

        Raises NotFound if there is nothing, and Unreachable, Denied, StorageFailed, Usage if it could not be examined.
        """
        match self._location.transport:
            case "":
                return self._bare()
            case "aci":
                return self._aci()
            case "dir":
                return self._on(self._directory)
            case "docker-archive":
                return self._on(self._saved)
            case "oci" | "oci-archive":
                return self._on(self._layout)
        with open_source(self._location, self._options) as source:
            kind = examine_source(source, self._location.name, self._blobs)
        # An Engine's images count as Docker's even if it stores OCI manifests.
        return "docker-image" if self._location.transport == "docker-daemon" else kind

    def _on(self, look: Callable[[Medium], str], file: int | None = None) -> str:
        """Open the medium, or use ``file`` if it is open already, and apply ``look``.

        What cannot be read as a medium is a finding, and its kind is unknown.
        """
        try:
            with closing(self._medium(file)) as medium:
                return look(medium)
        except (Invalid, Unsupported) as error:
            self._blobs.findings.failed("", error)
            return UNKNOWN

    def _medium(self, file: int | None) -> Medium:
        """A directory, or a tar of one; ``oci:`` is always a directory."""
        limits = self._options.limits
        if file is not None:
            return TarMedium(self._path, limits, os.dup(file))
        if self._location.transport == "oci" or self._path.is_dir():
            return DirectoryMedium(self._path, limits)
        return TarMedium(self._path, limits)

    def _layout(self, medium: Medium) -> str:
        check = LayoutCheck(medium, self._blobs)
        check.run(self._location.name)
        return _kind(check.walk)

    def _saved(self, medium: Medium) -> str:
        name = self._location.name
        try:
            SavedCheck(medium, self._blobs).run(name)
        except NotFound:
            if not name.startswith("@"):
                raise
            # It may be the position of an image that index.json alone has, such as an index that was saved by its ID.
            with open_source(self._location, self._options) as source:
                examine_source(source, name, self._blobs)
        return "docker-image"

    def _directory(self, medium: Medium) -> str:
        findings = self._blobs.findings
        if medium.size(VERSION) is not None and not is_image(self._path):
            findings.add("dir/version", VERSION, f"got another version in {medium.where}, want 1.x")
        try:
            data = medium.read_document(MANIFEST)
        except ConverterError as error:
            findings.failed(MANIFEST, error)
            return UNKNOWN
        value = read(data, self._options.limits).value
        said = value.get("mediaType") if isinstance(value, dict) else None
        root = Descriptor.of(data, said if isinstance(said, str) else "")
        walk = Walk(lambda descriptor: fetch_blob(medium, descriptor, {root.digest: MANIFEST}), self._blobs)
        walk.item(root, MANIFEST, "")
        return _kind(walk)

    def _aci(self) -> str:
        file = open_bytes(self._path)
        try:
            return self._aci_in(file)
        finally:
            os.close(file)

    def _aci_in(self, file: int) -> str:
        findings, most = self._blobs.findings, self._options.limits.layer
        if str(self._path) not in STDIN and self._path.suffix != ".aci":
            findings.add("aci/archive-suffix", "", f"got the name {self._path.name!r}, want one that ends in .aci")
        size = os.fstat(file).st_size
        if size > most:
            findings.add("image/limit", "", f"got {size} bytes, want at most {most} (limit: layer)")
        else:
            check_aci(lambda: file_blocks(file, 0, size, COPY_BLOCK), self._blobs)
        return "aci-image"

    def _bare(self) -> str:
        """Examine a bare path: its content tells the format, or the suffix ``.aci`` does."""
        if self._path.is_dir():
            return self._on(self._directory if is_image(self._path) else self._told_by_names)
        if self._path.suffix == ".aci":
            return self._aci()
        file = open_bytes(self._path)
        try:
            head = os.pread(file, HEAD, 0)
            if detect(head) in {None, "openpgp"}:
                fact = f"got data that starts with {start_of(head)}, want an archive, perhaps compressed"
                self._blobs.findings.add("image/unreadable", "", fact)
                return UNKNOWN
            return self._on(lambda medium: self._told_by_names(medium, file), file)
        finally:
            os.close(file)

    def _told_by_names(self, medium: Medium, file: int | None = None) -> str:
        names = set(medium.names())
        if names & {manifest_json.NAME, repositories.NAME}:
            return self._saved(medium)
        if names & {oci_index.LAYOUT, oci_index.INDEX}:
            return self._layout(medium)
        if file is not None and any(name.split("/")[0] in {"manifest", "rootfs"} for name in names):
            return self._aci_in(file)
        fact = f"got {medium.where}, which is no image of a known kind, want TRANSPORT:PATH"
        self._blobs.findings.add("image/unreadable", "", fact)
        return UNKNOWN


def examine_source(source: Source, name: str, blobs: Blobs) -> str:
    """The same for an image in an open source."""
    findings = blobs.findings
    try:
        root = source.resolve(name)
    except Invalid as error:
        findings.failed("", error)
        return UNKNOWN
    if root.media_type == types.ACI:
        check_aci(source.fetch(root).raw, blobs)
        return "aci-image"
    walk = Walk(source.fetch, blobs)
    walk.item(root, "manifest", "")
    try:
        attached = list(source.attachments(root.digest))
    except ConverterError as error:
        findings.failed("referrers", error)
        attached = []
    for number, attachment in enumerate(attached):
        if attachment.descriptor.media_type in types.MANIFESTS | types.INDEXES:
            _attached(attachment, f"referrers/{number}", walk, findings)
    return _kind(walk)


def _attached(attachment: Attachment, place: str, walk: Walk, findings: Findings) -> None:
    descriptor = attachment.descriptor
    walk.item(descriptor, place, place)
    seen = walk.seen.get(descriptor.digest)
    subject = None if seen is None else seen.document.get("subject")
    told = subject.get("digest") if isinstance(subject, dict) else None
    if seen is not None and told != str(attachment.subject) and (subject is not None or not attachment.tag):
        fact = f"got the subject {str(told)[:150]}, want {attachment.subject}, which it is attached to"
        findings.add("image/referrer", f"{place}/manifest", fact)


def _kind(walk: Walk) -> str:
    """The kind of the image, by the first document that was read."""
    for seen in walk.seen.values():
        return "docker-image" if "docker" in seen.descriptor.media_type else "oci-image"
    return "oci-image"
