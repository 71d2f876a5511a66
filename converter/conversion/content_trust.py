"""Carries Docker Content Trust documents, which are stored apart from the image, along as an artifact."""

from __future__ import annotations

from collections.abc import Mapping

from converter.model.content import Known
from converter.model.image import Attachment
from converter.stores.memory import MemorySource, MemoryStore
from converter.trust import artifact, content_trust


def listing(files: Mapping[str, bytes], root: Known) -> MemorySource:
    """The documents that refer to one image, as a source for ``attachments.find``; empty if none refers to it."""
    store = MemoryStore()
    if content_trust.list_manifest(files, root.read()):
        made = artifact.content_trust(files, root.descriptor)
        manifest = made.original.manifest
        for blob in (*made.blobs, manifest):
            store.add(blob.read(), blob.descriptor.media_type)
        store.attached.append(Attachment(subject=root.descriptor.digest, descriptor=manifest.descriptor))
    return MemorySource(store)
