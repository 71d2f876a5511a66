"""Opens what a reference names, recognises its kind, and checks it.

An app container image is checked against the rules of its archive (appc spec 0.8.11, aci.md, "Image Archives").
"""

from __future__ import annotations

from converter.errors import Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Open
from converter.model.document import lenient_member, read_json
from converter.model.image import Attachment
from converter.model.reference import STDIN, Location
from converter.ports import Source
from converter.stores import StoreOptions, open_source
from converter.stores.aci_file import AciFile
from converter.stores.docker_archive import DockerArchive
from converter.stores.oci_layout import OciLayout
from converter.streams.blocks import closing
from converter.streams.read_ahead import read_ahead
from converter.streams.tar.aci import AciEntries, tar_of
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import LINK, MANIFEST, clean_name, quoted_name
from converter.validate import UNKNOWN
from converter.validate.blobs import BlobReader, DescriptorClaim, StreamFailed, wrap_stream_errors
from converter.validate.entries import scan_tar
from converter.validate.findings import Findings, path_of_entry
from converter.validate.image_walk import ImageWalk
from converter.validate.layouts import SavedCheck, check_layout

ARCHIVE = "archive"
"""The path of the tar in findings; that of the manifest in it is ``manifest``."""


def check_aci(raw: Open, blobs: BlobReader) -> None:
    """Find everything wrong with one image, whose file ``raw`` opens."""
    findings = blobs.findings

    def tell(rule: str, name: bytes | None, fact: str) -> None:
        findings.add(rule, ARCHIVE if name is None else path_of_entry(ARCHIVE, name), fact)

    contents = AciEntries(tell)
    links: list[tuple[bytes, bytes]] = []
    manifests: list[bytes] = []

    def visit(entry: Entry) -> None:
        name = contents.add(entry)
        if name == MANIFEST and contents.has_document(entry):
            manifests.append(b"".join(entry.payload))
        elif name and entry.type == LINK:
            links.append((name, clean_name(entry.linkname)))

    with blobs.reading(raw, ARCHIVE) as passing:
        complete = False
        try:
            with closing(read_ahead(wrap_stream_errors(lambda: tar_of(passing)))) as blocks:
                complete = scan_tar(blocks, findings, ARCHIVE, visit)
        except StreamFailed as failed:
            findings.report(failed.error, ARCHIVE, "aci/archive-format")
        if complete:
            contents.finish()
            for name, target in links:
                if not contents.files.get(target, False):
                    tell("aci/archive-link", name, f"the target {quoted_name(target)} is not a file of the image")
        for data in manifests:
            if lenient_member(read_json(data).value, "acKind", str) == "PodManifest":
                fact = 'acKind is "PodManifest": expected "ImageManifest"'
                findings.add("aci/archive-kind", "manifest#/acKind", fact)
            else:
                findings.load(data, "aci-image-manifest", "manifest")


def examine(location: Location, options: StoreOptions, blobs: BlobReader) -> str:
    """Find everything wrong with what is at a location, and return the kind of image that it is.

    Raises NotFound if there is nothing, and Unreachable, Denied, StorageFailed, Usage if it could not be examined.
    """
    try:
        with open_source(location, options) as source:
            return _examined(source, location, blobs)
    except (Invalid, Unsupported) as error:
        blobs.findings.report(error, "")
        return UNKNOWN


def _examined(source: Source, location: Location, blobs: BlobReader) -> str:
    match source:
        case OciLayout():
            walk = ImageWalk(source.fetch, blobs)
            check_layout(source, walk, location.name)
            return _image_kind(walk)
        case DockerArchive():
            try:
                SavedCheck(source, blobs).run(location.name)
            except NotFound:
                if not location.name.startswith("@"):
                    raise
                # It may be the position of what index.json alone has, such as an index that was saved by its ID.
                examine_source(source, location.name, blobs)
            return "docker-image"
        case AciFile(path=path):
            if str(path) not in STDIN and path.suffix != ".aci":
                fact = f'the name "{path.name}" does not end in .aci'
                blobs.findings.add("aci/archive-suffix", "", fact)
            check_aci(source.unverified, blobs)
            return "aci-image"
    return examine_source(source, location.name, blobs)


def examine_source(source: Source, name: str, blobs: BlobReader) -> str:
    """As ``examine``, for an image in an open source; the files of its own format are not examined."""
    findings = blobs.findings
    try:
        root = source.resolve(name)
    except Invalid as error:
        findings.report(error, "")
        return UNKNOWN
    if root.media_type == types.ACI:
        check_aci(source.fetch(root).raw, blobs)
        return "aci-image"
    walk = ImageWalk(source.fetch, blobs)
    walk.item(DescriptorClaim(root, "manifest"), "")
    attached: list[Attachment] = []
    with findings.at("referrers"):
        attached += source.attachments(root.digest)
    for number, attachment in enumerate(attached):
        if attachment.descriptor.media_type in types.MANIFESTS | types.INDEXES:
            _examine_attachment(attachment, f"referrers/{number}", walk, findings)
    return _image_kind(walk)


def _examine_attachment(attachment: Attachment, place: str, walk: ImageWalk, findings: Findings) -> None:
    descriptor = attachment.descriptor
    walk.item(DescriptorClaim(descriptor, place), place)
    seen = walk.seen.get(descriptor.digest)
    subject = None if seen is None else seen.document.get("subject")
    stated = subject.get("digest") if isinstance(subject, dict) else None
    if seen is not None and stated != str(attachment.subject) and (subject is not None or not attachment.tag):
        fact = f"subject is {str(stated)[:150]}: expected {attachment.subject}, to which it is attached"
        findings.add("image/referrer", f"{place}/manifest", fact)


def _image_kind(walk: ImageWalk) -> str:
    """The kind of the image, by the first document that was read."""
    first = next(iter(walk.seen.values()), None)
    return "docker-image" if first is not None and "docker" in first.descriptor.media_type else "oci-image"
