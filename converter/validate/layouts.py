"""Checks what OCI layouts say about their images, and the files below ``blobs`` (image-spec 1.1.1, image-layout.md)."""

from __future__ import annotations

import re

from converter.errors import NotFound, unless_invalid
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest
from converter.model.document import lenient_member
from converter.model.reference import FULL_NAME, REF_NAME
from converter.stores import oci_index
from converter.stores.oci_index import INDEX
from converter.stores.oci_layout import OciLayout
from converter.streams.blocks import digest_and_size
from converter.validate.blobs import BlobReader
from converter.validate.findings import path_of_member
from converter.validate.image_walk import ImageWalk

_PART = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")
_BLOBS = "blobs/"


class LayoutCheck:
    """A layout that was opened; ``walk`` reads what its descriptors name."""

    def __init__(self, layout: OciLayout, blobs: BlobReader, walk: ImageWalk) -> None:
        self._layout = layout
        self._findings = blobs.findings
        self._walk = walk

    def run(self, name: str = "") -> None:
        """Check everything or, with a name, that image and its attachments. Raises NotFound for the name."""
        rows = lenient_member(self._layout.index, "manifests", list)
        entries = [
            self._walk.descriptor(row, path_of_member(INDEX, f"/manifests/{number}")) for number, row in enumerate(rows)
        ]
        self._names(entries)
        named = self._digests_named(name, entries) if name else None
        for number, entry in enumerate(entries):
            if entry is not None and (named is None or entry.digest in named):
                self._walk.item(entry, path_of_member(INDEX, f"/manifests/{number}"), f"manifests/{number}")
        self._attached(entries)
        if not name:
            self._unnamed()

    def _names(self, entries: list[Descriptor | None]) -> None:
        seen: dict[tuple[str, str, str], int] = {}
        for number, entry in enumerate(entries):
            short = "" if entry is None else entry.annotations.get(REF_NAME, "")
            if entry is None or not short:
                continue
            claim = path_of_member(INDEX, f"/manifests/{number}/annotations/{REF_NAME}")
            if not _NAME.fullmatch(short):
                fact = (
                    f'invalid name "{short[:100]}": expected letters and digits, with one of -._:@+/ or -- in between'
                )
                self._findings.add("oci/layout-name-syntax", claim, fact)
            key = short, entry.annotations.get(FULL_NAME, ""), str(entry.platform)
            if key in seen:
                fact = f'entry {seen[key]} has the name "{short[:100]}", too'
                self._findings.add("oci/layout-name", claim, fact)
            seen.setdefault(key, number)

    def _digests_named(self, name: str, entries: list[Descriptor | None]) -> frozenset[Digest]:
        """The digests of the image of that name and of its referrers."""
        try:
            root = self._layout.resolve(name).digest
        except NotFound:
            if self._findings.invalid:
                # The name may be in what cannot be read.
                return frozenset()
            raise
        about = [one.descriptor.digest for one in self._layout.attachments(root)]
        about += [entry.digest for entry in entries if entry is not None and oci_index.attached_to(entry) == root]
        return frozenset((root, *about))

    def _attached(self, entries: list[Descriptor | None]) -> None:
        """Compare the subject that an attachment's name states with the one in its document."""
        for number, entry in enumerate(entries):
            named = None if entry is None else oci_index.attached_to(entry)
            seen = None if entry is None else self._walk.seen.get(entry.digest)
            if named is None or seen is None or "subject" not in seen.document:
                continue
            subject = unless_invalid(Descriptor.from_json, seen.document["subject"])
            if subject is not None and subject.digest != named:
                path = f"manifests/{number}/manifest#/subject/digest"
                fact = f"subject is {subject.digest}: the attachment's name says {named}"
                self._findings.add("image/referrer", path, fact)

    def _unnamed(self) -> None:
        """Check blobs that no descriptor names against their file names."""
        for name in self._layout.medium.names():
            if not name.startswith(_BLOBS):
                continue
            digest = _digest_of_name(name)
            if digest is None:
                fact = f'invalid name "{name[len(_BLOBS) :][:150]}": expected ALGORITHM/ENCODED, as in a digest'
                self._findings.add("oci/blob-name", name, fact)
            elif digest not in self._walk.read and digest.algorithm in HEX_LENGTHS:
                with self._findings.at(name):
                    found = digest_and_size(self._layout.medium.open(name), digest.algorithm).digest()
                    if found != digest:
                        fact = f"digest mismatch: expected {digest}, computed {found}"
                        self._findings.add("oci/blob-content", name, fact)


def _digest_of_name(name: str) -> Digest | None:
    algorithm, _, encoded = name[len(_BLOBS) :].partition("/")
    return unless_invalid(Digest.parse, f"{algorithm}:{encoded}")
