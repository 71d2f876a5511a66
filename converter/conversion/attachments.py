"""Attachments of an image (signatures, attestations, SBOMs) travel with it as long as they still match.

An attachment names its subject by digest: it goes wherever that digest goes, and stays behind where it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from converter import formats
from converter.edits import read_whole
from converter.errors import Invalid, NotFound, Unsupported, within
from converter.formats.manifest import carry
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment, Item, Original
from converter.plan import Copy, Loss, Made, Node, Write, forecast
from converter.ports import Fetch

MAX_DEPTH = 4
"""A signature can be signed, and an attestation attested: so far, and no further."""


class Listing(Protocol):
    """Where one finds what refers to images: a source, and what is much like one."""

    def fetch(self, descriptor: Descriptor) -> Known: ...

    def attachments(self, subject: Digest) -> Iterable[Attachment]: ...


TRAIL = "attachments"
"""Where an error happened that is about what refers to the image, and not about the image."""


@frozen(kw_only=False)
class Attached:
    """An attachment of the source, and the plan of its copy."""

    attachment: Attachment
    node: Node


@frozen(kw_only=False)
class Found:
    """What refers to an image, and a loss for each that cannot be read: an image need not suffer for those."""

    attached: tuple[Attached, ...] = ()
    losses: tuple[Loss, ...] = ()


@within(TRAIL)
def find(source: Listing, subjects: Iterable[Digest], depth: int = MAX_DEPTH) -> Found:
    """Everything that refers to the subjects, and of what refers to them, each once.

    Where it cannot be listed, nobody knows what there is to lose: that is an error, and no loss.
    """
    found: dict[tuple[Digest, Digest], Attached] = {}
    losses: dict[Digest, Loss] = {}
    waiting = list(subjects)
    for _ in range(depth):
        fresh = []
        for subject in waiting:
            for attachment in source.attachments(subject):
                key = (attachment.subject, attachment.descriptor.digest)
                if key in found:
                    continue
                try:
                    found[key] = Attached(attachment=attachment, node=_node(source, attachment))
                except (Invalid, NotFound, Unsupported) as error:
                    digest = attachment.descriptor.digest
                    losses[digest] = Loss(field=f"attachments/{digest}", reason=f"it cannot be read: {error}")
                else:
                    fresh.append(attachment.descriptor.digest)
        waiting = fresh
    return Found(attached=tuple(found.values()), losses=tuple(losses.values()))


def first(other: Listing, fetch: Fetch) -> Fetch:
    """What ``other`` has and, for all else, ``fetch``: a registry does not tell what it lacks before that is read."""

    def either(descriptor: Descriptor) -> Known:
        try:
            return other.fetch(descriptor)
        except NotFound:
            return fetch(descriptor)

    return either


def split(
    attached: Iterable[Attached], subjects: Iterable[Digest], elsewhere: str = ""
) -> tuple[tuple[Attached, ...], tuple[Loss, ...]]:
    """Those that hold of the subjects, which the target has, and a loss for those that do not."""
    held = set(subjects)
    kept: list[Attached] = []
    left: list[Attached] = []
    for one in attached:
        if one.attachment.subject in held:
            kept.append(one)
            held.add(one.attachment.descriptor.digest)
        else:
            left.append(one)
    if not left:
        return tuple(kept), ()
    what = "attachment speaks" if len(left) == 1 else "attachments speak"
    reason = f"{len(left)} {what} of a digest that the target does not have"
    return tuple(kept), (Loss(field="attachments", reason=reason, kept=elsewhere),)


def documents(node: Node, made: Mapping[int, Made] = MappingProxyType({})) -> Iterator[Made]:
    """The roots, of manifests and indexes, that are ``made``, or known before they are."""
    there = made.get(id(node)) or forecast(node)
    if there is not None:
        yield there
    if isinstance(node, Write):
        for child in node.inputs:
            if isinstance(child, Write):
                yield from documents(child, made)


def rendered(node: Node) -> bytes:
    """The manifest of an attachment, as it will be: all that it names is known."""
    if isinstance(node, Copy):
        return node.content.read()
    assert isinstance(node, Write), "nothing of an attachment is made"
    made = tuple(filter(None, map(forecast, node.inputs)))
    return node.render(made)


def _node(source: Listing, attachment: Attachment) -> Node:
    def read(descriptor: Descriptor) -> Item:
        return formats.decode(source.fetch(descriptor), source.fetch)

    known = source.fetch(attachment.descriptor)
    if attachment.descriptor.media_type == types.DOCKER_MANIFEST:
        return carry(_of_docker(known, source.fetch))
    if attachment.descriptor.media_type in types.MANIFESTS | types.INDEXES:
        return formats.encode_mixed(read_whole(read(attachment.descriptor), read), frozenset())
    return Copy(content=known, media_type=attachment.descriptor.media_type, label="attachment")


def _of_docker(manifest: Known, fetch: Fetch) -> Artifact:
    """cosign's, under COSIGN_DOCKER_MEDIA_TYPES: its layers are of types that no image of Docker's has."""
    from converter.trust.artifact import layers_of

    data = manifest.read()
    config = Descriptor.from_json(load_object(data).get("config"))
    return Artifact(
        original=Original(format="docker", manifest=manifest), blobs=tuple(map(fetch, (config, *layers_of(data))))
    )
