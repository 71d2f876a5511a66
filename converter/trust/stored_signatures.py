"""Finds the signatures stored in an image and attached to it, by their content rather than their name.

Signatures stored as manifests, in registries and layouts, are made here, too (cosign's SIGNATURE_SPEC.md; image-spec
1.1.1): cosign's go into an image of its own form, one layer each; a simple signature, which no other tool stores there,
goes into an artifact whose subject is the image.

Nothing is verified here, and nothing is trusted because it was found. What cannot be read is listed as the kind its
label states, so that ``verify`` refuses it visibly.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from converter.errors import Invalid, NotFound, unless_invalid, within
from converter.model import media_types as types
from converter.model.content import Known, known_bytes
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import decode_base64, dump_json, lenient_member, load_object, required_member, text_map
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment, Original, artifact_manifest
from converter.model.limits import current_limits
from converter.model.reference import TITLE
from converter.ports import Fetch
from converter.trust import content_trust, cosign, signature as kinds
from converter.trust.openpgp_message import is_detached, is_signed_message
from converter.trust.signature import Signature
from converter.trust.verify_signatures import SIGNATURE_KINDS

SIGSTORE_FILE = b"\0sigstore-json\n"
"""The prefix of a file ``signature-N`` of a directory that holds a cosign signature, not a simple one."""

SIMPLE_FILE = b"\0simple-signing\n"
"""The optional prefix of one that holds a simple signature; the containers tools do not write it."""

SIMPLE_SIGNING = "application/vnd.transship.simple-signing.v1"
"""The artifact type of a simple signature."""

PREDICATE_TYPE = "predicateType"
"""The annotation of an envelope in which cosign says what the envelope states."""

_EMPTY = known_bytes(b"{}", types.OCI_EMPTY)
_NEVER = "0001-01-01T00:00:00Z"
_OF_LAYER = {media_type: name for name, kind in SIGNATURE_KINDS.items() for media_type in kind.layers}
_OF_LABEL = {kind.label: name for name, kind in SIGNATURE_KINDS.items() if kind.label}


def find_signatures(
    attachments: Iterable[Attachment], fetch: Fetch, manifest: bytes, root: Descriptor
) -> tuple[Signature, ...]:
    """Every signature of the image whose root document is ``manifest``, embedded in it or attached to it.

    Raises what ``fetch`` raises if something is unavailable for now; what is broken or missing is skipped, or listed
    without content.
    """
    found = [*embedded_signatures(manifest, root)]
    number = fetched = 0

    def bounded(descriptor: Descriptor) -> Known:
        # All that is fetched is in memory at once.
        nonlocal fetched
        fetched += max(descriptor.size, 0)
        current_limits().require("evidence", fetched, "bytes of signatures of one image")
        return fetch(descriptor)

    for attachment in attachments:
        number += attachment.descriptor.media_type == types.DIR_SIGNATURE
        found += signatures_of_attachment(attachment, bounded, number)
        current_limits().require("evidence", fetched, "bytes of signatures of one image")
        current_limits().require("signatures", len(found), "signatures of one image")
    return tuple(found)


def embedded_signatures(manifest: bytes, root: Descriptor) -> Iterator[Signature]:
    """The signatures embedded in a schema 1 manifest."""
    if root.media_type in types.MANIFESTS | types.INDEXES | {types.ACI}:
        return
    document = unless_invalid(load_object, manifest)
    if document is None or document.get("schemaVersion") != 1:
        return
    rows = lenient_member(document, "signatures", list)
    # Verifying each one reads all of the manifest; libtrust makes one.
    current_limits().require("signers", len(rows), "signatures in a manifest")
    for place, row in enumerate(rows):
        yield Signature(
            kind=kinds.LIBTRUST,
            location=f"manifest, signatures[{place}]",
            covers=str(root.digest),
            data=json.dumps(row).encode(),
        )


def signatures_of_attachment(attachment: Attachment, fetch: Fetch, number: int = 0) -> tuple[Signature, ...]:
    """The signatures in one attachment; ``number`` is the N of a file ``signature-N``."""
    if attachment.tag.endswith(".sbom"):
        return ()
    ending = attachment.tag.rpartition(".")[2]
    kind = _OF_LABEL.get(ending) or _OF_LABEL.get(attachment.descriptor.artifact_type, "")
    empty = Signature(
        kind=kind, location=_describe_location(attachment, number), covers=str(attachment.subject), data=b""
    )
    try:
        return tuple(_signatures_in(attachment.descriptor, empty, fetch))
    except (Invalid, NotFound):
        # Anybody with write access could have put it there: it must not stand in the way of a good one. If its label
        # states a kind, it is refused by name.
        return (empty,) if kind else ()


def _describe_location(attachment: Attachment, number: int) -> str:
    media_type = attachment.descriptor.media_type
    if media_type == types.PGP_SIGNATURE:
        return ".asc beside the file"
    if media_type == types.DIR_SIGNATURE:
        return f"signature-{number}" if number else "signature"
    return attachment.tag or f"referrer {attachment.descriptor.digest}"


def _signatures_in(entry: Descriptor, empty: Signature, fetch: Fetch) -> Iterator[Signature]:
    """The signatures in what a descriptor names; ``empty`` says where they are."""
    if entry.media_type in types.INDEXES:
        for child in _descriptors(load_object(fetch(entry).read()), "manifests"):
            yield from _signatures_in_artifact(child, empty, fetch)
    elif entry.media_type in types.MANIFESTS:
        yield from _signatures_in_artifact(entry, empty, fetch)
    else:
        yield from signatures_in_blob(fetch(entry).read(), empty.location, empty.covers)


def _signatures_in_artifact(entry: Descriptor, empty: Signature, fetch: Fetch) -> Iterator[Signature]:
    """The signatures in an artifact: each layer's media type says what it is."""
    layers = _descriptors(load_object(fetch(entry).read()), "layers")
    files = {
        one.annotations.get(TITLE, ""): fetch(one).read() for one in layers if one.media_type == content_trust.DOCUMENT
    }
    yield from content_trust.stored_targets(files, empty.covers, empty.location)
    for layer in layers:
        if layer.media_type in (types.DIR_SIGNATURE, types.PGP_SIGNATURE):
            yield from signatures_in_blob(fetch(layer).read(), empty.location, empty.covers)
        elif layer.media_type in _OF_LAYER or layer.media_type.startswith(cosign.BUNDLE):
            data = fetch(layer).read()
            kind = _OF_LAYER.get(layer.media_type) or _kind_of_bundle(data)
            yield replace(empty, kind=kind, data=data, media_type=layer.media_type, annotations=layer.annotations)


