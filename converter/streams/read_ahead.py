"""Threads between the stages of a stream: stages work concurrently, and several can read one stream.

Each thread ends before the call or generator that started it does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

from converter.streams.blocks import Block, Blocks, closing
from converter.streams.workers import start_thread

T = TypeVar("T")

DEPTH = 2
"""Blocks that may wait between two threads."""


def read_ahead(blocks: Blocks, depth: int = DEPTH) -> Generator[Block, None, None]:
    """Read up to ``depth`` blocks ahead, in a separate thread that starts when the first block is requested.

    An error of the source is raised after the blocks before it. Closing ends the thread as soon as the source has
    produced the current block, and closes the source there.
    """
    channel, errors = _Channel(depth), list[BaseException]()
    thread = start_thread("ahead", _pass_on, blocks, [channel], errors)
    del blocks  # only the thread may hold it now
    try:
        with suppress(Abandoned):
            yield from channel.received()
        if errors:
            raise errors.pop()
    finally:
        channel.leave()
        thread.join()


class Abandoned(BaseException):
    """Ends a reader of a stream that will not be finished, because its source or another reader failed.

    Not an Exception, so that no handler takes it for one: what was written so far must not be kept.
    """


def fan_out(blocks: Blocks, readers: Sequence[Callable[[Iterator[Block]], T]], depth: int = DEPTH) -> list[T]:
    """Let several readers, each in a thread of its own, read one stream; returns their results in order.

    The slowest one sets the pace. A reader may return early; the others go on, and once none is left the rest is not
    read. The first error of the source or of a reader is raised here once all have ended; the others' streams end with
    Abandoned, so that none takes a part for the whole.
    """
    channels = [_Channel(depth) for _ in readers]
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def read(place: int) -> None:
        try:
            results[place] = readers[place](channels[place].received())
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            errors.append(error)
        finally:
            channels[place].leave()

    threads = [start_thread("fan-out", read, place) for place in range(len(readers))]
    _pass_on(blocks, channels, errors)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(readers))]


def _pass_on(blocks: Blocks, channels: Sequence[_Channel], errors: list[BaseException]) -> None:
    """Put all blocks into each channel, until there are ``errors``, to which one of the source is added.

    Whoever still reads then is abandoned. Once all readers have left, the rest is not read.
    """
    takers = channels
    try:
        with closing(blocks) as source:
            for block in source:
                takers = [channel for channel in takers if channel.put(block)]
                if errors or not takers:
                    break
    except BaseException as error:  # noqa: BLE001 - it is raised again where the blocks, or the results, are wanted
        errors.append(error)
    for channel in channels:
        channel.finish(whole=not errors)


class _Channel:
    """A bounded queue between two threads. Either end may stop first: the reader leaves, the writer finishes."""

    def __init__(self, depth: int) -> None:
        self._blocks: SimpleQueue[Block | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        self._left = self._whole = False
        for _ in range(depth):
            self._room.put(None)

    def put(self, block: Block) -> bool:
        """Wait for room, then put a block; False if the reader has left."""
        self._room.get()
        if self._left:
            self._room.put(None)
            return False
        self._blocks.put(block)
        return True

    def finish(self, *, whole: bool) -> None:
        """Mark the end, after the last block."""
        self._whole = whole
        self._blocks.put(None)

    def received(self) -> Iterator[Block]:
        """The blocks until the writer finishes; raises Abandoned if they are not the whole stream."""
        while (block := self._blocks.get()) is not None:
            self._room.put(None)
            yield block
            del block  # while waiting for the next one
        if not self._whole:
            raise Abandoned

    def leave(self) -> None:
        """Take no more blocks; a writer waiting for room is released at once."""
        self._left = True
        self._room.put(None)
