"""Bytes read repeatedly and out of order from an unnamed temporary file that is still being written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import copy_context
from threading import Condition, Thread

from converter.errors import Invalid
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, Block, Blocks, closing, file_blocks
from converter.streams.read_ahead import read_ahead


class SpooledStream:
    """All blocks of a stream, written by a thread of its own; readers wait for what is not there yet.

    Reading stops with the block that exceeds ``most`` bytes, as such a stream is not what it should be. An error of
    the stream is raised to every reader that reaches its end. ``close`` ends the thread and closes the file.
    """

    def __init__(self, blocks: Blocks, most: int | None = None) -> None:
        self._fd = spool.unnamed_file()
        self._most = most
        self._there = 0
        self._ended = self._left = False
        self._error: BaseException | None = None
        self._changed = Condition()
        self._thread = Thread(target=copy_context().run, args=(self._take, blocks), name="spooled", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and close the file; nothing can be read afterwards."""
        self._left = True
        self._thread.join()
        os.close(self._fd)

    def finished(self) -> int:
        """Wait for the end; returns the number of bytes. Raises what the stream raised."""
        while self._more(self._there):
            pass
        return self._there

    def blocks(self) -> Iterator[Block]:
        """All bytes, in order."""
        place = 0
        while size := self._more(place):
            yield from file_blocks(self._fd, place, size, COPY_BLOCK)
            place += size

    def piece(self, offset: int, size: int) -> Iterator[Block]:
        """The bytes of one range; raises Invalid if the stream ends before it does."""
        while self._there < offset + size:
            if not self._more(self._there):
                raise Invalid(f"piece ends at byte {offset + size}, but there are {self._there} bytes")
        return file_blocks(self._fd, offset, size, COPY_BLOCK)

    def _more(self, place: int) -> int:
        """Wait for bytes after ``place``; returns their number, 0 at the end. Raises what the stream raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._there > place or self._ended)
            if self._there == place and self._error is not None:
                raise self._error
            return self._there - place

    def _take(self, blocks: Blocks) -> None:
        try:
            with closing(read_ahead(blocks)) as source:
                for block in source:
                    if self._left:
                        break
                    spool.append_to_file(self._fd, block)
                    self._tell(len(block))
                    if self._most is not None and self._there > self._most:
                        break
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
            self._error = error
        self._ended = True
        self._tell(0)

    def _tell(self, size: int) -> None:
        with self._changed:
            self._there += size
            self._changed.notify_all()
