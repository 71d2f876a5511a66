"""Signatures in a conversion: required ones are checked first, existing ones carried along, requested ones added.

Modules about signatures are imported only when needed: most images have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from converter.conversion import attachments
from converter.conversion.attachments import PlannedAttachment
from converter.conversion.find_dependencies import Require
from converter.errors import NotFound, within
from converter.model import media_types as types
from converter.model.content import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Loss
from converter.model.reference import Location
from converter.plan import Evaluated, Made, Node
from converter.ports import Fetch, Sink, Source
from converter.stores import StoreOptions, open_source, recognised

if TYPE_CHECKING:
    from converter.conversion.carried_profiles import Statement
    from converter.conversion.job import Options
    from converter.conversion.result import Done
    from converter.conversion.selection import SelectedImage
    from converter.signing import Signing
    from converter.trust.signature import Signature
    from converter.verification.wanted import Wanted

Shown = tuple[dict[str, Any], ...]


@frozen(kw_only=False)
class Carried:
    """What is carried along, in the target's form; the losses; and the carried signatures as shown to people.

    ``stated`` are signed profiles of images whose digests change, and whose content does not.
    """

    attached: tuple[PlannedAttachment, ...] = ()
    losses: tuple[Loss, ...] = ()
    signatures: Shown = ()
    stated: tuple[Statement, ...] = ()


def require_signed(source: Source, location: Location, root: Descriptor, wanted: Wanted | None, platform: str) -> None:
    """Raise Untrusted unless the image at ``root`` is signed as ``wanted``; called before the image is parsed.

    If an index is not so signed, its image for ``platform`` must be; without a platform, the index itself must.
    """
    if wanted is not None:
        from converter.verification.unverified import StoredImage
        from converter.verification.verifying import judge_with_records

        with within(str(location)):
            stored = StoredImage(source, recognised(location, source), root)
            judge_with_records(stored, replace(wanted, platform=platform)).require()


def dependency_check(wanted: Wanted | None) -> Require | None:
    """The same check for an ACI's dependencies, each under its own name; None if nothing is wanted."""
    if wanted is None:
        return None
    plain = replace(wanted, identity="", require=frozenset())
    return lambda source, location, root: require_signed(source, location, root, plain, "")


def without_signatures(attached: Iterable[PlannedAttachment], fetch: Fetch) -> tuple[PlannedAttachment, ...]:
    """The attachments that are not signatures and do not refer to a removed signature."""
    from converter.trust import signature as kinds
    from converter.trust import stored_signatures

    kept, gone = [], set()
    for one in attached:
        signatures = stored_signatures.signatures_of_attachment(one.attachment, fetch)
        if one.attachment.subject in gone or any(each.kind != kinds.ATTESTATION for each in signatures):
            gone.add(one.attachment.descriptor.digest)
        else:
            kept.append(one)
    return tuple(kept)


def carry_attachments(
    selected: SelectedImage,
    node: Node,
    there: Iterable[Made],
    destination: Location,
    *,
    elsewhere: str = "",
    profiles: Sequence[PlannedAttachment] = (),
) -> Carried:
    """Carry the attachments of the images ``there`` at the destination; the others are losses, kept ``elsewhere``.

    Signed profiles go along to what ``node`` makes of their images, unless a configuration was changed on request, as
    do those in ``profiles``.
    """
    if not selected.attached and not profiles:
        return Carried()
    from converter.conversion import carried_profiles
    from converter.conversion.target_attachments import adapted
    from converter.trust import stored_signatures

    attached, fetch = selected.attached, selected.fetch
    subjects = {made.descriptor.digest: made.descriptor for made in there}
    stated: tuple[Statement, ...] = ()
    if destination.attached and not selected.settings.changes:
        changed = [one for one in (*attached, *profiles) if one.attachment.subject not in subjects]
        stated, whole = carried_profiles.find_statements(changed, selected.item, selected.root, node, fetch)
        attached = tuple(
            one
            for one in attached
            if one.attachment.subject in subjects or one.attachment.descriptor.digest not in whole
        )
    covered, lost = attachments.split_by_subject(attached, subjects, elsewhere)
    kept, placeless = adapted(covered, destination, subjects, fetch)
    found: list[Signature] = (
        [each for one in covered for each in stored_signatures.signatures_of_attachment(one.attachment, fetch)]
        if kept
        else []
    )
    signatures = tuple(one.to_json() for one in found)
    return Carried(attached=kept, losses=(*lost, *placeless), signatures=signatures, stated=stated)


