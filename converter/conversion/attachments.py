"""What refers to an image (signatures, attestations, SBOMs): required, carried along as long as it matches, or added.

An attachment names its subject by digest: it goes wherever that digest goes, and stays behind if the digest changes.
If a signed image changes its digest, an origin record keeps what was signed; here is decided whether one is due.
Modules about signatures are imported only when needed: most images have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from converter import formats
from converter.errors import Invalid, NotFound, Unsupported, within
from converter.formats.manifest import plan_artifact
from converter.model import media_types as types
from converter.model.content import Known, blocks_of
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment, Loss, Original
from converter.model.reference import Location
from converter.plan import Copy, Evaluated, Node, forecast
from converter.ports import Fetch, Sink, Source
from converter.stores import recognised
from converter.transform import whole_item

if TYPE_CHECKING:
    from converter.conversion.result import Done
    from converter.conversion.selection import SelectedImage
    from converter.conversion.target_attachments import Statements
    from converter.signing import Signing
    from converter.trust.stored_signatures import CosignImages, Storable
    from converter.verification.wanted import Wanted

Shown = tuple[dict[str, Any], ...]

SIGNED, ALWAYS, NEVER = "signed", "always", "never"
MODES = (ALWAYS, SIGNED, NEVER)

KEPT = "the origin record"
"""``Loss.kept`` for what the record holds byte for byte: ``strict`` does not count that as a loss."""

MAX_DEPTH = 4
"""Signatures can be signed, and attestations attested; they are followed to this depth."""


class ReferrerListing(Protocol):
    """Lists and fetches what refers to images: a source, or something that acts like one."""

    def fetch(self, descriptor: Descriptor) -> Known: ...

    def attachments(self, subject: Digest) -> Iterable[Attachment]: ...


TRAIL = "attachments"
"""The error trail for what concerns an image's attachments, not the image itself."""


@frozen
class PlannedAttachment(Attachment):
    """An attachment of the source, and the plan of its copy."""

    node: Node

    def contents(self) -> Iterator[Known]:
        """All that it consists of: each document, before what it names."""
        for one in forecast(self.node).walk():
            if isinstance(one.node, Copy):
                yield one.node.content
            else:
                yield Known(one.done.descriptor, blocks_of(one.data()))


def fetch_among(attached: Iterable[PlannedAttachment]) -> Fetch:
    """Fetch what the attachments consist of, wherever that comes from."""
    contents = {known.descriptor.digest: known for one in attached for known in one.contents()}

    def fetch(descriptor: Descriptor) -> Known:
        if descriptor.digest not in contents:
            raise NotFound(f"blob unknown: {descriptor.digest} in what refers to the image")
        return contents[descriptor.digest]

    return fetch


