"""Copies signed profiles to a converted image: its content is still the one that they state.

If an image keeps its digest, its profiles are copied like its other attachments. A copied profile is not trusted:
``verify`` compares it with the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from converter.conversion.attachments import PlannedAttachment
from converter.conversion.target_attachments import file_attachment, manifest_attachment
from converter.errors import ConverterError, Invalid
from converter.model import media_types as types
from converter.model.content import Descriptor, Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Image, Index, Item
from converter.model.reference import Location
from converter.plan import Evaluated, Node, Write
from converter.ports import Fetch
from converter.trust import cosign, stored_signatures
from converter.trust.signature import PROFILE
from converter.trust.stored_signatures import SIGSTORE_FILE, parse_sigstore_file

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