def _kind_of_bundle(data: bytes) -> str:
    return kinds.BUNDLE if cosign.bundle_predicate(data) == cosign.SIGN else kinds.ATTESTATION


def signatures_in_blob(data: bytes, location: str, covers: str) -> Iterator[Signature]:
    """The signatures in one blob or file; nothing if it is not a signature."""
    data = data.removeprefix(SIMPLE_FILE)
    signature = partial(Signature, location=location, covers=covers)
    if data.startswith(SIGSTORE_FILE):
        # Without a payload, a broken one is refused when it is verified.
        found = unless_invalid(parse_sigstore_file, data) or CosignPayload(b"", {})
        yield signature(kind=found.kind, data=found.data, media_type=found.media_type, annotations=found.annotations)
    elif content_trust.is_targets(data):
        yield from content_trust.stored_targets({location: data}, covers)
    elif is_signed_message(data):
        yield signature(kind=kinds.SIMPLE_SIGNING, data=data, media_type=types.DIR_SIGNATURE)
    elif is_detached(data):
        yield signature(kind=kinds.DETACHED, data=data, media_type=types.PGP_SIGNATURE)


def parse_sigstore_file(data: bytes) -> CosignPayload:
    """What is in a ``signature-N`` that begins with SIGSTORE_FILE; raises Invalid."""
    document = load_object(data.removeprefix(SIGSTORE_FILE))
    return CosignPayload(
        data=decode_base64(required_member(document, "payload", str), "the payload"),
        annotations=text_map(document, "annotations"),
        media_type=required_member(document, "mimeType", str),
    )


