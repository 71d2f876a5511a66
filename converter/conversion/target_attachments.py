"""Puts what refers to an image into the form that the target stores: manifests in registries and layouts, or files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from converter.conversion.attachments import PlannedAttachment, place_of
from converter.errors import ConverterError, Invalid
from converter.formats.manifest import plan_artifact
from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment, Image, Index, Item, Loss
from converter.model.reference import Location
from converter.plan import Copy, Evaluated, Node, Write
from converter.ports import Fetch
from converter.trust import cosign, stored_signatures
from converter.trust.signature import PROFILE
from converter.trust.stored_signatures import SIGSTORE_FILE, parse_sigstore_file

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


ROOT = -1
"""The place of the one image, which is not in an index."""


@frozen(kw_only=False)
class Statement:
    """A signed profile, and the place of its image in the index that is made."""

    place: int
    envelope: bytes


def find_statements(
    attached: Iterable[PlannedAttachment], item: Item, root: Descriptor, node: Node, fetch: Fetch
) -> tuple[tuple[Statement, ...], frozenset[Digest]]:
    """The profiles among attachments of images that ``node`` is made of, and the attachments that hold nothing else."""
    places = _places(item, root, node)
    statements: dict[Statement, None] = {}
    whole = set()
    for one in attached:
        place = places.get(one.attachment.subject)
        if place is not None:
            envelopes, others = _envelopes(one.attachment.descriptor, fetch)
            statements |= dict.fromkeys(Statement(place, data) for data in envelopes)
            if envelopes and not others:
                whole.add(one.attachment.descriptor.digest)
    return tuple(statements), frozenset(whole)


def statement_attachments(
    statements: Iterable[Statement],
    destination: Location,
    tree: Evaluated,
    before: Mapping[int, tuple[Descriptor, ...]],
) -> Iterator[PlannedAttachment]:
    """The same as attachments of what was made, in the destination's form.

    ``before`` are the layers of the attestations that an image already has there, by its place.
    """
    by_place: dict[int, list[bytes]] = {}
    for one in statements:
        by_place.setdefault(one.place, []).append(one.envelope)
    for place, envelopes in by_place.items():
        subject = image_at(tree, place)
        annotations = stored_signatures.statement_annotations(PROFILE)
        if destination.attached == "directory":
            for data in envelopes:
                yield file_attachment(
                    subject.digest, stored_signatures.sigstore_file(data, annotations, cosign.ENVELOPE)
                )
            continue
        there = before.get(place, ())
        fresh = [(data, annotations) for data in envelopes if Digest.of(data) not in {one.digest for one in there}]
        if fresh:
            made = stored_signatures.cosign_image(fresh, there, cosign.ENVELOPE)
            yield manifest_attachment(made, subject.digest, stored_signatures.tag_of(subject.digest, cosign.ENVELOPE))


def image_at(tree: Evaluated, place: int) -> Descriptor:
    """The image that was made at a place."""
    return (tree if place == ROOT else tree.inputs[place]).done.descriptor


def _places(item: Item, root: Descriptor, node: Node) -> dict[Digest, int]:
    """The places of the image with a digest; empty if they are unknown."""
    if isinstance(item, Image):
        own = [item.original.manifest.descriptor] if item.original is not None else []
        return {one.digest: ROOT for one in (root, *own) if one.media_type not in types.INDEXES}
    if isinstance(item, Index) and isinstance(node, Write) and len(node.inputs) == len(item.entries):
        return {entry.descriptor.digest: number for number, entry in enumerate(item.entries)}
    return {}


def _envelopes(descriptor: Descriptor, fetch: Fetch) -> tuple[list[bytes], bool]:
    """The signed profiles in an attachment, and whether it holds anything else."""
    try:
        data = fetch(descriptor).read()
        if descriptor.media_type == types.DIR_SIGNATURE:
            if not data.startswith(SIGSTORE_FILE):
                return [], True
            payload, _, media_type = parse_sigstore_file(data)
            return ([payload], False) if media_type == cosign.ENVELOPE and _is_profile(payload) else ([], True)
        if descriptor.media_type not in types.MANIFESTS:
            return [], True
        layers = stored_signatures.layers_of(data)
        envelopes = [fetch(one).read() for one in layers if one.media_type == cosign.ENVELOPE]
    except ConverterError:
        # An unreadable attachment states nothing, and is reported as a loss.
        return [], True
    profiles = [data for data in envelopes if _is_profile(data)]
    return profiles, len(profiles) < len(layers)


def _is_profile(envelope: bytes) -> bool:
    """Whether an envelope states a profile; nothing in it is verified."""
    try:
        document: dict[str, Any] = load_object(envelope)
        return cosign.predicate_of(cosign.open_envelope(document)[1]) == PROFILE
    except Invalid:
        return False
