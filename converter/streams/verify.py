"""Digests and lengths of streams, taken while the bytes pass (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

from collections.abc import Iterator

from converter.model.digest import Digest, new_hasher
from converter.streams import Block, Blocks
from converter.streams.blocks import closing


class Meter:
    """The length and the digests of the bytes that passed so far."""

    def __init__(self, *algorithms: str) -> None:
        """Digests by these algorithms (none given: sha256). Raises Unsupported for one that cannot be computed."""
        self.size = 0
        self._hashers = {algorithm: new_hasher(algorithm) for algorithm in algorithms or ("sha256",)}

    def update(self, block: Block) -> None:
        self.size += len(block)
        for hasher in self._hashers.values():
            hasher.update(block)

    def digest(self, algorithm: str = "sha256") -> Digest:
        """The digest so far; KeyError for an algorithm that the meter was not made with."""
        return Digest(algorithm, self._hashers[algorithm].hexdigest())


def hashed(blocks: Blocks, meter: Meter) -> Iterator[Block]:
    """Pass blocks through a meter, which is right about the whole stream once the iteration has come to its end."""
    with closing(blocks) as source:
        for block in source:
            meter.update(block)
            yield block
