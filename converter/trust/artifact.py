"""Signatures stored as manifests, in registries and layouts (cosign's SIGNATURE_SPEC.md; image-spec 1.1.1).

cosign signatures go into an image of cosign's own form, one layer each. A simple signature, which no other tool stores
in registries or layouts, goes into an artifact whose subject is the image.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

from converter.model import media_types as types
from converter.model.content import Known, known_bytes
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import dump_json, load_object
from converter.model.image import Artifact, Original
from converter.model.reference import TITLE
from converter.trust import content_trust as ct
from converter.trust import cosign, dsse
from converter.trust.stored_signatures import SIGSTORE_FILE

SIMPLE_SIGNING = "application/vnd.transship.simple-signing.v1"
"""The artifact type of a simple signature."""

PREDICATE_TYPE = "predicateType"
"""The annotation of an envelope in which cosign says what the envelope states."""

_EMPTY = known_bytes(b"{}", types.OCI_EMPTY)
_NEVER = "0001-01-01T00:00:00Z"


def tag_of(subject: Digest, media_type: str = cosign.PAYLOAD) -> str:
    """The tag under which cosign looks for the signatures of an image, or for its attestations: envelopes."""
    return f"{subject.dashed}.{'att' if media_type == dsse.ENVELOPE else 'sig'}"


def statement_annotations(predicate: str) -> dict[str, str]:
    """The annotations that cosign gives an envelope: where a signature would be, there is none."""
    return {cosign.SIGNATURE: "", PREDICATE_TYPE: predicate}


def cosign_image(
    signatures: Sequence[tuple[bytes, Mapping[str, str]]],
    before: Iterable[Descriptor] = (),
    media_type: str = cosign.PAYLOAD,
) -> Artifact:
    """An image of signatures: the layers it already had (``before``), then payloads with their annotations.

    With envelopes as ``media_type``, it is one of attestations.
    """
    blobs = [known_bytes(payload, media_type) for payload, _ in signatures]
    layers = [*before, *(Descriptor.of(data, media_type, annotations=dict(notes)) for data, notes in signatures)]
    config = {
        "architecture": "",
        "created": _NEVER,
        "history": [{"created": _NEVER} for _ in layers],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        "config": {},
    }
    return _make_artifact(known_bytes(dump_json(config), types.OCI_CONFIG), layers, blobs)


def simple_signing(message: bytes, subject: Descriptor) -> Artifact:
    """An artifact that holds one simple signature of the image ``subject``."""
    blob = known_bytes(message, types.DIR_SIGNATURE)
    return _make_artifact(_EMPTY, [blob.descriptor], [blob], SIMPLE_SIGNING, subject)


def content_trust(files: Mapping[str, bytes], subject: Descriptor) -> Artifact:
    """An artifact of ``subject`` that holds documents of Docker Content Trust, each titled with its name."""
    documents = sorted(files.items())
    layers = [Descriptor.of(data, ct.DOCUMENT, annotations={TITLE: name}) for name, data in documents]
    return _make_artifact(
        _EMPTY, layers, [known_bytes(data, ct.DOCUMENT) for _, data in documents], ct.DOCUMENT, subject
    )


def layers_of(manifest: bytes) -> tuple[Descriptor, ...]:
    """The layers of an artifact; raises Invalid."""
    return descriptors(load_object(manifest), "layers")


def sigstore_file(payload: bytes, annotations: Mapping[str, str], media_type: str = cosign.PAYLOAD) -> bytes:
    """A cosign signature as a file ``signature-N`` of a directory, in skopeo's wrapping."""
    members = {
        "mimeType": media_type,
        "payload": base64.b64encode(payload).decode(),
        "annotations": dict(annotations),
    }
    return SIGSTORE_FILE + dump_json(members)


def _make_artifact(
    config: Known,
    layers: Sequence[Descriptor],
    blobs: Sequence[Known],
    artifact_type: str = "",
    subject: Descriptor | None = None,
) -> Artifact:
    members = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        **({"artifactType": artifact_type} if artifact_type else {}),
        "config": config.descriptor.to_json(),
        "layers": [layer.to_json() for layer in layers],
        **({"subject": subject.bare().to_json()} if subject else {}),
    }
    manifest = known_bytes(dump_json(members), types.OCI_MANIFEST)
    return Artifact(original=Original(format="oci", manifest=manifest), blobs=(config, *blobs))
