"""What a plan will come to, as far as this run or an earlier one has made its parts before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converter.execute import Memory
from converter.execute.making import packing
from converter.model.content import Derived
from converter.model.descriptor import Descriptor
from converter.plan import Copy, Made, Make, Node, leaves


def foreseen(node: Node, memory: Memory) -> Made | None:
    """What a node will be, as far as its bytes were made before: by this run or an earlier one. None: not known."""
    if isinstance(node, Make):
        recipe = packing(node.content) if isinstance(node.content, Derived) else None
        made = memory.packed(*recipe) if recipe else None
        if made is None or node.diff_id not in (None, made.diff_id):
            return None
        return Made(descriptor=made.descriptor.retyped(node.media_type), diff_id=made.diff_id)
    if isinstance(node, Copy):
        descriptor = node.content.descriptor.retyped(node.media_type)
        diff_id = node.diff_id or memory.get(descriptor.digest)
        return None if node.find_diff_id and diff_id is None else Made(descriptor=descriptor, diff_id=diff_id)
    inputs = tuple(_all(node.inputs, memory))
    if len(inputs) < len(node.inputs):
        return None
    return Made(descriptor=Descriptor.of(node.render(inputs), node.media_type))


def _all(nodes: Sequence[Node], memory: Memory) -> Iterator[Made]:
    for node in nodes:
        made = foreseen(node, memory)
        if made is None:
            return
        yield made


def size(root: Node, memory: Memory) -> int:
    """The bytes of a tree that is foreseen, 0 where it is not."""
    found = [foreseen(leaf, memory) for leaf in distinct(root) if leaf is not root]
    whole = foreseen(root, memory)
    if whole is None:
        return 0
    return whole.descriptor.size + sum(made.descriptor.size for made in found if made is not None)


def distinct(root: Node) -> list[Copy | Make]:
    """The leaves of a tree, each once."""
    return list({id(leaf): leaf for leaf in leaves(root)}.values())
