"""A plan is the Merkle tree of the output, with holes; execution fills the holes from the leaves up.

If every leaf is a copy there are no holes, and the digest of the root is known before any byte is moved.

Nodes are values: equal nodes become the same bytes, on any machine, and each is evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import ClassVar

from converter.model import media_types as types
from converter.model.content import Derived, Known, LayerFacts, Rewrite
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen


@frozen
class Made:
    """A finished node: its descriptor, the digest of its uncompressed bytes, and what its making found out about it."""

    descriptor: Descriptor
    diff_id: Digest | None = None
    facts: LayerFacts = field(default_factory=LayerFacts)


MadeInputs = tuple[Made, ...]
"""What the inputs of a node have become, in their order."""


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

    inputs: ClassVar[tuple[Node, ...]] = ()

    def __hash__(self) -> int:
        """Cheap, as plans are looked through often."""
        return hash((self.label, self.content.descriptor.digest.encoded))


Derive = Callable[[MadeInputs], Derived]
"""A pure function of finished inputs, and a value like the node that has it."""


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

    def __hash__(self) -> int:
        """Without inputs, as layered ACIs are as deep a chain as the image has layers."""
        return hash((self.label, self.media_type, self.diff_id))

    def derived(self, made: MadeInputs) -> Derived:
        """The content to make, given the finished inputs."""
        return self.content if isinstance(self.content, Derived) else self.content(made)


Render = Callable[[MadeInputs], bytes]
"""A pure function of finished inputs, and a value like the node that has it."""


@frozen(kw_only=False)
class Verbatim:
    """The document that is there already, whatever its inputs become."""

    data: bytes = field(repr=False)

    def __call__(self, _made: MadeInputs, /) -> bytes:
        return self.data


@frozen
class Write:
    """A document that names its inputs; ``render`` is pure and gets them in order. ``algorithm`` is for its digest.

    A ``carried`` document is passed on byte for byte; all others must conform to their specifications.
    """

    media_type: str
    inputs: tuple[Node, ...]
    render: Render = field(repr=False)
    algorithm: str = "sha256"
    carried: bool = False

    def __hash__(self) -> int:
        return hash((self.media_type, self.inputs))

    def described(self, data: bytes) -> Descriptor:
        """The descriptor of the rendered document."""
        return Descriptor.of(data, self.media_type, self.algorithm)


Leaf = Copy | Make
Node = Leaf | Write


@frozen
class Evaluated:
    """A node and what it became, with the same for its inputs; ``made`` is None where that is not known."""

    node: Node
    made: Made | None
    inputs: tuple[Evaluated, ...] = ()

    @property
    def done(self) -> Made:
        """What the node became; it must be known."""
        assert self.made is not None, "nothing knows what became of this node"
        return self.made

    @property
    def leaf(self) -> Leaf:
        """The node of a layer."""
        assert not isinstance(self.node, Write), "a document is no layer"
        return self.node

    def has_digest(self, digest: Digest) -> bool:
        """Whether the node is known to become what has this digest."""
        return self.made is not None and self.made.descriptor.digest == digest

    def data(self) -> bytes:
        """The bytes of a document whose inputs are known."""
        assert isinstance(self.node, Write)
        return self.node.render(tuple(one.done for one in self.inputs))

    def walk(self) -> Iterator[Evaluated]:
        """This and all that it names, each before its inputs. Layered ACIs are a deep chain."""
        waiting = [self]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += reversed(one.inputs)

    def documents(self) -> Iterator[Made]:
        """The root and the documents below it, as far as they are known."""
        for one in self.walk():
            if one.made is not None and (one is self or isinstance(one.node, Write)):
                yield one.made

    def layers(self) -> Iterator[Evaluated]:
        """A leaf for each layer that the documents name, in their order; of layered ACIs, one for each, base first."""
        if self.node.media_type in types.INDEXES:
            for one in self.inputs:
                yield from one.layers()
        elif isinstance(self.node, Write):
            yield from (one for one in self.inputs if not isinstance(one.node, Write))
        else:
            yield from reversed(list(self.walk()))


def _described(node: Write, data: bytes) -> Made:
    return Made(descriptor=node.described(data))


def evaluate(
    root: Node,
    leaf: Callable[[Leaf, MadeInputs], Made | None],
    document: Callable[[Write, bytes], Made] = _described,
) -> Evaluated:
    """The tree of ``root`` with its holes filled from the leaves up, each node once.

    ``leaf`` says what a leaf becomes (None: not known), given its own inputs; what depends on one that is not known is
    not known either. ``document`` is called with every document that is, after all that it names.
    """
    found: dict[Node, Evaluated] = {}
    for node in _from_below(root):
        inputs = tuple(found[one] for one in node.inputs)
        made = tuple(one.made for one in inputs if one.made is not None)
        if len(made) < len(inputs):
            result = None
        elif isinstance(node, Write):
            result = document(node, node.render(made))
        else:
            result = leaf(node, made)
        found[node] = Evaluated(node=node, made=result, inputs=inputs)
    return found[root]


def leaves_below(*roots: Node) -> list[Leaf]:
    """The copies and makes below the nodes, each once, in the order they are named; a make after its own inputs."""
    return [node for node in _from_below(*roots) if not isinstance(node, Write)]


def _from_below(*roots: Node) -> Iterable[Node]:
    """Every node below the roots, once, after its inputs."""
    found: list[Node] = []
    waiting = list(roots)
    # Each before its inputs, and the last of them first: backwards, that is the order wanted. No recursion: layered
    # ACIs are a chain of makes as long as the image has layers.
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].inputs
    return dict.fromkeys(reversed(found))


def known_in_advance(leaf: Leaf, _made: MadeInputs = ()) -> Made | None:
    """The result of a leaf, if the plan alone determines it, else None."""
    if isinstance(leaf, Make) or (leaf.find_diff_id and leaf.diff_id is None):
        return None
    return Made(descriptor=leaf.content.descriptor.retyped(leaf.media_type), diff_id=leaf.diff_id)


def forecast(root: Node) -> Evaluated:
    """The tree of ``root``, as far as the plan alone determines it."""
    return evaluate(root, known_in_advance)
