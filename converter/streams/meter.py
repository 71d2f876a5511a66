"""Digests and lengths of streams, computed as the bytes pass (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

from collections.abc import Iterator

from converter.model.descriptor import Digest, new_hasher
from converter.streams import Block, Blocks
from converter.streams.blocks import closing


class Meter:
    """The length and the digest of the bytes that have passed so far."""

    def __init__(self, algorithm: str = "sha256") -> None:
        """Raises Unsupported for an algorithm that cannot be computed."""
        self.size = 0
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm)

    def update(self, block: Block) -> None:
        self.size += len(block)
        self._hasher.update(block)

    def digest(self) -> Digest:
        """The digest so far."""
        return Digest(self._algorithm, self._hasher.hexdigest())


def metered(blocks: Blocks, meter: Meter) -> Iterator[Block]:
    """Pass blocks through a meter, which covers the whole stream once the iteration has reached its end."""
    with closing(blocks) as source:
        for block in source:
            meter.update(block)
            yield block


def digest_and_size(blocks: Blocks, algorithm: str = "sha256") -> Meter:
    """The digest and size of a stream, which is read to its end."""
    meter = Meter(algorithm)
    for _ in metered(blocks, meter):
        pass
    return meter
