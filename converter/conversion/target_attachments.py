"""Puts what refers to an image into the form that the target stores: manifests in registries and layouts, or files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converter.conversion.attachments import PlannedAttachment, place_of
from converter.errors import ConverterError, DigestMismatch, Invalid, LimitExceeded, unless_invalid
from converter.formats.manifest import plan_artifact
from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.image import Artifact, Attachment, Image, Index, Item, Loss
from converter.model.reference import Location
from converter.plan import Copy, Evaluated, Node, Write, forecast
from converter.ports import Fetch
from converter.trust import cosign, signature as kinds, stored_signatures
from converter.trust.stored_signatures import CosignImages, CosignPayload, Storable

_FILES = (types.DIR_SIGNATURE, types.PGP_SIGNATURE)
_HELD = {
    "beside": (types.MANIFESTS | {types.PGP_SIGNATURE}, "beside an ACI"),
    "directory": (types.MANIFESTS | types.INDEXES | {types.DIR_SIGNATURE}, "in dir:"),
}
"""By ``Transport.attached``: the media types of attachments that such a place holds, and what messages call it."""


def adapted(
    attached: Sequence[PlannedAttachment], destination: Location, subjects: Mapping[Digest, Descriptor], fetch: Fetch
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    """The attachments of the images ``subjects`` as a place stores them, and a loss for those it cannot store."""
    form = destination.attached
    if form == "manifests":
        return tuple(_as_manifests(attached, subjects, fetch)), ()
    held, where = _HELD.get(form, (frozenset(), f"in {place_of(destination)}:"))
    kept = [one for one in attached if one.descriptor.media_type in held]
    left = len(attached) - len(kept)
    if form == "directory":
        kept = [each for one in kept for each in _as_files(one, fetch)]
    if not left:
        return tuple(kept), ()
    what = "attachment has" if left == 1 else "attachments have"
    return tuple(kept), (Loss(field="attachments", reason=f"{left} {what} no place {where}"),)


def _as_files(one: PlannedAttachment, fetch: Fetch) -> Iterator[PlannedAttachment]:
    """The signatures of an attachment as files ``signature-N``; the attachment itself if it holds anything else."""
    layers: Sequence[Descriptor] = ()
    if one.descriptor.media_type in types.MANIFESTS:
        layers = stored_signatures.layers_of(fetch(one.descriptor).read())
    if not layers or any(layer.media_type not in (cosign.PAYLOAD, types.DIR_SIGNATURE) for layer in layers):
        yield replace(one, tag=one.bare_tag)
        return
    for layer in layers:
        data = fetch(layer).read()
        if layer.media_type == cosign.PAYLOAD:
            data = CosignPayload(data, layer.annotations).to_file()
        content = known_bytes(data, types.DIR_SIGNATURE)
        node = Copy(content=content, media_type=types.DIR_SIGNATURE, label="attachment")
        yield PlannedAttachment(subject=one.subject, descriptor=content.descriptor, node=node)


def _as_manifests(
    attached: Iterable[PlannedAttachment], subjects: Mapping[Digest, Descriptor], fetch: Fetch
) -> Iterator[PlannedAttachment]:
    """Files as manifests; cosign signatures of the same image share one manifest, and its attestations another."""
    files: dict[Digest, list[Storable]] = {}
    known = dict(subjects)
    for one in attached:
        known[one.descriptor.digest] = one.descriptor  # it may be signed itself
        if one.descriptor.media_type in _FILES:
            data = fetch(one.descriptor).read()
            files.setdefault(one.subject, []).append(stored_signatures.parse_file(data))
        else:
            yield replace(one, tag=one.bare_tag)
    for subject, signatures in files.items():
        for made, tag in stored_signatures.to_artifacts(signatures, known[subject], CosignImages()):
            yield manifest_attachment(made, subject, tag)


def merge_attachments(attached: Iterable[PlannedAttachment], images: CosignImages) -> Iterator[PlannedAttachment]:
    """What to write beside cosign's ``images``, which lose nothing: what has only some of theirs is left out."""
    for one in attached:
        carried = _cosign_layers(one)
        if carried is None:
            yield one
            continue
        try:
            made = images.add(one.tag, carried, [each.content for each in one.node.inputs if isinstance(each, Copy)])
        except (LimitExceeded, DigestMismatch):
            raise
        except Invalid:  # what has the tag there is no image of cosign's, and holds nothing to keep
            yield one
            continue
        if all(stored_signatures.is_among(layer, carried) for layer in images.layers(one.tag)):
            yield one
        elif made is not None:
            yield manifest_attachment(made, one.subject, one.tag)


def is_listed(one: PlannedAttachment, there: Sequence[Attachment], fetch: Fetch) -> bool:
    """Whether an attachment is among those ``there``; of an image of cosign's, each layer."""
    if one.descriptor.digest in (each.descriptor.digest for each in there):
        return True
    carried = _cosign_layers(one)
    same = [each.descriptor for each in there if each.bare_tag == one.tag]
    if carried is None or not same:
        return False
    layers = stored_signatures.cosign_layers(fetch(each).read() for each in same)
    return all(stored_signatures.is_among(layer, layers) for layer in carried)


def _cosign_layers(one: PlannedAttachment) -> tuple[Descriptor, ...] | None:
    """The signatures, or attestations, in an image of cosign's; None for any other attachment."""
    tags = [stored_signatures.tag_of(one.subject, each) for each in (cosign.PAYLOAD, cosign.ENVELOPE)]
    if one.tag not in tags or not isinstance(one.node, Write) or one.node.media_type in types.INDEXES:
        return None
    # All that a manifest names is known before it is written.
    return stored_signatures.layers_of(forecast(one.node).data())


def manifest_attachment(made: Artifact, subject: Digest, tag: str) -> PlannedAttachment:
    return PlannedAttachment(
        subject=subject, descriptor=made.original.manifest.descriptor, tag=tag, node=plan_artifact(made)
    )


ROOT = -1
"""The place of the one image, which is not in an index."""

Statements = Mapping[int, Iterable[bytes]]
"""The envelopes of signed profiles, each once, by the place of their image in the index that is made."""


def find_statements(
    attached: Iterable[PlannedAttachment], item: Item, root: Descriptor, node: Node, fetch: Fetch
) -> tuple[Statements, frozenset[Digest]]:
    """The profiles among attachments of images that ``node`` is made of, and the attachments that hold nothing else."""
    places = _places(item, root, node)
    statements: dict[int, dict[bytes, None]] = {}
    whole = set()
    for one in attached:
        place = places.get(one.subject)
        if place is not None:
            envelopes, others = _envelopes(one.descriptor, fetch)
            if envelopes:
                statements.setdefault(place, {}).update(dict.fromkeys(envelopes))
                if not others:
                    whole.add(one.descriptor.digest)
    return statements, frozenset(whole)


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
            found = stored_signatures.parse_file(data)
            is_envelope = found.kind == kinds.ATTESTATION and _is_profile(found.data)
            return ([found.data], False) if is_envelope else ([], True)
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
    document = unless_invalid(load_object, envelope) or {}
    opened = unless_invalid(cosign.open_envelope, document)
    return opened is not None and cosign.predicate_of(opened[1]) == kinds.PROFILE