@within(TRAIL)
def find_attachments(
    source: ReferrerListing, subjects: Iterable[Digest]
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    """Everything that refers to the subjects, directly or indirectly, each once; and a loss for each attachment that
    cannot be read: those do not fail the image.

    A listing that fails is an error, not a loss, because nobody can tell what would be lost.
    """
    found: dict[tuple[Digest, Digest], PlannedAttachment] = {}
    losses: dict[Digest, Loss] = {}
    waiting = list(subjects)
    for _ in range(MAX_DEPTH):
        fresh = []
        for subject in waiting:
            for attachment in source.attachments(subject):
                descriptor, digest = attachment.descriptor, attachment.descriptor.digest
                key = (attachment.subject, digest)
                if key in found:
                    continue
                try:
                    node = _plan_attachment(source, descriptor)
                except (Invalid, NotFound, Unsupported) as error:
                    losses[digest] = Loss(field=f"attachments/{digest}", reason=f"it cannot be read: {error}")
                else:
                    found[key] = PlannedAttachment(
                        subject=attachment.subject, descriptor=descriptor, tag=attachment.tag, node=node
                    )
                    fresh.append(digest)
        waiting = fresh
    return tuple(found.values()), tuple(losses.values())


def are_listed_in(attached: Sequence[PlannedAttachment], other: ReferrerListing) -> bool:
    """Whether another place has each attachment, too, by subject and digest, or all signatures that are in it."""
    if not attached:
        return True
    from converter.conversion.target_attachments import is_listed

    listed = {subject: tuple(other.attachments(subject)) for subject in {one.subject for one in attached}}
    return all(is_listed(one, listed[one.subject], other.fetch) for one in attached)


def split_by_subject(
    attached: Sequence[PlannedAttachment], subjects: Iterable[Digest], *, recorded: bool
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    """The attachments whose subjects the target has, and a loss for those whose subjects it lacks."""
    present = set(subjects)
    kept: list[PlannedAttachment] = []
    for one in attached:
        if one.subject in present:
            kept.append(one)
            present.add(one.descriptor.digest)
    left = len(attached) - len(kept)
    if not left:
        return tuple(kept), ()
    what = "attachment (a signature or the like) is" if left == 1 else "attachments (signatures or the like) are"
    reason = f"{left} {what} about the original image, which has another digest"
    return tuple(kept), (Loss(field="attachments", reason=reason, kept=KEPT if recorded else ""),)


def _plan_attachment(source: ReferrerListing, descriptor: Descriptor) -> Node:
    known, media_type = source.fetch(descriptor), descriptor.media_type
    if media_type == types.DOCKER_MANIFEST:
        # What cosign stores under COSIGN_DOCKER_MEDIA_TYPES: its layer types occur in no Docker image.
        from converter.trust.stored_signatures import layers_of

        data = known.read()
        blobs = (Descriptor.from_json(load_object(data).get("config")), *layers_of(data))
        original = Original(format="docker", manifest=known)
        return plan_artifact(Artifact(original=original, blobs=tuple(map(source.fetch, blobs))))
    if media_type in types.MANIFESTS | types.INDEXES | {types.OCI_ARTIFACT}:
        node = formats.encode_mixed(whole_item(source.fetch, descriptor), frozenset())
        if not forecast(node).has_digest(descriptor.digest):
            raise Unsupported("it has an image that would have to be converted, as one of schema 1")
        return node
    return Copy(content=known, media_type=media_type, label="attachment")


@frozen(kw_only=False)
class Carried:
    """What is carried along, in the target's form; the losses; and the carried signatures as shown to people.

    ``stated`` are the signed profiles of images whose digests change, and whose content does not, by their place.
    """

    attached: tuple[PlannedAttachment, ...] = ()
    losses: tuple[Loss, ...] = ()
    signatures: Shown = ()
    stated: Statements = field(default_factory=dict)


def require_signed(source: Source, location: Location, root: Descriptor, wanted: Wanted | None, platform: str) -> None:
    """Raise Untrusted unless the image at ``root`` is signed as ``wanted``; called before the image is parsed.

    If an index is not so signed, its image for ``platform`` must be; without a platform, the index itself must.
    """
    if wanted is not None:
        from converter.verification.unverified import StoredImage
        from converter.verification.verify_image import judge_with_records

        with within(str(location)):
            stored = StoredImage(source, recognised(location, source), root)
            judge_with_records(stored, replace(wanted, platform=platform)).require()


def without_signatures(attached: Sequence[PlannedAttachment]) -> tuple[PlannedAttachment, ...]:
    """The attachments that are not signatures and do not refer to a removed signature."""
    from converter.trust import signature as kinds, stored_signatures

    fetch = fetch_among(attached)
    kept, gone = [], set()
    for one in attached:
        signatures = stored_signatures.signatures_of_attachment(one, fetch)
        if one.subject in gone or any(each.kind != kinds.ATTESTATION for each in signatures):
            gone.add(one.descriptor.digest)
        else:
            kept.append(one)
    return tuple(kept)


def carry_attachments(
    selected: SelectedImage,
    tree: Evaluated,
    destination: Location,
    *,
    recorded: bool = False,
    profiles: Sequence[PlannedAttachment] = (),
) -> Carried:
    """Carry the attachments of the images that ``tree`` is known to have; the others are losses, kept in the origin
    record if the image is ``recorded``.

    Signed profiles go along to what becomes of their images, unless a configuration was changed on request, as do those
    in ``profiles``.
    """
    if not selected.attached and not profiles:
        return Carried()
    from converter.conversion.target_attachments import adapted, find_statements
    from converter.trust import stored_signatures

    attached, fetch = selected.attached, fetch_among((*selected.attached, *profiles))
    subjects = {made.descriptor.digest: made.descriptor for made in tree.documents()}
    stated: Statements = {}
    if destination.attached and not selected.settings.changes:
        changed = [one for one in (*attached, *profiles) if one.subject not in subjects]
        stated, whole = find_statements(changed, selected.item, selected.root, tree.node, fetch)
        attached = tuple(one for one in attached if one.subject in subjects or one.descriptor.digest not in whole)
    covered, lost = split_by_subject(attached, subjects, recorded=recorded)
    kept, placeless = adapted(covered, destination, subjects, fetch)
    signatures: list[dict[str, Any]] = []
    for one in covered if kept else ():
        signatures += (each.to_json() for each in stored_signatures.signatures_of_attachment(one, fetch))
    return Carried(attached=kept, losses=(*lost, *placeless), signatures=tuple(signatures), stated=stated)


def has_requested_signatures(there: Source, done: Done, signing: Signing | None) -> bool:
    """Whether the image at its destination already has every requested signature."""
    if signing is None or not signing.makers:
        return True
    from converter.trust.makers import CosignKey
    from converter.trust.openpgp_keys import Keyring
    from converter.verification.judgement import judge
    from converter.verification.unverified import StoredImage
    from converter.verification.wanted import SIGNATURE, Wanted

    keys, keyrings = [], []
    for number, maker in enumerate(signing.makers, 1):
        name = f"key {number}"
        if isinstance(maker, CosignKey):
            keys.append((name, maker.public.der))
        else:
            certificate = maker.certificate()
            if len(Keyring.load(certificate).certificates) > 1:
                return False  # several keys share the name: which one signs is up to gpg
            keyrings.append((name, certificate))
    wanted = Wanted(
        keys=tuple(keys), keyrings=tuple(keyrings), identity=signing.identity, require=frozenset({SIGNATURE})
    )
    return judge(StoredImage(there, done.target.destination, done.tree.done.descriptor), wanted).ok


class AttachmentWriter:
    """Puts what refers to images beside them, into the sink that has the images, or is to receive them.

    cosign's signatures of an image share a manifest, and so do its attestations: they are merged with those that the
    destination has, whether they are carried along or made here.
    """

    def __init__(self, sink: Sink, signing: Signing | None) -> None:
        self._sink = sink
        self._signing = signing

    @cached_property
    def _images(self) -> CosignImages:
        from converter.trust.stored_signatures import CosignImages

        return CosignImages(self._sink.tagged)

    def merged(self, attached: Sequence[PlannedAttachment]) -> list[PlannedAttachment]:
        """What is carried along, merged with what is there."""
        if not attached:
            return []
        from converter.conversion.target_attachments import merge_attachments

        return list(merge_attachments(attached, self._images))

    @within(TRAIL)
    def restate_profiles(self, done: Done) -> Shown:
        """Attach the profiles that go along to what was made; returns them as shown to people."""
        if not done.target.carried.stated:
            return ()
        from converter.conversion.target_attachments import image_at
        from converter.trust.signature import PROFILE
        from converter.trust.stored_signatures import envelope_payload

        shown: list[dict[str, Any]] = []
        for place, envelopes in done.target.carried.stated.items():
            made = [envelope_payload(one, PROFILE) for one in envelopes]
            shown += self._store(made, image_at(done.tree, place), done.target.destination.attached)
        return tuple(shown)

    def add_signatures(self, done: Done) -> Shown:
        """Sign what has just been written; a whole image is signed later, as a file."""
        signing, root = self._signing, done.tree.done.descriptor
        if signing is None or root.media_type in types.SINGLE_FILE_TYPES:
            return ()
        from converter.trust.identity import name_of

        destination = replace(done.target.destination, name=done.target.name)
        name = signing.name(root, name_of(destination, root, signing.identity))
        stored = self._store(signing.signatures(root, name), root, destination.attached)
        return tuple({**one, "identity": str(name)} for one in stored)

    def _store(self, made: Sequence[Storable], image: Descriptor, form: str) -> Iterator[dict[str, Any]]:
        """Store signatures, or attestations; yields each as shown to people."""
        from converter.signing import store_signatures

        store_signatures(self._sink, made, image, form, self._images)
        for one in made:
            location = "signature" if form == "directory" else one.location(image)
            yield {"kind": one.kind, "location": location, "covers": str(image.digest)}


def place_of(destination: Location) -> str:
    """Where signatures and records go: the transport, except that nothing can lie beside a file that is piped."""
    return "standard output" if destination.piped else destination.transport


def may_need_record(selected: SelectedImage, mode: str) -> bool:
    """Whether a record would be due if the digest changed."""
    return mode == ALWAYS or (mode != NEVER and _is_signed(selected))


def record_loss(destination: Location) -> Loss:
    """The loss when a record is due where it has no place."""
    where = f"{place_of(destination)} has no place for an origin record"
    return Loss(field="origin", reason=f"{where}: nobody can tell from the image that it was signed")


def _is_signed(selected: SelectedImage) -> bool:
    """Whether the image, or the one it was converted from, is signed."""
    has_schema1 = selected.root.media_type == types.DOCKER_SCHEMA1_SIGNED
    if not selected.attached and not has_schema1:
        return False
    from converter.trust import origin_record, stored_signatures

    attached, fetch = selected.attached, fetch_among(selected.attached)
    if any(stored_signatures.signatures_of_attachment(one, fetch) for one in attached):
        return True
    if origin_record.find_records(attached, fetch):
        return True
    if not has_schema1:
        return False
    manifest = selected.source.fetch(selected.root).read()
    return any(stored_signatures.embedded_signatures(manifest, selected.root))
