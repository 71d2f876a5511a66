"""A position in a stream of blocks: takes small pieces, hands out views of large ones, skips the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from converter.errors import Invalid
from converter.model.limits import KIB
from converter.streams.blocks import Block, Blocks
from converter.streams.tar.fields import SIZE, ZERO


class Cursor:
    """Reads forward over ``blocks``, whose boundaries may be anywhere.

    ``view[position:end]`` is the unread part of the current block; ``left`` and ``pad`` are the unread bytes of the
    current entry's payload and padding; ``missing`` counts the padding bytes that the stream lacked at its end.
    """

    __slots__ = ("_blocks", "base", "current", "end", "left", "missing", "pad", "position", "tail", "view")

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = iter(blocks)
        self.view = memoryview(b"")
        self.position = self.end = self.base = self.left = self.pad = self.missing = 0
        self.tail = b""
        self.current: object = None

    @property
    def offset(self) -> int:
        """The position in the stream, in bytes."""
        return self.base + self.position

    def fill(self) -> bool:
        """Go to the next non-empty block; False at the end of the stream."""
        for block in self._blocks:
            if len(block):
                self.base += self.end
                self.view = memoryview(block)
                self.position, self.end = 0, len(block)
                return True
        return False

    def views(self, size: int) -> Iterator[memoryview]:
        """Views of the next ``size`` bytes, fewer at the end of the stream."""
        while size and (self.position < self.end or self.fill()):
            view = self.view[self.position : self.position + size]
            self.position += len(view)
            size -= len(view)
            yield view

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes; raises Invalid, naming ``what``, if there are fewer. For bounded sizes only."""
        start = self.position
        if size <= self.end - start:
            self.position = start + size
            return self.view[start : start + size].tobytes()
        offset = self.offset
        taken = b"".join(self.views(size))
        if len(taken) < size:
            raise Invalid(
                f"unexpected end of {what}: expected {size} bytes at byte {offset}, found {len(taken)}: it is cut off"
            )
        return taken

    def header(self) -> bytes:
        """The next header block; ``b""`` at the end of the stream, where up to 511 NULs are left in ``tail``."""
        head = b"".join(self.views(SIZE))
        if len(head) == SIZE:
            return head
        if head.strip(b"\0"):
            start = self.offset - len(head)
            raise Invalid(
                f"unexpected end of header: expected {SIZE} bytes at byte {start}, found {len(head)}: it is cut off"
            )
        self.tail = head
        return b""

    def payload(self) -> Iterator[memoryview]:
        """The rest of the current payload, block by block; raises Invalid if the stream ends within it."""
        owner = self.current
        while self.left:
            if self.current is not owner:
                raise ValueError("payload read after the next entry was asked for")
            if self.position == self.end and not self.fill():
                raise self.truncated()
            view = self.view[self.position : self.position + self.left]
            self.position += len(view)
            self.left -= len(view)
            yield view

    def body(self) -> Iterator[Block]:
        """The rest of the current payload and its padding; padding that the stream lacks is supplied."""
        yield from self.payload()
        for view in self.views(self.pad):
            self.pad -= len(view)
            yield view
        if self.pad:
            self.missing = self.pad
            yield ZERO[: self.pad]
            self.pad = 0

    def skip(self) -> None:
        """Skip the rest of the current entry."""
        rest = self.left + self.pad
        if rest <= self.end - self.position:
            self.position += rest
            self.left = self.pad = 0
            return
        self._skip_far()

    def _skip_far(self) -> None:
        for _ in self.body():
            pass

    def rest(self) -> Iterator[memoryview]:
        """Everything to the end of the stream."""
        while self.position < self.end or self.fill():
            view = self.view[self.position :]
            self.position = self.end
            yield view

    def truncated(self) -> Invalid:
        """The error for a payload that ends too early."""
        return Invalid(f"unexpected end of archive at byte {self.offset}: {self.left} bytes of a file are missing")


_PIECE = 16 * KIB
"""Bytes read from a file at once, where most of it is skipped."""


class FileCursor(Cursor):
    """A cursor over a seekable file, starting at its first byte: what is skipped is not read."""

    __slots__ = ("_file", "_size")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        super().__init__(iter(lambda: file.read(_PIECE), b""))

    def _skip_far(self) -> None:
        if self.offset + self.left > self._size:
            there = self._size - self.offset
            self.base, self.position, self.end, self.view = self._size, 0, 0, memoryview(b"")
            self.left -= there
            raise self.truncated()
        target = min(self.offset + self.left + self.pad, self._size)
        self.missing = self.offset + self.left + self.pad - target
        self._file.seek(target)
        self.base, self.position, self.end = target, 0, 0
        self.view = memoryview(b"")
        self.left = self.pad = 0
