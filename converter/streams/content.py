"""The uncompressed bytes of content, known or derived, whose digest is the diff_id (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from converter.model.content import Derived, Known, Layer, Note, checked
from converter.streams import Block, Blocks
from converter.streams.ahead import ahead
from converter.streams.blocks import closing
from converter.streams.decompress import plain
from converter.streams.superseded import Superseded

Watch = Callable[[Known], Blocks]
"""Opens a known blob, and may report how much of it has been read."""


def unnoted(name: str, text: str) -> None:
    """Ignore what a rewrite notes."""


def uncompressed(layer: Layer, note: Note = unnoted, opened: Watch = Known.blocks) -> Iterator[Block]:
    """The tar of a layer, checked against its diff_id if that is known.

    Each blob is read and hashed in one thread, and inflated in another. Nothing is verified until the iteration has
    reached its end. Raises DigestMismatch, Invalid, LimitExceeded.
    """
    content = layer.content
    if isinstance(content, Derived):
        inputs = [partial(uncompressed, source, note, opened) for source in content.inputs]
        blocks: Blocks = inputs[0]() if content.rewrite is None else content.rewrite(inputs, note)
        checked_already = content.rewrite is None and content.inputs[0].diff_id == layer.diff_id
    else:
        codec, blocks = plain(ahead(opened(content)))
        checked_already = codec == "tar" and content.descriptor.digest == layer.diff_id
        if codec != "tar":
            blocks = ahead(blocks)
    if layer.diff_id is not None and not checked_already:
        blocks = checked(blocks, layer.diff_id)
    with closing(blocks) as source_blocks:
        try:
            yield from source_blocks
        except Superseded as found:
            found.content = found.content or content
            raise


def knowing(content: Derived, found: Superseded) -> Derived:
    """``content`` with ``found.replaced`` passed to the rewrite that raised ``found``, so that it can be started again.

    Raises ``found`` itself if that rewrite has no ``replaced``, or has these already.
    """
    rewrite: Any = content.rewrite
    if content is found.content:
        if getattr(rewrite, "replaced", found.replaced) == found.replaced:
            raise found
        return replace(content, rewrite=replace(rewrite, replaced=found.replaced))
    inputs = (
        replace(layer, content=knowing(layer.content, found)) if isinstance(layer.content, Derived) else layer
        for layer in content.inputs
    )
    return replace(content, inputs=tuple(inputs))


T = TypeVar("T")


def remade(content: Derived, use: Callable[[Blocks], T], note: Note = unnoted) -> tuple[T, Derived]:
    """What ``use`` returns for the uncompressed bytes of ``content``, and the content as it can be made in one pass.

    ``use`` is called again if the bytes have to be made from the start.
    """
    while True:
        try:
            return use(uncompressed(Layer(content=content), note)), content
        except Superseded as found:  # a layer that names a file twice, which its specification forbids
            content = knowing(content, found)
