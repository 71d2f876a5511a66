"""Checks app container images against the rules of their archives (appc spec 0.8.11, aci.md, "Image Archives")."""

from __future__ import annotations

from collections.abc import Iterator

from converter.model.content import Open
from converter.model.document import lenient_member, read_json
from converter.schema import check_document
from converter.streams.blocks import Block, closing
from converter.streams.read_ahead import read_ahead
from converter.streams.tar import fields
from converter.streams.tar.aci import AciEntries, tar_of
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import MANIFEST, clean_name, quoted_name
from converter.validate.blobs import BlobReader, Passing, StreamFailed, finding_reporter, wrap_stream_errors
from converter.validate.findings import Findings
from converter.validate.tars import scan_tar

ARCHIVE = "archive"
"""The path of the tar in findings; that of the manifest in it is ``manifest``."""
_FORMAT = "aci/archive-format"


def check_aci(raw: Open, blobs: BlobReader) -> None:
    """Find everything wrong with one image, whose file ``raw`` opens."""
    with blobs.reading(raw, ARCHIVE) as passing:
        _archive(passing, blobs)


def _archive(passing: Passing, blobs: BlobReader) -> None:
    findings = blobs.findings
    plain: Iterator[Block] | None = None
    with findings.at(ARCHIVE, _FORMAT):
        plain = wrap_stream_errors(tar_of(passing))
    if plain is None:
        return
    tell = finding_reporter(findings, ARCHIVE)
    contents = AciEntries(tell)
    links: list[tuple[bytes, bytes]] = []
    manifests: list[bytes] = []

    def visit(entry: Entry) -> None:
        name = contents.add(entry)
        if name == MANIFEST and contents.has_document(entry):
            manifests.append(b"".join(entry.payload))
        elif name and entry.type == fields.LINK:
            links.append((name, clean_name(entry.linkname)))

    complete = False
    try:
        with closing(read_ahead(plain)) as blocks:
            complete = scan_tar(blocks, tell, visit)
    except StreamFailed as failed:
        findings.report(failed.error, ARCHIVE, _FORMAT)
    if complete:
        contents.finish()
        for name, target in links:
            if not contents.files.get(target, False):
                tell("aci/archive-link", name, f"the target {quoted_name(target)} is not a file of the image")
    for data in manifests:
        _check_manifest(data, findings)


def _check_manifest(data: bytes, findings: Findings) -> None:
    if (kind := lenient_member(read_json(data).value, "acKind", str)) == "PodManifest":
        findings.add("aci/archive-kind", "manifest#/acKind", f'acKind is "{kind}": expected "ImageManifest"')
    else:
        findings.add_all("manifest", check_document(data, "aci-image-manifest", findings.strictness))
