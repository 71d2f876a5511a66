"""Makes the bytes of one layer from others, or inspects them while they are copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converter.events import Report, Warned
from converter.execute import require_diff_id
from converter.model.content import Derived, Layer, LayerFacts, Open
from converter.model.descriptor import Descriptor, Digest
from converter.plan import Copy, Made, Make
from converter.streams.blocks import Blocks, Meter, drain, metered
from converter.streams.compress import compress
from converter.streams.decompress import decompress_any
from converter.streams.read_ahead import read_ahead
from converter.streams.uncompressed import Watch, read_layers
from converter.streams.workers import Workers

Put = Callable[[Blocks], Descriptor]
"""Puts the packed bytes of a layer into the target."""


def diff_id_of(blocks: Blocks, leaf: Copy) -> Digest:
    """The digest of a blob's uncompressed bytes; raises DigestMismatch if it is not the leaf's diff_id."""
    codec, tar = decompress_any(blocks)
    found, meter = leaf.content.descriptor.digest, None
    if codec != "none" or found.algorithm != leaf.algorithm:
        meter = Meter(leaf.algorithm)
        tar = metered(read_ahead(tar), meter)
    drain(tar if leaf.examine is None else leaf.examine([lambda: tar], LayerFacts(), set()))
    if meter is not None:
        found = meter.digest()
    require_diff_id(leaf, found)
    return found


def make_layer(
    leaf: Make,
    content: Derived,
    opened: Watch,
    put: Put,
    workers: Workers,
    *,
    report: Report,
) -> Made:
    """Make a layer from its inputs and put it into the target."""
    facts = LayerFacts()
    known = leaf.diff_id is not None and leaf.diff_id.algorithm == content.algorithm
    # Of a plain tar, the digest that the target computes anyway is the diff_id.
    same = content.compression.codec == "none" and content.algorithm == "sha256"

    def compressed(opens: Sequence[Open]) -> tuple[Descriptor, Meter]:
        meter = Meter(content.algorithm)
        blocks = opens[0]()
        if not known:
            blocks = read_ahead(blocks if same else metered(blocks, meter))
        return put(compress(blocks, content.compression, workers)), meter

    descriptor, meter = read_layers((Layer(content=content, diff_id=leaf.diff_id),), compressed, facts, opened)
    if facts.warning:
        report(Warned(facts.warning))
    found = descriptor.digest if same else meter.digest()
    return Made(descriptor=descriptor, diff_id=leaf.diff_id if known else found, facts=facts)
