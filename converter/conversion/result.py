"""What a conversion did, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.model import media_types as types
from converter.model.content import Derived, Known
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.plan import Copy, Loss, Made, Make, Node, Write, leaves


@frozen
class LayerResult:
    """What became of a layer: ``relation`` is identical, recompressed, retarred or squashed. None: not known yet."""

    source: Digest | None
    target: Digest | None
    diff_id: Digest | None
    relation: str


@frozen
class TargetResult:
    """What is at a destination. ``digest`` and ``image_id`` are None if a dry run cannot know them.

    ``name`` is the image's name there, empty if it has none or the destination itself is its name. ``image_id`` is the
    digest of the configuration, or the ``sha512-…`` of an ACI; ``preserved`` means that the root's digest has not
    changed; ``size`` is that of its layers, or of an ACI's files, in bytes, as far as known.
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


Lookup = Mapping[int, Made]
"""What each node became, by the node's ``id()``."""


def image_id(root: Node, made: Lookup) -> str | None:
    """The ID by which a runtime knows the image; None for an index, or if not known yet."""
    if isinstance(root, Write):
        if root.media_type not in types.MANIFESTS or not root.inputs or id(root.inputs[0]) not in made:
            return None
        return str(made[id(root.inputs[0])].descriptor.digest)
    diff_id = made[id(root)].diff_id if id(root) in made and root.media_type == types.ACI else None
    return None if diff_id is None else diff_id.dashed


def layer_results(root: Node, made: Lookup) -> tuple[LayerResult, ...]:
    """One row per leaf of the plan, in the order of the document that names them."""
    rows = []
    for leaf in leaves(root):
        there = made.get(id(leaf))
        rows.append(
            LayerResult(
                source=_source(leaf),
                target=there.descriptor.digest if there else None,
                diff_id=there.diff_id if there else leaf.diff_id,
                relation=_relation(leaf),
            )
        )
    return tuple(rows)


def size_of(root: Node, made: Lookup) -> int:
    """The size in bytes of the layers, or of an ACI's files, as far as known."""
    found = (made.get(id(leaf)) for leaf in leaves(root))
    return sum(there.descriptor.size for there in found if there is not None)


def _source(leaf: Copy | Make) -> Digest | None:
    content = leaf.content
    while isinstance(content, Derived) and len(content.inputs) == 1:
        content = content.inputs[0].content
    return content.descriptor.digest if isinstance(content, Known) else None


def _relation(leaf: Copy | Make) -> str:
    if isinstance(leaf, Copy):
        return "identical"
    if not isinstance(leaf.content, Derived):
        return "retarred"
    if leaf.content.rewrite is None:
        return "recompressed"
    return "squashed" if len(leaf.content.inputs) > 1 else "retarred"
