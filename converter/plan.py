"""A plan is the Merkle tree of the output, with holes; execution fills the holes from the leaves up.

If every leaf is a copy there are no holes, and the digest of the root is known before any byte is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from converter.model.content import Derived, Known, Rewrite
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen


@frozen
class Made:
    """A finished node: its descriptor, the digest of its uncompressed bytes, and notes taken while it was made."""

    descriptor: Descriptor
    diff_id: Digest | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


@frozen
class Copy:
    """Bytes that go to the target unchanged, perhaps under another media type.

    A known ``diff_id`` is verified; with ``find_diff_id``, an unknown one is computed during the copy, because
    documents that name the node need it. ``examine`` is a rewrite whose result is discarded: input that it refuses is
    not copied, and the digest of what it read becomes known. ``algorithm`` is that of these digests. ``label`` names
    the node for people.
    """

    content: Known
    media_type: str
    diff_id: Digest | None = None
    find_diff_id: bool = False
    examine: Rewrite | None = None
    algorithm: str = "sha256"
    label: str = ""


Derive = Callable[[tuple[Made, ...]], Derived]


@frozen
class Make:
    """Bytes to be made; the result must match the ``diff_id``, if that is known.

    If the bytes name other nodes, as an ACI names its dependencies, those are its ``inputs``: they are made first, and
    ``content`` is a pure function of the results, in order.
    """

    content: Derived | Derive
    media_type: str
    diff_id: Digest | None = None
    inputs: tuple[Node, ...] = ()
    label: str = ""

    def derived(self, made: tuple[Made, ...]) -> Derived:
        """The content to make, given the finished inputs."""
        return self.content if isinstance(self.content, Derived) else self.content(made)


Render = Callable[[tuple[Made, ...]], bytes]


@frozen
class Write:
    """A document that names its inputs; ``render`` is pure and gets them in order. ``algorithm`` is for its digest.

    A ``carried`` document is passed on byte for byte; all others must conform to their specifications.
    """

    media_type: str
    inputs: tuple[Node, ...]
    render: Render
    algorithm: str = "sha256"
    carried: bool = False

    def described(self, data: bytes) -> Descriptor:
        """The descriptor of the rendered document."""
        return Descriptor.of(data, self.media_type, self.algorithm)


Node = Copy | Make | Write


@frozen
class Loss:
    """Something the target cannot hold: which field, why, and where it is kept instead (empty: nowhere)."""

    field: str
    reason: str
    kept: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}; {f'kept in {self.kept}' if self.kept else 'not kept'}"


@frozen
class Plan:
    """What will be in the target, and what will be lost."""

    root: Node
    losses: tuple[Loss, ...] = ()


def told(leaf: Copy | Make) -> Made | None:
    """The result of a leaf, if the plan alone determines it, else None."""
    if isinstance(leaf, Make) or (leaf.find_diff_id and leaf.diff_id is None):
        return None
    return Made(descriptor=leaf.content.descriptor.retyped(leaf.media_type), diff_id=leaf.diff_id)


def forecast(node: Node, known: Callable[[Copy | Make], Made | None] = told) -> Made | None:
    """The result of a node, or None if it depends on leaves that are not ``known``."""
    if not isinstance(node, Write):
        return known(node)
    ready: list[Made] = []
    for child in node.inputs:
        made = forecast(child, known)
        if made is None:
            return None
        ready.append(made)
    return Made(descriptor=node.described(node.render(tuple(ready))))


def leaves(*nodes: Node) -> list[Copy | Make]:
    """The copies and makes below the nodes, each once, in the order they are named; a make after its own inputs."""
    found: dict[int, Copy | Make] = {}
    opened: set[int] = set()
    waiting = [*reversed(nodes)]
    # No recursion: layered ACIs are a chain of makes as long as the image has layers.
    while waiting:
        node = waiting[-1]
        if id(node) not in opened and not isinstance(node, Copy):
            opened.add(id(node))
            waiting += reversed(node.inputs)
            continue
        waiting.pop()
        if not isinstance(node, Write):
            found.setdefault(id(node), node)
    return list(found.values())
