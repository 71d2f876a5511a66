"""Checks OCI layouts: their two documents, and the files below ``blobs`` (image-spec 1.1.1, image-layout.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converter.errors import ConverterError, Invalid, NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import HEX_LENGTHS, Digest
from converter.model.document import read
from converter.model.naming import FULL_NAME, REF_NAME
from converter.schema import check
from converter.stores import oci_index
from converter.stores.catalogue import Catalogue
from converter.stores.media import Medium
from converter.stores.oci_index import INDEX, LAYOUT
from converter.stores.oci_layout import fetch_blob, subjects
from converter.streams.verify import measured
from converter.validate.blobs import Blobs
from converter.validate.findings import member
from converter.validate.walk import Walk

_PART = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")
_BLOBS = "blobs/"


class LayoutCheck:
    """A layout on a medium. ``saved``: Docker wrote it, which also writes ``manifest.json``."""

    def __init__(self, medium: Medium, blobs: Blobs, *, saved: bool = False) -> None:
        self._medium = medium
        self._blobs = blobs
        self._findings = blobs.findings
        self._saved = saved
        self.walk = Walk(self._fetch, blobs, saved=saved)

    def run(self, name: str = "") -> None:
        """Check everything or, with a name, that image and its attachments. Raises NotFound for the name."""
        self._layout_file()
        rows = self._index()
        if rows is None:
            return
        entries = [self.walk.descriptor(row, member(INDEX, f"/manifests/{number}")) for number, row in enumerate(rows)]
        self._names(entries)
        chosen = self._chosen(entries, name) if name else None
        for number, entry in enumerate(entries):
            if entry is not None and (chosen is None or entry.digest in chosen):
                self.walk.item(entry, member(INDEX, f"/manifests/{number}"), f"manifests/{number}")
        self._attached(entries)
        if not name:
            self._unnamed()

    def _fetch(self, descriptor: Descriptor) -> Known:
        return fetch_blob(self._medium, descriptor)

    def _read(self, name: str) -> bytes | None:
        try:
            return self._medium.read_document(name)
        except ConverterError as error:
            self._findings.failed(name, error)
            return None

    def _layout_file(self) -> None:
        if self._medium.size(LAYOUT) is None:
            fact = f"got no file {LAYOUT} in {self._medium.where}, want one"
            self._findings.add("oci/layout-file", LAYOUT, fact)
        elif (data := self._read(LAYOUT)) is not None:
            self._findings.add_all(LAYOUT, check(data, "oci-layout", self._findings.profile, self._blobs.limits))

    def _index(self) -> list[Any] | None:
        """The unparsed entries; None if they cannot be read."""
        if self._medium.size(INDEX) is None:
            self._findings.add("oci/layout-index", INDEX, f"got no file {INDEX} in {self._medium.where}, want one")
            return None
        data = self._read(INDEX)
        if data is None:
            return None
        value = read(data, self._blobs.limits).value
        rows = value.get("manifests") if isinstance(value, dict) else None
        found = check(data, "oci-index", self._findings.profile, self._blobs.limits)
        # If manifest.json lists the images, the Engine writes null here.
        nothing = self._saved and isinstance(value, Mapping) and rows is None
        self._findings.add_all(INDEX, (one for one in found if not (nothing and one.path in {"", "/manifests"})))
        return rows if isinstance(rows, list) else None

    def _names(self, entries: list[Descriptor | None]) -> None:
        seen: dict[tuple[str, str, str], int] = {}
        for number, entry in enumerate(entries):
            short = "" if entry is None else entry.annotations.get(REF_NAME, "")
            if entry is None or not short:
                continue
            claim = member(INDEX, f"/manifests/{number}/annotations/{REF_NAME}")
            if not _NAME.fullmatch(short):
                fact = f"got {short[:100]!r}, want parts of letters and digits, one of -._:@+/ or -- between"
                self._findings.add("oci/layout-name-syntax", claim, fact)
            key = short, entry.annotations.get(FULL_NAME, ""), str(entry.platform)
            if key in seen:
                fact = f"got the name {short[:100]!r}, want another than that of entry {seen[key]}"
                self._findings.add("oci/layout-name", claim, fact)
            seen.setdefault(key, number)

    def _chosen(self, entries: list[Descriptor | None], name: str) -> frozenset[Digest]:
        """The digests of the image of that name and of its referrers."""
        there = [entry for entry in entries if entry is not None]
        spoken = dict(subjects(there, self._document))
        offers = [oci_index.offer(entry) for entry in there if oci_index.attached_to(entry) is None]
        images = tuple(one for one in offers if one.names or one.root.digest not in spoken)
        catalogue = Catalogue(where=self._medium.where, offers=images, positions=tuple(there))
        try:
            root = catalogue.resolve(name).digest
        except NotFound:
            if self._findings.invalid:
                # The name may be in what cannot be read.
                return frozenset()
            raise
        about = {entry.digest for entry in there if oci_index.attached_to(entry) == root}
        return frozenset({root, *about, *(digest for digest, subject in spoken.items() if subject == root)})

    def _document(self, descriptor: Descriptor) -> bytes:
        return self._fetch(descriptor).read(self._blobs.limits)

    def _attached(self, entries: list[Descriptor | None]) -> None:
        """Compare the subject that an attachment's name states with the one in its document."""
        for number, entry in enumerate(entries):
            told = None if entry is None else oci_index.attached_to(entry)
            seen = None if entry is None else self.walk.seen.get(entry.digest)
            if told is None or seen is None:
                continue
            try:
                subject = Descriptor.from_json(seen.document["subject"]).digest if "subject" in seen.document else told
            except Invalid:
                continue
            if subject != told:
                path = f"manifests/{number}/manifest#/subject/digest"
                self._findings.add("image/referrer", path, f"got {subject}, want {told} as its name says")

    def _unnamed(self) -> None:
        """Check blobs that no descriptor names against their file names."""
        for name in self._medium.names():
            if not name.startswith(_BLOBS):
                continue
            digest = _digest(name)
            if digest is None:
                fact = f"got {name[len(_BLOBS) :][:150]!r}, want ALGORITHM/ENCODED as of a digest"
                self._findings.add("oci/blob-name", name, fact)
            elif digest not in self.walk.read and digest.algorithm in HEX_LENGTHS:
                self._content(name, digest)

    def _content(self, name: str, digest: Digest) -> None:
        try:
            found = measured(self._medium.open(name), digest.algorithm).digest()
        except ConverterError as error:
            self._findings.failed(name, error)
            return
        if found != digest:
            fact = f"got the digest {found}, want that of its name"
            self._findings.add("oci/blob-content", name, fact)


def _digest(name: str) -> Digest | None:
    algorithm, _, encoded = name[len(_BLOBS) :].partition("/")
    try:
        return Digest.parse(f"{algorithm}:{encoded}")
    except Invalid:
        return None
