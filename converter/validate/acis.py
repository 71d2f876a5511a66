"""Checks app container images against the rules of their archives (appc spec 0.8.11, aci.md, "Image Archives")."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from converter.model.content import Open
from converter.model.document import read
from converter.schema import check
from converter.streams import Block
from converter.streams.ahead import ahead
from converter.streams.blocks import closing, peek
from converter.streams.detect import HEAD, Codec, detect, start_of
from converter.streams.tar import fields
from converter.streams.tar.entry import Entry
from converter.streams.tar.names import MANIFEST, ROOTFS, clean, shown, spoken
from converter.validate.blobs import Blobs, Failed, Passing, telling, unpacked
from converter.validate.findings import Findings
from converter.validate.tars import Tell, scan

ARCHIVE = "archive"
"""The path of the tar in findings; that of the manifest in it is ``manifest``."""
_PACKED: tuple[Codec, ...] = ("gzip", "bzip2", "xz")
_OTHER = {"tar": "a tar without a magic number (v7)", "openpgp": "an encrypted image (gpg --decrypt)"}


def check_aci(raw: Open, blobs: Blobs) -> None:
    """Find everything wrong with one image, whose file ``raw`` opens."""
    with blobs.reading(raw, ARCHIVE) as passing:
        _archive(passing, blobs)


def _archive(passing: Passing, blobs: Blobs) -> None:
    findings = blobs.findings
    head, whole = peek(passing, HEAD)
    codec = detect(head)
    if codec not in _PACKED and head[257:262] != b"ustar":
        got = _OTHER.get(codec or "", codec or f"data that starts with {start_of(head)}")
        fact = f"got {got}, want a tar (ustar), plain or packed with {', '.join(_PACKED[:2])} or {_PACKED[2]}"
        findings.add("aci/archive-format", ARCHIVE, fact)
        return
    plain: Iterator[Block] = unpacked(whole, codec or "tar", blobs.limits)
    entries = AciEntries(findings, telling(findings, ARCHIVE), blobs.limits.document)
    try:
        with closing(plain if codec == "tar" else ahead(plain)) as blocks:
            complete = scan(blocks, telling(findings, ARCHIVE), entries.visit, blobs.limits)
    except Failed as failed:
        findings.report(failed.error, ARCHIVE, "aci/archive-format")
        complete = False
    entries.finish(complete)
    if entries.manifest is not None:
        _manifest(entries.manifest, findings, blobs)


class AciEntries:
    """The entries of an image that were visited so far."""

    def __init__(self, findings: Findings, tell: Tell, most: int) -> None:
        """``most`` is the most bytes of a manifest."""
        self._findings = findings
        self._tell = tell
        self._most = most
        self._files: dict[bytes, bool] = {}
        self._links: list[tuple[bytes, bytes]] = []
        self.manifest: bytes | None = None

    def visit(self, entry: Entry) -> None:
        """Check one entry; called in order."""
        name = self._named(entry)
        if not name:
            # No reader looks at the root itself, "./".
            return
        if name in self._files:
            self._tell("aci/archive-duplicate", name, f"got {shown(name)} a second time, want it once")
            return
        self._files[name] = entry.type != fields.DIR
        if name == MANIFEST:
            self._take_manifest(entry)
        elif name == ROOTFS and entry.type != fields.DIR:
            fact = f"got {spoken(entry.type)} called rootfs, want a directory"
            self._tell("aci/archive-rootfs", name, fact)
        elif entry.type == fields.LINK:
            self._links.append((name, clean(entry.linkname)))

    def finish(self, complete: bool) -> None:
        """Check the whole; ``complete`` says whether all entries were visited."""
        if not complete:
            return
        for name, rule in ((MANIFEST, "aci/archive-manifest"), (ROOTFS, "aci/archive-rootfs")):
            if name not in self._files:
                self._findings.add(rule, ARCHIVE, f"got no entry {shown(name)}, want one")
        for name, target in self._links:
            if not self._files.get(target, False):
                self._tell("aci/archive-link", name, f"got a link to {shown(target)}, want a file that is there")

    def _named(self, entry: Entry) -> bytes:
        """The path of an entry; empty if the entry needs no further checks."""
        name, written = entry.name, entry.written
        if b".." in name.split(b"/"):
            self._tell("aci/archive-name", written, f"got {shown(written)}, want a name without '..'")
            name = posixpath.normpath(name)
        top = name.partition(b"/")[0]
        absolute = written[:1] == b"/"
        if absolute or (name and name != b"." and top not in {MANIFEST, ROOTFS}) or name.startswith(MANIFEST + b"/"):
            fact = f"got {shown(written)}, want manifest, rootfs and what is in it, and nothing else"
            self._tell("aci/archive-top-level", written, fact)
            return b""
        return b"" if name == b"." else name

    def _take_manifest(self, entry: Entry) -> None:
        if entry.type != fields.FILE or entry.sparse:
            fact = f"got {spoken(entry.type)} called manifest, want a regular file"
            self._tell("aci/archive-manifest", MANIFEST, fact)
        elif entry.size > self._most:
            fact = f"got a manifest of {entry.size} bytes, want at most {self._most} (limit: document)"
            self._tell("image/limit", MANIFEST, fact)
        else:
            self.manifest = b"".join(entry.payload)


def _manifest(data: bytes, findings: Findings, blobs: Blobs) -> None:
    value = read(data, blobs.limits).value
    kind = value.get("acKind") if isinstance(value, dict) else None
    if kind == "PodManifest":
        findings.add("aci/archive-kind", "manifest#/acKind", f"got {kind!r}, want 'ImageManifest'")
    else:
        findings.add_all("manifest", check(data, "aci-image-manifest", findings.profile, blobs.limits))
