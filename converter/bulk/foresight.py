"""Predicts the result of a plan from what this run or an earlier one has already made."""

from __future__ import annotations

from converter.execute import Memory
from converter.execute.making import packing
from converter.model.content import Derived
from converter.plan import Copy, Made, Make, Node, forecast, leaves


def foreseen(node: Node, memory: Memory) -> Made | None:
    """What a node will become, if this run or an earlier one already made its bytes; None if unknown."""

    def known(leaf: Copy | Make) -> Made | None:
        if isinstance(leaf, Copy):
            descriptor = leaf.content.descriptor.retyped(leaf.media_type)
            diff_id = leaf.diff_id or memory.get(descriptor.digest)
            return None if leaf.find_diff_id and diff_id is None else Made(descriptor=descriptor, diff_id=diff_id)
        recipe = packing(leaf.content) if isinstance(leaf.content, Derived) else None
        made = memory.packed(*recipe) if recipe else None
        if made is None or leaf.diff_id not in (None, made.diff_id):
            return None
        return Made(descriptor=made.descriptor.retyped(leaf.media_type), diff_id=made.diff_id)

    return forecast(node, known)


def size(root: Node, memory: Memory) -> int:
    """The total bytes of a tree's layers if all are foreseen, else 0."""
    found = [foreseen(leaf, memory) for leaf in leaves(root)]
    sizes = [made.descriptor.size for made in found if made is not None]
    return sum(sizes) if len(sizes) == len(found) else 0
