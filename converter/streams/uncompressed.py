"""The uncompressed bytes of content, known or derived, whose digest is the diff_id (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from converter.errors import Invalid
from converter.model.content import Derived, Known, Layer, LayerFacts, Open, Replaced, verified_blocks
from converter.streams.blocks import Block, Blocks, closing
from converter.streams.decompress import decompress_any
from converter.streams.read_ahead import read_ahead

T = TypeVar("T")

Watch = Callable[[Known], Blocks]
"""Opens a known blob, and may report how much of it has been read."""


class Superseded(Invalid):
    """Entries already written are replaced by later ones of their layers, which the specification forbids.

    The rewrite that raises it has added all of them to the ``replaced`` that it was given, and leaves them out when it
    is called again.
    """


def uncompressed_layer(layer: Layer) -> Iterator[Block]:
    """The tar of a layer, checked against its diff_id if that is known.

    Each blob is read and hashed in one thread, and inflated in another. Nothing is verified until the iteration has
    reached its end. Raises DigestMismatch, Invalid, LimitExceeded, Superseded.
    """
    return _opener(layer, None, Known.blocks)()


def _opener(layer: Layer, facts: LayerFacts | None, opened: Watch) -> Callable[[], Iterator[Block]]:
    """Opens the tar of a layer. What one reading finds to be replaced is left out by the next one."""
    content = layer.content
    inputs = [_opener(one, facts, opened) for one in content.inputs] if isinstance(content, Derived) else []
    replaced: Replaced = set()

    def tar() -> Iterator[Block]:
        blocks: Blocks
        checked = None
        if isinstance(content, Known):
            codec, blocks = decompress_any(read_ahead(opened(content)))
            if codec == "none":
                checked = content.descriptor.digest
            else:
                blocks = read_ahead(blocks)
        elif content.rewrite is None:
            blocks = inputs[0]()
            checked = content.inputs[0].diff_id
        else:
            blocks = content.rewrite(inputs, facts or LayerFacts(), replaced)
        if layer.diff_id is not None and layer.diff_id != checked:
            blocks = verified_blocks(blocks, layer.diff_id)
        with closing(blocks) as source:
            yield from source

    return tar


def read_layers(
    layers: Sequence[Layer],
    use: Callable[[Sequence[Open]], T],
    facts: LayerFacts | None = None,
    opened: Watch = Known.blocks,
) -> T:
    """What ``use`` returns for functions that open the tar of each layer.

    ``use`` is called again if a layer is made from one that names a file twice, which its specification forbids.
    """
    opens = [_opener(layer, facts, opened) for layer in layers]
    while True:
        with suppress(Superseded):
            return use(opens)


def read_derived(content: Derived, use: Callable[[Blocks], T], facts: LayerFacts | None = None) -> T:
    """What ``use`` returns for the uncompressed bytes of ``content``; it is called again as in ``read_layers``."""
    return read_layers((Layer(content=content),), lambda opens: use(opens[0]()), facts)
