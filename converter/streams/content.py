"""The uncompressed bytes of content, known or derived: what a diff_id is the digest of (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from converter.model.content import Derived, Known, Layer, Note, checked
from converter.model.limits import DEFAULT, Limits
from converter.streams import Block, Blocks
from converter.streams.ahead import ahead
from converter.streams.blocks import closing
from converter.streams.decompress import plain

Watch = Callable[[Known], Blocks]
"""Opens a known blob, perhaps telling somebody how far its reading has come."""


def unnoted(name: str, text: str) -> None:
    """Nobody wants to know what a rewrite learns."""


def uncompressed(
    layer: Layer, note: Note = unnoted, opened: Watch = Known.blocks, limits: Limits = DEFAULT
) -> Iterator[Block]:
    """The tar of a layer, checked against its diff_id where that is told.

    Only an iteration that came to its end has checked anything. Raises DigestMismatch, Invalid, LimitExceeded.
    """
    content = layer.content
    if isinstance(content, Derived):
        inputs = [partial(uncompressed, source, note, opened, limits) for source in content.inputs]
        blocks: Blocks = inputs[0]() if content.rewrite is None else content.rewrite(inputs, note)
        checked_already = False
    else:
        codec, blocks = plain(opened(content), limits)
        checked_already = codec == "tar" and content.descriptor.digest == layer.diff_id
        if codec != "tar":
            blocks = ahead(blocks)
    if layer.diff_id is not None and not checked_already:
        blocks = checked(blocks, layer.diff_id)
    with closing(blocks) as source_blocks:
        yield from source_blocks
