"""What a conversion did, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from converter.conversion.attachments import Shown
from converter.conversion.planning import PlannedTarget
from converter.model import media_types as types
from converter.model.content import Derived, Known, source_blobs
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.image import Loss
from converter.plan import Copy, Evaluated, Leaf, Write


@frozen
class LayerResult:
    """What became of a layer: ``relation`` is identical, recompressed, retarred or squashed. None: not known yet.

    ``sources`` are the blobs that it was made of, base first; ``size`` is its own in bytes. ``reason`` says why it was
    recompressed.
    """

    source: Digest | None
    target: Digest | None
    diff_id: Digest | None
    relation: str
    sources: tuple[Descriptor, ...] = ()
    size: int | None = None
    reason: str = ""


@frozen
class TargetResult:
    """What is at a destination. ``digest`` and ``image_id`` are None if a dry run cannot know them.

    ``name`` is the image's name there, empty if it has none or the destination itself is its name. ``image_id`` is the
    digest of the configuration, or the ``sha512-…`` of an ACI; ``preserved`` means that the root's digest has not
    changed; ``size`` is that of its layers, or of an ACI's files, in bytes, as far as known. ``source_digest`` is that
    of the source's root, ``changed_by`` why it is another here: platform, format, squash, compression, change.
    """

    destination: str
    format: str
    digest: Digest | None
    media_type: str
    image_id: str | None
    preserved: bool
    losses: tuple[Loss, ...] = ()
    signatures: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[LayerResult, ...] = ()
    size: int = 0
    name: str = ""
    source_digest: Digest | None = None
    changed_by: tuple[str, ...] = ()


State = Literal["written", "there", "planned"]
"""``there``: the target already had it, even if it was made to find out; ``planned``: a dry run would write it."""


@frozen
class Done:
    """What became of one target: its plan as far as evaluated, and the signatures that were added."""

    target: PlannedTarget
    tree: Evaluated
    state: State
    signatures: Shown = ()

    @property
    def preserved(self) -> bool:
        """Whether the digest is known to be that of the source."""
        return self.tree.has_digest(self.target.selected.root.digest)

    @property
    def changed_by(self) -> tuple[str, ...]:
        """Why the digest is another than at the source; empty if it is the same."""
        return () if self.preserved else self.target.reasons()

    @property
    def result(self) -> TargetResult:
        """The result for people and programs."""
        target, there = self.target, self.tree.made
        return TargetResult(
            destination=str(target.destination),
            # What ``docker load`` reads is shown as Docker's, whatever manifest it has.
            format="docker" if target.destination.kind.docker_unpacks else target.format.name,
            digest=there.descriptor.digest if there else None,
            media_type=there.descriptor.media_type if there else self.tree.node.media_type,
            image_id=image_id(self.tree),
            preserved=self.preserved,
            losses=target.losses,
            signatures=(*target.carried.signatures, *self.signatures),
            layers=tuple(map(layer_result, image_layers(self.tree))),
            size=size_of(self.tree),
            name=target.name,
            source_digest=target.selected.root.digest,
            changed_by=self.changed_by,
        )


@frozen
class Result:
    """What a conversion did; ``seconds`` is the elapsed wall time."""

    source: str
    targets: tuple[TargetResult, ...]
    seconds: float

    @property
    def digest(self) -> Digest | None:
        """The digest of the first target's root."""
        return self.targets[0].digest

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What any of the targets could not hold."""
        return tuple(loss for target in self.targets for loss in target.losses)

    @property
    def layers(self) -> tuple[LayerResult, ...]:
        """What became of each layer in the first target."""
        return self.targets[0].layers


def image_id(root: Evaluated) -> str | None:
    """The ID by which a runtime knows the image; None for an index, or if not known yet."""
    media_type, made = root.node.media_type, root.made
    if media_type in types.SINGLE_FILE_TYPES:
        return made.diff_id.dashed if made and made.diff_id else None
    if media_type not in types.MANIFESTS or not root.inputs:
        return None
    config = root.inputs[0].made
    return str(config.descriptor.digest) if config else None


def layer_result(layer: Evaluated) -> LayerResult:
    """What became of a leaf of the plan."""
    leaf, content = layer.leaf, layer.leaf.content
    sources: tuple[Descriptor, ...] = ()
    if isinstance(content, Known | Derived):
        sources = tuple(one.descriptor for one in source_blobs(content))
    row = LayerResult(
        source=sources[0].digest if len(sources) == 1 else None,
        target=None,
        diff_id=leaf.diff_id,
        relation=_relation(leaf),
        sources=sources,
        reason=content.reason if isinstance(content, Derived) else "",
    )
    if layer.made is None:
        return row
    made = layer.made.descriptor
    return replace(row, target=made.digest, size=made.size, diff_id=layer.made.diff_id)


def image_layers(root: Evaluated) -> Iterator[Evaluated]:
    """A leaf for each layer of the images in the tree. The blobs of an attestation in an index are not layers."""
    if root.node.media_type not in types.INDEXES:
        yield from root.layers()
        return
    for one in root.inputs:
        if isinstance(one.node, Write) and not one.node.carried:
            yield from image_layers(one)


def size_of(root: Evaluated) -> int:
    """The size in bytes of the layers, or of an ACI's files, as far as known."""
    return sum(layer.made.descriptor.size for layer in image_layers(root) if layer.made is not None)


def _relation(leaf: Leaf) -> str:
    if isinstance(leaf, Copy):
        return "identical"
    if not isinstance(leaf.content, Derived):
        return "retarred"
    if leaf.content.rewrite is None:
        return "recompressed"
    return "squashed" if len(leaf.content.inputs) > 1 else "retarred"
