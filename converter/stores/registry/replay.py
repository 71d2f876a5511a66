"""Makes a one-time stream of bytes repeatable, so that a part can be sent again."""

from __future__ import annotations

from collections.abc import Iterator

from converter.model.content import Blocks
from converter.model.descriptor import Digest, new_hasher
from converter.model.limits import MIB
from converter.streams.blocks import COPY_BLOCK, Block, skip_bytes
from converter.streams.spool import Spool

IN_MEMORY = 4 * MIB
"""Bytes held in memory; more go to an unnamed temporary file."""


class Replay:
    """A stream of blocks that can be read again from any offset it has reached.

    If ``blocks`` can be iterated over again (it is no iterator), it is, unless ``keep``; otherwise what has passed is
    kept. ``size`` is known once all has been read, and so is ``digest`` if there is an ``algorithm``: blocks that
    verify themselves need not be hashed again. Close it at the end.
    """

    def __init__(self, blocks: Blocks, algorithm: str = "", *, keep: bool) -> None:
        self._blocks = blocks
        self._algorithm = algorithm
        self._source = iter(blocks)
        self._kept: Spool | None = None
        self._hasher = new_hasher(algorithm) if algorithm else None
        self.size = 0
        self.ended = False
        if keep or self._source is blocks:
            self.keep()

    def keep(self) -> None:
        """Keep what passes from now on, so that it can be read in parts."""
        if self._kept is None:
            self._kept = Spool(IN_MEMORY)
            self._restart()

    def close(self) -> None:
        """Release what is kept, and close the source."""
        if self._kept is not None:
            self._kept.close()
        self._close_source()

    def _close_source(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def digest(self) -> Digest:
        """The digest of all that has passed."""
        assert self._hasher is not None, "no algorithm was given"
        return Digest(self._algorithm, self._hasher.hexdigest())

    def blocks(self, offset: int = 0, most: int | None = None) -> Iterator[Block]:
        """The bytes from ``offset``, at most ``most``; ``offset`` must not exceed what has been read before."""
        if self._kept is None:
            yield from skip_bytes(self._again(), offset)
            return
        end = None if most is None else offset + most
        while end is None or offset < end:
            block = self._kept_block(offset) or self._next()
            if block is None:
                return
            piece = block if end is None else memoryview(block)[: end - offset]
            offset += len(piece)
            yield piece

    def at_end(self, offset: int) -> bool:
        """Whether nothing follows ``offset``; reads one block further to find out."""
        return offset >= self.size and (self.ended or self._next() is None)

    def _kept_block(self, offset: int) -> bytes | None:
        if self._kept is None or offset >= self.size:
            return None
        return self._kept.read(offset, COPY_BLOCK)

    def _next(self) -> Block | None:
        for block in self._source:
            if self._hasher is not None:
                self._hasher.update(block)
            if self._kept is not None:
                self._kept.append(block)
            self.size += len(block)
            return block
        self.ended = True
        return None

    def _again(self) -> Iterator[Block]:
        self._restart()
        while (block := self._next()) is not None:
            yield block

    def _restart(self) -> None:
        if self.size:
            self._close_source()
            self._source = iter(self._blocks)
            self._hasher = new_hasher(self._algorithm) if self._algorithm else None
            self.size = 0
            self.ended = False