def restate_profiles(
    destination: Location, carried: Carried, tree: Evaluated, store: StoreOptions
) -> tuple[PlannedAttachment, ...]:
    """The profiles that go along, as attachments of what was made, beside those that it has at the destination."""
    if not carried.stated:
        return ()
    from converter.conversion import carried_profiles
    from converter.trust.cosign import ENVELOPE

    images = {one.place: carried_profiles.image_at(tree, one.place) for one in carried.stated}
    before = {
        place: (*_layers_at(destination, image, store, ENVELOPE), *_carried_layers(carried.attached, image, ENVELOPE))
        for place, image in images.items()
    }
    return tuple(carried_profiles.statement_attachments(carried.stated, destination, tree, before))


def show_profiles(attached: Iterable[PlannedAttachment]) -> Shown:
    """Profiles that went along, as shown to people."""
    return tuple(
        {
            "kind": "attestation",
            "location": one.attachment.tag or "signature",
            "covers": str(one.attachment.subject),
        }
        for one in attached
    )


def has_requested_signatures(source: Source, location: Location, root: Descriptor, signing: Signing) -> bool:
    """Whether an image at the destination already has every requested signature."""
    from converter.trust.makers import CosignKey
    from converter.trust.openpgp_keys import Keyring
    from converter.verification.judgement import judge
    from converter.verification.unverified import StoredImage
    from converter.verification.wanted import SIGNATURE, Wanted

    keys, keyrings = [], []
    for number, maker in enumerate(signing.makers, 1):
        if isinstance(maker, CosignKey):
            keys.append((f"key {number}", maker.key.public.der))
        else:
            keyrings.append((f"key {number}", maker.certificate()))
            if len(Keyring.load(keyrings[-1][1]).certificates) > 1:
                return False  # several keys share the name: which one signs is up to gpg
    wanted = Wanted(
        keys=tuple(keys), keyrings=tuple(keyrings), identity=signing.identity, require=frozenset({SIGNATURE})
    )
    return judge(StoredImage(source, location, root), wanted).ok


def add_signatures(sink: Sink, done: Done, options: Options) -> Shown:
    """Sign what has just been written, before the sink commits; a whole image is signed later, as a file."""
    signing, root = options.signing, done.tree.done.descriptor
    if signing is None or root.media_type in types.SINGLE_FILE_TYPES:
        return ()
    from converter.signing import attach, attach_files
    from converter.trust.cosign import PAYLOAD, SIGNATURE
    from converter.trust.identity import name_of

    destination = replace(done.target.destination, name=done.target.name)
    subject = signing.subject(root, name_of(destination, root, signing.identity))
    if destination.attached == "directory":
        return tuple(map(asdict, attach_files(sink, signing.makers, subject)))
    kept = done.target.carried.attached
    before = (*_layers_at(destination, root, options.writing, PAYLOAD), *_carried_layers(kept, root, PAYLOAD))
    distinct = {(one.digest, one.annotations.get(SIGNATURE)): one for one in before}
    return tuple(map(asdict, attach(sink, signing.makers, subject, distinct.values())))


def _carried_layers(kept: Iterable[PlannedAttachment], root: Descriptor, media_type: str) -> tuple[Descriptor, ...]:
    """The cosign signatures that the conversion carries along, as layers; or the attestations."""
    from converter.trust import stored_signatures

    tag = stored_signatures.tag_of(root.digest, media_type)
    for one in kept:
        if one.attachment.bare_tag == tag:
            return stored_signatures.layers_of(attachments.render_attachment(one.node))
    return ()


def _layers_at(destination: Location, root: Descriptor, store: StoreOptions, media_type: str) -> tuple[Descriptor, ...]:
    """The cosign signatures already at the destination; or the attestations, if envelopes are asked for."""
    from converter.signing import cosign_layers

    if not destination.kind.adds_blobs:
        return ()
    try:
        with open_source(replace(destination, name=""), store) as source:
            return cosign_layers(source, root, media_type)
    except NotFound:
        # This conversion creates the repository or layout.
        return ()
