"""Bytes put aside until they are read again: few in memory, more in an unnamed file on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from converter.errors import Invalid, StorageFailed, system_words
from converter.model.limits import MIB
from converter.streams.blocks import Block, Blocks, ClosedOnExit, closing, file_blocks, on_error, write_all
from converter.streams.read_ahead import read_ahead

IN_MEMORY = 1 * MIB
"""Bytes that a spool keeps in memory, unless its user says otherwise."""

TEMPORARY = "a temporary file (TMPDIR sets where they are)"
"""What messages call one."""


@contextmanager
def disk_errors(action: str) -> Iterator[None]:
    """Turn an OSError on a temporary file into StorageFailed; ``action`` completes "cannot … a temporary file"."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot {action} {TEMPORARY}: {system_words(error)}") from error


class Spool(ClosedOnExit):
    """Append-only bytes that can be read from any offset; ``size`` is how many there are.

    Beyond ``in_memory`` bytes, by default ``IN_MEMORY``, all of them go to an unnamed file. Raises StorageFailed, as an
    OSError could be taken for one of the connection that the bytes come from.
    """

    def __init__(self, in_memory: int | None = None) -> None:
        self.size = 0
        self._in_memory = IN_MEMORY if in_memory is None else in_memory
        self._memory = bytearray()
        self._fd = -1

    def append(self, data: Block) -> int:
        """Append bytes; returns how many."""
        if self._fd < 0 and self.size + len(data) > self._in_memory:
            self._fd = unnamed_file()
            _append(self._fd, self._memory)
            self._memory = bytearray()
        if self._fd < 0:
            self._memory += data
        else:
            _append(self._fd, data)
        self.size += len(data)
        return len(data)

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end."""
        if self._fd < 0:
            return bytes(self._memory[offset : offset + size])
        with disk_errors("read"):
            return os.pread(self._fd, size, offset)

    def blocks(self, offset: int, size: int) -> Iterator[Block]:
        """``size`` bytes from ``offset``, all of which are there."""
        if self._fd >= 0:
            yield from file_blocks(self._fd, offset, size, named=TEMPORARY)
        else:
            yield self.read(offset, size)

    def close(self) -> None:
        """Free memory and disk; nothing can be read afterwards."""
        self._memory = bytearray()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@disk_errors("write")
def unnamed_file() -> int:
    """An empty file without a name, gone when closed."""
    import tempfile

    directory = Path(tempfile.gettempdir())
    # /tmp is often memory; an image belongs on a disk. Setting TMPDIR overrides this.
    roomy = Path("/var/tmp")  # noqa: S108 - the file has no name there
    if directory == Path("/tmp") and os.access(roomy, os.W_OK):  # noqa: S108 - compared, not used
        directory = roomy
    with tempfile.TemporaryFile(buffering=0, dir=directory) as file:
        return os.dup(file.fileno())


@disk_errors("write")
def _append(fd: int, data: Block | bytearray) -> None:
    write_all(fd, data)


def spool_blocks(blocks: Blocks) -> int:
    """The blocks in an unnamed file, open for reading."""
    fd = unnamed_file()
    with on_error(os.close, fd), closing(blocks) as source:
        for block in source:
            _append(fd, block)
    return fd


class SpooledStream(ClosedOnExit):
    """The blocks of a stream, kept on disk as far as a reader has asked for them; any number of threads may read.

    Reading stops with the block that exceeds ``most`` bytes, as such a stream is not what it should be. An error of
    the stream is raised to every reader that reaches its end.
    """

    def __init__(self, blocks: Blocks, most: int = sys.maxsize) -> None:
        self._source = read_ahead(blocks)
        self._most = most
        self._spool = Spool(0)
        self._error: BaseException | None = None
        self._lock = Lock()

    def close(self) -> None:
        """End the stream and close the file; nothing can be read afterwards."""
        with self._lock:
            self._source.close()
        self._spool.close()

    def blocks(self) -> Iterator[Block]:
        """All bytes, in order."""
        place = 0
        while (there := self.read_on(place + 1)) > place:
            yield from self._spool.blocks(place, there - place)
            place = there

    def piece(self, offset: int, size: int) -> Iterator[Block]:
        """The bytes of one range; raises Invalid if the stream ends before it does."""
        end = offset + size
        there = self.read_on(end)
        if there < end:
            raise Invalid(f"piece ends at byte {end}, but there are {there} bytes")
        return self._spool.blocks(offset, size)

    def read_on(self, size: int = sys.maxsize) -> int:
        """Read until that many bytes are there, or the end; returns how many are. Raises what the stream raises."""
        with self._lock:
            while self._spool.size < size and self._error is None:
                try:
                    self._spool.append(next(self._source))
                    if self._spool.size > self._most:
                        self._source.close()
                except StopIteration:
                    break
                except BaseException as error:  # noqa: BLE001 - it is raised to each reader that gets there
                    self._error = error
            if self._spool.size < size and self._error is not None:
                raise self._error
            return self._spool.size
