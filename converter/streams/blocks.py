"""Blocks cut to size, peeked at, measured, read from files, and closed at the end: what all stages of a stream need."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Self, TypeVar

from converter.errors import Invalid, StorageFailed, system_words
from converter.model import content
from converter.model.descriptor import Digest, new_hasher
from converter.model.frozen import frozen
from converter.model.limits import KIB, MIB, current_limits

T = TypeVar("T")

Block = bytes | memoryview
Blocks = content.Blocks

BLOCK = 1 * MIB
"""The default size of a block, in bytes."""

COPY_BLOCK = 256 * KIB
"""Bytes per read from a pipe or network, and the size to which small blocks are joined."""

COMPARED = 64 * KIB
"""Bytes compared at once: two streams that differ are made and read no further than that."""

_ZEROS = bytes(64 * KIB)


class ClosedOnExit(ABC):
    """Leaving it closes it, with or without an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release what it holds."""


@frozen(kw_only=False)
class RereadableBlocks:
    """Blocks that can be read again from their start, as a registry that loses an upload requires.

    ``file`` is one that holds exactly them, if a target may share it.
    """

    read: Callable[[], Iterator[Block]]
    file: Path | None = None

    def __iter__(self) -> Iterator[Block]:
        return self.read()


@contextmanager
def closing(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Iterate over blocks, or what is made of them, and close their source, however that ends.

    That is a stage's duty to the stage before it.
    """
    source = iter(items)
    try:
        yield source
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


@contextmanager
def on_error(undo: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Undo something if the body raises; that this cannot be undone matters less than the error."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            undo(*arguments)
        raise


class BlockReader:
    """Reads forward over ``blocks``, whose boundaries may be anywhere.

    ``view[position:end]`` is the unread part of the current block.
    """

    __slots__ = ("_blocks", "base", "end", "position", "view")

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = iter(blocks)
        self.view = memoryview(b"")
        self.position = self.end = self.base = 0

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

    def rest(self) -> Iterator[memoryview]:
        """Everything to the end of the stream."""
        return self.views(sys.maxsize)


def reblock(blocks: Blocks, size: int = BLOCK) -> Iterator[Block]:
    """The same bytes in blocks of exactly ``size``, the last one shorter. What one block has is not copied."""
    with closing(blocks) as source:
        reader = BlockReader(source)
        while views := list(reader.views(size)):
            yield _joined(views)


def _joined(parts: Sequence[Block]) -> Block:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def join_blocks(blocks: Blocks, least: int = COPY_BLOCK) -> Iterator[Block]:
    """The same bytes with small blocks joined into ones of at least ``least`` bytes, except for the last."""
    parts: list[Block] = []
    length = 0
    with closing(blocks) as source:
        for block in source:
            parts.append(block)
            length += len(block)
            if length >= least:
                yield _joined(parts)
                parts, length = [], 0
    if length:
        yield b"".join(parts)


def peek(blocks: Blocks, size: int) -> tuple[bytes, Iterator[Block]]:
    """The first ``size`` bytes (fewer if the stream is shorter), and the whole stream, these bytes included."""
    source = iter(blocks)
    reader = BlockReader(source)
    head = b"".join(reader.views(size))
    return head, _resumed(head, reader, source)


def _resumed(head: bytes, reader: BlockReader, source: Iterator[Block]) -> Iterator[Block]:
    with closing(source):
        yield head
        yield from reader.rest()


def drain(blocks: Blocks) -> None:
    """Read a stream to its end."""
    with closing(blocks) as source:
        for _ in source:
            pass


def zeros(size: int) -> Iterator[bytes]:
    """As many NULs."""
    while size > 0:
        yield _ZEROS[:size]
        size -= len(_ZEROS)


def beginning(blocks: Blocks, size: int) -> bytes:
    """The first ``size`` bytes, fewer if the stream is shorter, which is then closed."""
    with closing(blocks) as source:
        return peek(source, size)[0]


def skip_bytes(blocks: Blocks, count: int) -> Iterator[Block]:
    """The same bytes without the first ``count``."""
    reader = BlockReader(blocks)
    drain(reader.views(count))
    yield from reader.rest()


def read_whole(blocks: Blocks, what: str) -> bytes:
    """All bytes of a document; raises LimitExceeded as soon as there are more than one may have."""
    parts, size = [], 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        current_limits().require("document", size, f"bytes or more {what}")
    return b"".join(parts)


def equal_streams(a: Blocks, b: Blocks) -> bool:
    """Whether two streams are the same bytes; both are read no further than necessary."""
    return trailing_zeros(a, b) == 0


def trailing_zeros(a: Blocks, b: Blocks) -> int | None:
    """The number of NULs in ``b`` after the bytes of ``a``; None if it begins or continues otherwise."""
    count = 0
    with closing(reblock(a, COMPARED)) as left, closing(reblock(b, COMPARED)) as right:
        for one, other in zip_longest(left, right, fillvalue=b""):
            rest = bytes(other)
            # Comparing views goes item by item, but startswith compares at once.
            if not rest.startswith(one) or rest[len(one) :].strip(b"\0"):
                return None
            count += len(rest) - len(one)
    return count


def file_blocks(fd: int, offset: int, size: int, block: int = BLOCK, named: str = "the file") -> Iterator[Block]:
    """``size`` bytes of an open file from ``offset``. The file's position is neither used nor moved.

    So any number of threads may read one file at once. Whoever opened the file closes it. Raises Invalid if the file is
    shorter, StorageFailed, with what the file is ``named``, if it cannot be read.
    """
    end = offset + size
    while offset < end:
        try:
            data = os.pread(fd, min(block, end - offset), offset)
        except OSError as error:
            raise StorageFailed(f"cannot read {named} at byte {offset}: {system_words(error)}") from error
        if not data:
            raise Invalid(f"unexpected end of file at byte {offset}: {end - offset} bytes are missing")
        offset += len(data)
        yield data


def write_all(fd: int, block: Block | bytearray) -> None:
    """Write the whole block at the file's position, in as many calls as that takes. Raises OSError."""
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]


class Meter:
    """The length and the digest of the bytes that have passed so far."""

    def __init__(self, algorithm: str = "sha256") -> None:
        """Raises Unsupported for an algorithm that cannot be computed."""
        self.size = 0
        self.algorithm = algorithm
        self._hasher = new_hasher(algorithm)

    def update(self, block: Block) -> None:
        self.size += len(block)
        self._hasher.update(block)

    def digest(self) -> Digest:
        """The digest so far."""
        return Digest(self.algorithm, self._hasher.hexdigest())


def metered(blocks: Blocks, meter: Meter) -> Iterator[Block]:
    """Pass blocks through a meter, which covers the whole stream once the iteration has reached its end."""
    with closing(blocks) as source:
        for block in source:
            meter.update(block)
            yield block


def digest_and_size(blocks: Blocks, algorithm: str = "sha256") -> Meter:
    """The digest and size of a stream, which is read to its end."""
    meter = Meter(algorithm)
    drain(metered(blocks, meter))
    return meter
