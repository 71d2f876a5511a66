"""Puts signatures into the form that the target stores: manifests in registries and layouts, files where skopeo uses
files.

The signed bytes and the signature stay byte for byte; only the wrapping changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converter.conversion.attachments import PlannedAttachment
from converter.conversion.origin import place_of
from converter.formats.manifest import plan_artifact
from converter.model import media_types as types
from converter.model.content import Descriptor, Digest, known_bytes
from converter.model.image import Artifact, Attachment, Loss
from converter.model.reference import Location
from converter.plan import Copy
from converter.ports import Fetch
from converter.trust import cosign, stored_signatures

_FILES = (types.DIR_SIGNATURE, types.PGP_SIGNATURE)
_BESIDE_ACIS = types.MANIFESTS | {types.PGP_SIGNATURE}
_IN_DIR = types.MANIFESTS | types.INDEXES | {types.DIR_SIGNATURE}


def adapted(
    attached: Sequence[PlannedAttachment], destination: Location, subjects: Mapping[Digest, Descriptor], fetch: Fetch
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    """The attachments of the images ``subjects`` as a place stores them, and a loss for those it cannot store."""
    form = destination.attached
    if form == "beside":
        return _split_by_place(attached, [one for one in attached if _media_type(one) in _BESIDE_ACIS], "beside an ACI")
    if form == "directory":
        kept, losses = _split_by_place(attached, [one for one in attached if _media_type(one) in _IN_DIR], "in dir:")
        return tuple(each for one in kept for each in (*_as_files(one, fetch),) or (_retagged(one),)), losses
    if form == "manifests":
        return tuple(_as_manifests(attached, subjects, fetch)), ()
    return _split_by_place(attached, [], f"in {place_of(destination)}:")


def _as_files(one: PlannedAttachment, fetch: Fetch) -> Iterator[PlannedAttachment]:
    """The signatures of an attachment as files ``signature-N``; empty if it holds anything else."""
    if _media_type(one) == types.DIR_SIGNATURE:
        yield one
    elif _media_type(one) in types.MANIFESTS:
        layers = stored_signatures.layers_of(fetch(one.attachment.descriptor).read())
        if all(layer.media_type in (cosign.PAYLOAD, types.DIR_SIGNATURE) for layer in layers):
            for layer in layers:
                data = fetch(layer).read()
                if layer.media_type == cosign.PAYLOAD:
                    data = stored_signatures.sigstore_file(data, layer.annotations)
                yield file_attachment(one.attachment.subject, data)


def _as_manifests(
    attached: Iterable[PlannedAttachment], subjects: Mapping[Digest, Descriptor], fetch: Fetch
) -> Iterator[PlannedAttachment]:
    """Files as manifests; cosign signatures of the same image share one manifest, and its attestations another."""
    shared: dict[tuple[Digest, str], list[tuple[bytes, Mapping[str, str]]]] = {}
    for one in attached:
        if _media_type(one) not in _FILES:
            yield _retagged(one)
            continue
        subject, data = one.attachment.subject, fetch(one.attachment.descriptor).read()
        if data.startswith(stored_signatures.SIGSTORE_FILE):
            payload, annotations, media_type = stored_signatures.parse_sigstore_file(data)
            shared.setdefault((subject, media_type), []).append((payload, annotations))
        else:
            yield manifest_attachment(stored_signatures.simple_signing_artifact(data, subjects[subject]), subject, "")
    for (subject, media_type), signatures in shared.items():
        made = stored_signatures.cosign_image(signatures, media_type=media_type)
        yield manifest_attachment(made, subject, stored_signatures.tag_of(subject, media_type))


def file_attachment(subject: Digest, data: bytes) -> PlannedAttachment:
    content = known_bytes(data, types.DIR_SIGNATURE)
    return PlannedAttachment(
        attachment=Attachment(subject=subject, descriptor=content.descriptor),
        node=Copy(content=content, media_type=types.DIR_SIGNATURE, label="attachment"),
    )


def manifest_attachment(made: Artifact, subject: Digest, tag: str) -> PlannedAttachment:
    descriptor = made.original.manifest.descriptor
    return PlannedAttachment(
        attachment=Attachment(subject=subject, descriptor=descriptor, tag=tag), node=plan_artifact(made)
    )


def _split_by_place(
    attached: Sequence[PlannedAttachment], kept: Sequence[PlannedAttachment], where: str
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    left = len(attached) - len(kept)
    if not left:
        return tuple(kept), ()
    what = "attachment has" if left == 1 else "attachments have"
    return tuple(kept), (Loss(field="attachments", reason=f"{left} {what} no place {where}"),)


def _media_type(one: PlannedAttachment) -> str:
    return one.attachment.descriptor.media_type


def _retagged(one: PlannedAttachment) -> PlannedAttachment:
    """The attachment with only its bare tag."""
    return replace(one, attachment=replace(one.attachment, tag=one.attachment.bare_tag))