def parse_file(data: bytes) -> Storable:
    """The signature in a file; one that is not cosign's is taken to be simple."""
    return parse_sigstore_file(data) if data.startswith(SIGSTORE_FILE) else SimpleSignature(data)


def _descriptors(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    current_limits().require("signatures", len(lenient_member(document, name, list)), name)
    return descriptors(document, name)


def tag_of(subject: Digest, media_type: str = cosign.PAYLOAD) -> str:
    """The tag under which cosign looks for the signatures of an image, or for its attestations: envelopes."""
    return f"{subject.dashed}.{'att' if media_type == cosign.ENVELOPE else 'sig'}"


@frozen(kw_only=False)
class CosignPayload:
    """What cosign stores as a layer: a signed payload, whose annotations have the signature, or a signed envelope."""

    data: bytes
    annotations: Mapping[str, str]
    media_type: str = cosign.PAYLOAD

    @property
    def kind(self) -> str:
        """The kind of signature, as ``verify`` shows it."""
        return kinds.COSIGN if self.media_type == cosign.PAYLOAD else kinds.ATTESTATION

    @property
    def layer(self) -> Descriptor:
        """Its descriptor in the image that holds it."""
        return Descriptor.of(self.data, self.media_type, annotations=dict(self.annotations))

    def location(self, image: Descriptor) -> str:
        """Where it is found, as a manifest: the tag under which cosign looks for it."""
        return tag_of(image.digest, self.media_type)

    def to_file(self) -> bytes:
        """A file ``signature-N`` of a directory, in skopeo's wrapping."""
        return SIGSTORE_FILE + dump_json(
            {
                "mimeType": self.media_type,
                "payload": base64.b64encode(self.data).decode(),
                "annotations": dict(self.annotations),
            }
        )


@frozen(kw_only=False)
class SimpleSignature:
    """A signed message of OpenPGP, which states digest and name."""

    data: bytes
    kind: ClassVar[str] = kinds.SIMPLE_SIGNING

    def location(self, image: Descriptor) -> str:
        """Where it is found, as a manifest: it refers to the image."""
        return f"referrer {self.artifact(image).original.manifest.descriptor.digest}"

    def artifact(self, image: Descriptor) -> Artifact:
        """An artifact that holds it, and refers to the image."""
        blob = known_bytes(self.data, types.DIR_SIGNATURE)
        return _make_artifact(_EMPTY, [blob.descriptor], [blob], SIMPLE_SIGNING, image)

    def to_file(self) -> bytes:
        """A file ``signature-N`` of a directory."""
        return self.data


Storable = CosignPayload | SimpleSignature


def envelope_payload(envelope: bytes, predicate: str) -> CosignPayload:
    """An envelope as cosign stores it: the annotation that a signature would be in is empty."""
    return CosignPayload(envelope, {cosign.SIGNATURE: "", PREDICATE_TYPE: predicate}, cosign.ENVELOPE)


class CosignImages:
    """cosign's images at one place: the signatures of an image are the layers of one, its attestations of another.

    ``tagged`` returns the manifests that the place has under a tag, by default none. Nothing that is there is lost when
    more is added.
    """

    def __init__(self, tagged: Callable[[str], Iterable[bytes]] = lambda _tag: ()) -> None:
        self._tagged = tagged
        self._layers: dict[str, tuple[Descriptor, ...]] = {}

    def layers(self, tag: str) -> tuple[Descriptor, ...]:
        """The layers under a tag, with those that were added. Raises Invalid."""
        if tag not in self._layers:
            with within(tag):
                self._layers[tag] = cosign_layers(self._tagged(tag))
        return self._layers[tag]

    def add(self, tag: str, layers: Iterable[Descriptor], blobs: Iterable[Known]) -> Artifact | None:
        """The image with these layers, too, which are among ``blobs``; None if it has all of them. Raises Invalid."""
        there = self.layers(tag)
        fresh = [one for one in layers if not is_among(one, there)]
        if not fresh:
            return None
        self._layers[tag] = (*(one for one in there if not is_among(one, fresh)), *fresh)
        digests = {one.digest for one in fresh}
        return _cosign_image(self._layers[tag], [one for one in blobs if one.descriptor.digest in digests])


def cosign_layers(manifests: Iterable[bytes]) -> tuple[Descriptor, ...]:
    """The layers of cosign's images that have one tag. Raises Invalid, and LimitExceeded if there are too many."""
    layers = tuple(layer for manifest in manifests for layer in layers_of(manifest))
    current_limits().require("signatures", len(layers), "signatures of one image")
    return layers


def is_among(layer: Descriptor, layers: Iterable[Descriptor]) -> bool:
    """Whether a layer of cosign's is there: the same signature, with all that the annotations say of it."""
    same = (one for one in layers if (one.media_type, one.digest) == (layer.media_type, layer.digest))
    return any(layer.annotations.items() <= one.annotations.items() for one in same)


def to_artifacts(
    signatures: Sequence[Storable], image: Descriptor, images: CosignImages
) -> Iterator[tuple[Artifact, str]]:
    """The artifacts that hold signatures of an image, each with its tag.

    cosign's are added to ``images``, unless they are there. A simple signature has an artifact of its own, without a
    tag.
    """
    payloads = [one for one in signatures if isinstance(one, CosignPayload)]
    for media_type in dict.fromkeys(one.media_type for one in payloads):
        alike = [one for one in payloads if one.media_type == media_type]
        tag = tag_of(image.digest, media_type)
        blobs = [known_bytes(one.data, media_type) for one in alike]
        made = images.add(tag, [one.layer for one in alike], blobs)
        if made is not None:
            yield made, tag
    for one in signatures:
        if isinstance(one, SimpleSignature):
            yield one.artifact(image), ""


def _cosign_image(layers: Sequence[Descriptor], blobs: Sequence[Known]) -> Artifact:
    config = {
        "architecture": "",
        "created": _NEVER,
        "history": [{"created": _NEVER}] * len(layers),
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        "config": {},
    }
    return _make_artifact(known_bytes(dump_json(config), types.OCI_CONFIG), layers, blobs)


def content_trust_artifact(files: Mapping[str, bytes], subject: Descriptor) -> Artifact:
    """An artifact of ``subject`` that holds documents of Docker Content Trust, each titled with its name."""
    blobs = {name: known_bytes(data, content_trust.DOCUMENT) for name, data in sorted(files.items())}
    layers = [replace(blob.descriptor, annotations={TITLE: name}) for name, blob in blobs.items()]
    return _make_artifact(_EMPTY, layers, list(blobs.values()), content_trust.DOCUMENT, subject)


def layers_of(manifest: bytes) -> tuple[Descriptor, ...]:
    """The layers of an artifact; raises Invalid."""
    return descriptors(load_object(manifest), "layers")


def _make_artifact(
    config: Known,
    layers: Sequence[Descriptor],
    blobs: Sequence[Known],
    artifact_type: str = "",
    subject: Descriptor | None = None,
) -> Artifact:
    manifest = known_bytes(artifact_manifest(config.descriptor, layers, artifact_type, subject), types.OCI_MANIFEST)
    return Artifact(original=Original(format="oci", manifest=manifest), blobs=(config, *blobs))
