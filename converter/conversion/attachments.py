"""Carries attachments (signatures, attestations, SBOMs) along with an image as long as they still match.

An attachment names its subject by digest: it goes wherever that digest goes, and stays behind if the digest changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from converter import formats
from converter.errors import Invalid, NotFound, Unsupported, within
from converter.formats.manifest import plan_artifact
from converter.model import media_types as types
from converter.model.content import Descriptor, Digest, Known
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment, Loss, Original
from converter.plan import Copy, Node, forecast
from converter.ports import Fetch
from converter.transform import read_whole_index

MAX_DEPTH = 4
"""Signatures can be signed, and attestations attested; they are followed to this depth."""


class ReferrerListing(Protocol):
    """Lists and fetches what refers to images: a source, or something that acts like one."""

    def fetch(self, descriptor: Descriptor) -> Known: ...

    def attachments(self, subject: Digest) -> Iterable[Attachment]: ...


TRAIL = "attachments"
"""The error trail for what concerns an image's attachments, not the image itself."""


@frozen(kw_only=False)
class PlannedAttachment:
    """An attachment of the source, and the plan of its copy."""

    attachment: Attachment
    node: Node


@frozen(kw_only=False)
class FoundAttachments:
    """What refers to an image, and a loss for each attachment that cannot be read: those do not fail the image."""

    attached: tuple[PlannedAttachment, ...] = ()
    losses: tuple[Loss, ...] = ()


@within(TRAIL)
def find_attachments(source: ReferrerListing, subjects: Iterable[Digest]) -> FoundAttachments:
    """Everything that refers to the subjects, directly or indirectly, each once.

    A listing that fails is an error, not a loss, because nobody can tell what would be lost.
    """
    found: dict[tuple[Digest, Digest], PlannedAttachment] = {}
    losses: dict[Digest, Loss] = {}
    waiting = list(subjects)
    for _ in range(MAX_DEPTH):
        fresh = []
        for subject in waiting:
            for attachment in source.attachments(subject):
                key = (attachment.subject, attachment.descriptor.digest)
                if key in found:
                    continue
                try:
                    found[key] = PlannedAttachment(attachment=attachment, node=_plan_attachment(source, attachment))
                except (Invalid, NotFound, Unsupported) as error:
                    digest = attachment.descriptor.digest
                    losses[digest] = Loss(field=f"attachments/{digest}", reason=f"it cannot be read: {error}")
                else:
                    fresh.append(attachment.descriptor.digest)
        waiting = fresh
    return FoundAttachments(attached=tuple(found.values()), losses=tuple(losses.values()))


def fetch_from_either(other: ReferrerListing, fetch: Fetch) -> Fetch:
    """Fetch from ``other`` and, if it lacks the blob, with ``fetch``; a registry shows what it lacks only when it is
    read.
    """

    def either(descriptor: Descriptor) -> Known:
        try:
            return other.fetch(descriptor)
        except NotFound:
            return fetch(descriptor)

    return either


def are_listed_in(attached: Iterable[PlannedAttachment], other: ReferrerListing) -> bool:
    """Whether each attachment, by subject and digest, is listed in another place, too."""
    expected = {(one.attachment.subject, one.attachment.descriptor.digest) for one in attached}
    subjects = {subject for subject, _ in expected}
    return expected <= {(subject, one.descriptor.digest) for subject in subjects for one in other.attachments(subject)}


def split_by_subject(
    attached: Iterable[PlannedAttachment], subjects: Iterable[Digest], elsewhere: str = ""
) -> tuple[tuple[PlannedAttachment, ...], tuple[Loss, ...]]:
    """The attachments whose subjects the target has, and a loss for those whose subjects it lacks."""
    present = set(subjects)
    kept: list[PlannedAttachment] = []
    left: list[PlannedAttachment] = []
    for one in attached:
        if one.attachment.subject in present:
            kept.append(one)
            present.add(one.attachment.descriptor.digest)
        else:
            left.append(one)
    if not left:
        return tuple(kept), ()
    what = "attachment (a signature or the like) is" if len(left) == 1 else "attachments (signatures or the like) are"
    reason = f"{len(left)} {what} about the original image, which has another digest"
    return tuple(kept), (Loss(field="attachments", reason=reason, kept=elsewhere),)


def render_attachment(node: Node) -> bytes:
    """The manifest of an attachment, as it will be written; all that it names is known in advance."""
    return node.content.read() if isinstance(node, Copy) else forecast(node).data()


def _plan_attachment(source: ReferrerListing, attachment: Attachment) -> Node:
    known = source.fetch(attachment.descriptor)
    if attachment.descriptor.media_type == types.DOCKER_MANIFEST:
        return plan_artifact(_as_oci_artifact(known, source.fetch))
    if attachment.descriptor.media_type in types.MANIFESTS | types.INDEXES | {types.OCI_ARTIFACT}:
        read = formats.item_reader(source.fetch)
        return formats.encode_mixed(read_whole_index(read(attachment.descriptor), read), frozenset())
    return Copy(content=known, media_type=attachment.descriptor.media_type, label="attachment")


def _as_oci_artifact(manifest: Known, fetch: Fetch) -> Artifact:
    """What cosign stores under COSIGN_DOCKER_MEDIA_TYPES: its layer types occur in no Docker image."""
    from converter.trust.stored_signatures import layers_of

    data = manifest.read()
    config = Descriptor.from_json(load_object(data).get("config"))
    return Artifact(
        original=Original(format="docker", manifest=manifest), blobs=tuple(map(fetch, (config, *layers_of(data))))
    )
