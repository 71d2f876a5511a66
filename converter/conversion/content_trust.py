"""Carries Docker Content Trust documents, which are stored apart from the image, along as an artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converter.errors import NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.trust import artifact, content_trust


@frozen(kw_only=False)
class ArtifactListing:
    """What refers to one image, and the blobs of that."""

    attached: tuple[Attachment, ...]
    blobs: Mapping[Digest, Known]

    def fetch(self, descriptor: Descriptor) -> Known:
        if descriptor.digest not in self.blobs:
            raise NotFound(f"blob unknown: {descriptor.digest} in the documents of Content Trust")
        return self.blobs[descriptor.digest]

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        return [attachment for attachment in self.attached if attachment.subject == subject]


def listing(files: Mapping[str, bytes], root: Known) -> ArtifactListing:
    """The documents that refer to one image, as a source for ``attachments.find``; empty if none refers to it."""
    if not content_trust.list_manifest(files, root.read()):
        return ArtifactListing((), {})
    made = artifact.content_trust(files, root.descriptor)
    manifest = made.original.manifest
    attachment = Attachment(subject=root.descriptor.digest, descriptor=manifest.descriptor)
    return ArtifactListing((attachment,), {blob.descriptor.digest: blob for blob in (*made.blobs, manifest)})
