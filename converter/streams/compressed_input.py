"""Feeds compressed blocks to a decompressor in slices, and counts the bytes."""

from __future__ import annotations

from collections.abc import Iterator

from converter.errors import Invalid
from converter.streams import Block


class Feed:
    """Hands out a stream piece by piece; ``count`` is how many bytes have been handed out."""

    def __init__(self, codec: str, blocks: Iterator[Block]) -> None:
        self._codec = codec
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.count = 0

    def take(self, most: int) -> memoryview:
        """Between one and ``most`` bytes; empty at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = memoryview(block)
        taken, self._rest = self._rest[:most], self._rest[most:]
        self.count += len(taken)
        return taken

    def exactly(self, size: int) -> bytes:
        """Exactly ``size`` bytes; raises Invalid if the stream ends before."""
        taken: Block = self.take(size)
        while len(taken) < size:
            more = self.take(size - len(taken))
            if not more:
                raise self.truncated()
            taken = b"".join((taken, more))
        return bytes(taken)

    def read(self, most: int) -> bytes:
        """As in a file: the gzip library requires this and ``readinto``."""
        return bytes(self.take(most))

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill part of a buffer, as in a file; returns 0 at the end."""
        taken = self.take(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def truncated(self) -> Invalid:
        return Invalid(f"unexpected end of the {self._codec} stream after {self.count} bytes")

    def corrupt(self, why: object) -> Invalid:
        reason = str(why).strip().rstrip(".") or "corrupt data"
        return Invalid(f"broken {self._codec} stream ({reason}) within its first {self.count} bytes")
