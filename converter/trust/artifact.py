"""Signatures stored as manifests, in registries and layouts (cosign's SIGNATURE_SPEC.md; image-spec 1.1.1).

cosign signatures go into an image of cosign's own form, one layer each. A simple signature, which no other tool stores
in registries or layouts, goes into an artifact whose subject is the image.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from converter.errors import Invalid
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.document import dump, load_object
from converter.model.frozen import frozen
from converter.model.naming import TITLE
from converter.trust import content_trust as ct
from converter.trust import cosign
from converter.trust.evidence import SIGSTORE_FILE

SIMPLE_SIGNING = "application/vnd.transship.simple-signing.v1"
"""The artifact type of a simple signature."""

_NEVER = "0001-01-01T00:00:00Z"


@frozen
class Blob:
    """Bytes to be stored, and their media type."""

    media_type: str
    data: bytes


@frozen
class Artifact:
    """A manifest, and the new blobs it refers to, which must be stored before it."""

    manifest: Blob
    blobs: tuple[Blob, ...]

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return Descriptor.of(self.manifest.data, self.manifest.media_type)


def tag_of(subject: Digest) -> str:
    """The tag under which cosign looks for the signatures of an image."""
    return f"{subject.dashed}.sig"


def cosign_image(signatures: Sequence[tuple[bytes, Mapping[str, str]]], before: Iterable[Descriptor] = ()) -> Artifact:
    """An image of signatures: the layers it already had (``before``), then payloads with their annotations."""
    blobs = [Blob(media_type=cosign.PAYLOAD, data=payload) for payload, _ in signatures]
    layers = [*before]
    for blob, (_, told) in zip(blobs, signatures, strict=True):
        layers.append(Descriptor.of(blob.data, blob.media_type, annotations=dict(told)))
    config = Blob(
        media_type=types.OCI_CONFIG,
        data=dump(
            {
                "architecture": "",
                "created": _NEVER,
                "history": [{"created": _NEVER} for _ in layers],
                "os": "",
                "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
                "config": {},
            }
        ),
    )
    return _artifact({}, config, layers, blobs)


def simple_signing(message: bytes, subject: Descriptor) -> Artifact:
    """An artifact that holds one simple signature of the image ``subject``."""
    blob = Blob(media_type=types.DIR_SIGNATURE, data=message)
    more = {"artifactType": SIMPLE_SIGNING, "subject": subject.bare().to_json()}
    empty = Blob(media_type=types.OCI_EMPTY, data=b"{}")
    return _artifact(more, empty, [Descriptor.of(message, blob.media_type)], [blob])


def content_trust(files: Mapping[str, bytes], subject: Descriptor) -> Artifact:
    """An artifact of ``subject`` that holds documents of Docker Content Trust, each titled with its name."""
    more = {"artifactType": ct.DOCUMENT, "subject": subject.bare().to_json()}
    blobs = {name: Blob(media_type=ct.DOCUMENT, data=data) for name, data in sorted(files.items())}
    layers = [Descriptor.of(one.data, one.media_type, annotations={TITLE: name}) for name, one in blobs.items()]
    return _artifact(more, Blob(media_type=types.OCI_EMPTY, data=b"{}"), layers, [*blobs.values()])


def layers_of(manifest: bytes) -> tuple[Descriptor, ...]:
    """The layers of an artifact; raises Invalid."""
    rows = load_object(manifest).get("layers") or []
    if not isinstance(rows, list):
        raise Invalid("got layers that are no list, want one")
    return tuple(Descriptor.from_json(row) for row in rows)


def sigstore_file(payload: bytes, annotations: Mapping[str, str], media_type: str = cosign.PAYLOAD) -> bytes:
    """A cosign signature as a file ``signature-N`` of a directory, in skopeo's wrapping."""
    members = {
        "mimeType": media_type,
        "payload": base64.b64encode(payload).decode(),
        "annotations": dict(annotations),
    }
    return SIGSTORE_FILE + dump(members)


def _artifact(more: dict[str, Any], config: Blob, layers: Sequence[Descriptor], blobs: Sequence[Blob]) -> Artifact:
    members = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        **{name: value for name, value in more.items() if name == "artifactType"},
        "config": Descriptor.of(config.data, config.media_type).to_json(),
        "layers": [layer.to_json() for layer in layers],
        **{name: value for name, value in more.items() if name == "subject"},
    }
    return Artifact(manifest=Blob(media_type=types.OCI_MANIFEST, data=dump(members)), blobs=(config, *blobs))
