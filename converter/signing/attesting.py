"""Stores signed statements with the image that they speak of, as cosign stores attestations."""

from __future__ import annotations

from pathlib import Path

from converter.errors import Unsupported, within
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.ports import Sink
from converter.signing import Signed, cosign_layers
from converter.stores import StoreOptions, beside, open_sink, open_source
from converter.trust import artifact
from converter.trust import signature as kinds
from converter.trust.dsse import ENVELOPE


def attest(
    reference: Reference, image: Descriptor, envelope: bytes, predicate: str, store: StoreOptions | None = None
) -> Signed:
    """Store an envelope, whose statement has that ``predicate``, with ``image``, the place's own or one of its index.

    The image and what is attached to it already do not change. Raises Unsupported for a place that is written whole,
    NotFound for one that lacks the image.
    """
    store = store or StoreOptions()
    location = Location.parse(reference)
    with enforce_limits(store.limits), within(str(reference)):
        with open_source(location, store) as source:
            source.fetch(image).read()
            if location.transport == "dir":
                data = artifact.sigstore_file(envelope, artifact.statement_annotations(predicate), ENVELOPE)
                there = source.resolve(location.name).digest
                path = beside.add_to_directory(Path(location.path), data, there, image.digest)
                return Signed(kind=kinds.ATTESTATION, location=path.name, covers=str(image.digest))
            if not location.kind.adds_blobs:
                raise Unsupported("nothing can be attached there: attach it in a registry, a layout or dir:")
            before = cosign_layers(source, image, ENVELOPE)
        with open_sink(location, store) as sink:
            tag = put_envelope(sink, image, envelope, predicate, before)
    return Signed(kind=kinds.ATTESTATION, location=tag, covers=str(image.digest))


def put_envelope(
    sink: Sink, image: Descriptor, envelope: bytes, predicate: str, before: tuple[Descriptor, ...] = ()
) -> str:
    """Put an envelope beside the attestations that an image has (``before``); returns the tag that they share."""
    made = artifact.cosign_image([(envelope, artifact.statement_annotations(predicate))], before, ENVELOPE)
    tag = artifact.tag_of(image.digest, ENVELOPE)
    manifest = made.original.manifest
    for blob in (*made.blobs, manifest):
        if not sink.has(blob.descriptor):
            sink.put(blob.blocks(), blob.descriptor.media_type, blob.descriptor)
    sink.attach(Attachment(subject=image.digest, descriptor=manifest.descriptor, tag=tag))
    return tag
