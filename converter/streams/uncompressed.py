"""The uncompressed bytes of content, known or derived, whose digest is the diff_id (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from converter.errors import Invalid
from converter.model.content import Derived, Known, Layer, LayerFacts, Replaced, verified_blocks
from converter.streams.blocks import Block, Blocks, closing
from converter.streams.decompress import decompress_any
from converter.streams.read_ahead import read_ahead
from converter.streams.tar.fields import quoted_name

T = TypeVar("T")

Watch = Callable[[Known], Blocks]
"""Opens a known blob, and may report how much of it has been read."""


class Superseded(Invalid):
    """An entry already written is replaced by a later one of its own layer: start again with ``replaced``.

    The specification forbids such layers. ``replaced`` holds all such entries in all layers. ``where`` leads to the
    content being made: the number of a layer, of an input of its content, and so on.
    """

    def __init__(self, name: bytes, replaced: Replaced) -> None:
        super().__init__(f"layer: {quoted_name(name)} is replaced by a later entry of the same layer")
        self.replaced = replaced
        self.where: tuple[int, ...] = ()


def uncompressed_layer(
    layer: Layer, facts: LayerFacts | None = None, opened: Watch = Known.blocks, number: int = 0
) -> Iterator[Block]:
    """The tar of a layer, checked against its diff_id if that is known; ``number`` is for Superseded.

    Each blob is read and hashed in one thread, and inflated in another. Nothing is verified until the iteration has
    reached its end. Raises DigestMismatch, Invalid, LimitExceeded, Superseded.
    """
    content = layer.content
    if isinstance(content, Derived):
        inputs = _openers(content.inputs, facts, opened)
        blocks: Blocks = (
            inputs[0]() if content.rewrite is None else content.rewrite(inputs, facts or LayerFacts(), content.replaced)
        )
        checked_already = content.rewrite is None and content.inputs[0].diff_id == layer.diff_id
    else:
        codec, blocks = decompress_any(read_ahead(opened(content)))
        checked_already = codec == "none" and content.descriptor.digest == layer.diff_id
        if codec != "none":
            blocks = read_ahead(blocks)
    if layer.diff_id is not None and not checked_already:
        blocks = verified_blocks(blocks, layer.diff_id)
    with closing(blocks) as source_blocks:
        try:
            yield from source_blocks
        except Superseded as found:
            found.where = (number, *found.where)
            raise


def _openers(layers: Sequence[Layer], facts: LayerFacts | None, opened: Watch) -> list[Callable[[], Iterator[Block]]]:
    return [partial(uncompressed_layer, layer, facts, opened, number) for number, layer in enumerate(layers)]


def read_layers(
    layers: tuple[Layer, ...],
    use: Callable[[list[Callable[[], Iterator[Block]]]], T],
    facts: LayerFacts | None = None,
    opened: Watch = Known.blocks,
) -> tuple[T, tuple[Layer, ...]]:
    """What ``use`` returns for functions that open the tar of each layer, and the layers as one pass can read them.

    ``use`` is called again if a layer is made from one that names a file twice, which its specification forbids.
    """
    while True:
        try:
            return use(_openers(layers, facts, opened)), layers
        except Superseded as found:
            layers = _with_replaced(layers, found)


def _with_replaced(layers: tuple[Layer, ...], found: Superseded, depth: int = 0) -> tuple[Layer, ...]:
    """The layers with ``found.replaced`` in the content being made; raises ``found`` if it is there already."""
    number = found.where[depth]
    content = layers[number].content
    assert isinstance(content, Derived)
    if depth + 1 < len(found.where):
        content = replace(content, inputs=_with_replaced(content.inputs, found, depth + 1))
    elif content.replaced == found.replaced:
        raise found
    else:
        content = replace(content, replaced=found.replaced)
    return (*layers[:number], replace(layers[number], content=content), *layers[number + 1 :])


def read_derived(content: Derived, use: Callable[[Blocks], T], facts: LayerFacts | None = None) -> tuple[T, Derived]:
    """What ``use`` returns for the uncompressed bytes of ``content``, and the content as one pass can make it.

    ``use`` is called again as in ``read_layers``.
    """
    made, (layer,) = read_layers((Layer(content=content),), lambda opens: use(opens[0]()), facts)
    assert isinstance(layer.content, Derived)
    return made, layer.content
