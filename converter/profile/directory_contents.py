"""The contents of a directory, read from its files: what the tar of it would say, without making one.

Copies of this process share the files. With threads it would take as long as with one: most of the time is the
interpreter's, which runs one thread at a time.
"""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from hashlib import sha256
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import NoReturn

from converter import system
from converter.errors import LimitExceeded
from converter.model.limits import KIB, MIB, current_limits
from converter.profile.contents import Contents, Line, Scope, line_of
from converter.profile.mtree import File
from converter.stores.disk import printable_path
from converter.stores.rootfs.directory_walk import BY_PATH, DirectoryWalk, FoundFile, changed_meanwhile, read_content
from converter.streams.blocks import ClosedOnExit

BLOCK = 128 * KIB
"""Bytes read at once: what a processor still has at hand when it hashes them."""
LINES_AT_ONCE = 100
"""The lines that a helper sends together."""
MOST_HELPERS = 8

_LENGTH = 4
"""Bytes of the length before each of them."""

Moved = Callable[[int], None]
"""Hears how many more bytes have been read."""


class _Stopped(Exception):
    """A helper has ended before its work was done."""


def of_directory(root: Path, scope: Scope, jobs: int, moved: Moved, own: int | None = None) -> Contents:
    """The contents of a directory, without what other file systems lie over, read by up to ``jobs`` processes.

    ``own`` is as of a ``DirectoryWalk``. Raises Invalid for a file or directory that changes while it is read,
    LimitExceeded for a file that is nearly all hole, NotFound, StorageFailed.
    """
    begin = partial(DirectoryWalk, root, BY_PATH, scope.paths(), own=own)
    if jobs > 1 and system.can_fork():
        with suppress(_Stopped):  # what stopped it will be found again, and reported
            return _shared(begin, scope, min(jobs, MOST_HELPERS), moved)
    walk = begin()
    return Contents(_mtree_lines(walk, moved, times=scope.times), scope, walk.mounts)


def _shared(begin: Callable[..., DirectoryWalk], scope: Scope, count: int, moved: Moved) -> Contents:
    mounts: set[bytes] = set()
    with ExitStack() as stack:
        walks = [begin(share=(number, count)) for number in range(count)]
        helpers = [stack.enter_context(_Helper(walk, times=scope.times)) for walk in walks]
        return Contents(_in_order(helper.lines(moved, mounts) for helper in helpers), scope, mounts)


def _in_order(parts: Iterable[Iterator[Line]]) -> Iterator[Line]:
    """The lines of all, in the order of their paths."""
    last = None
    for line in merge(*parts):
        if line[0] == last:
            raise changed_meanwhile(line[0])
        last = line[0]
        yield line


class _Helper(ClosedOnExit):
    """A copy of this process that reads its share of the files. A context manager, which ends it."""

    def __init__(self, walk: DirectoryWalk, *, times: bool) -> None:
        reading, writing = system.wide_pipe()
        self._process = os.fork()
        if not self._process:
            _help(walk, writing, times=times)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")

    def close(self) -> None:
        self._pipe.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def lines(self, moved: Moved, mounts: set[bytes]) -> Iterator[Line]:
        """What it has read, and added to ``mounts`` what it has left out; raises _Stopped if it does not end as it
        should.
        """
        while head := self._pipe.read(_LENGTH):
            length = int.from_bytes(head, "big")
            lines, size, left_out = marshal.loads(self._pipe.read(length))  # noqa: S302 - from a copy of this process
            moved(size)
            mounts.update(left_out)
            yield from lines
            if len(lines) < LINES_AT_ONCE:
                return
        raise _Stopped


def _help(walk: DirectoryWalk, writing: int, *, times: bool) -> NoReturn:
    """Send the lines in lists; the last one is shorter than the others. Nothing else of the program is run on."""
    sizes: list[int] = []
    try:
        with os.fdopen(writing, "wb") as pipe:
            lines = _mtree_lines(walk, sizes.append, times=times)
            while True:
                some = list(islice(lines, LINES_AT_ONCE))
                data = marshal.dumps((some, sum(sizes), list(walk.mounts)))
                pipe.write(len(data).to_bytes(_LENGTH, "big") + data)
                pipe.flush()
                sizes.clear()
                if len(some) < LINES_AT_ONCE:
                    break
    finally:
        os._exit(0)


def _mtree_lines(walk: DirectoryWalk, moved: Moved, *, times: bool) -> Iterator[Line]:
    linked: dict[tuple[int, int, int], bytes] = {}
    unreported = 0
    for found in walk:
        digest = b""
        if found.fd >= 0:
            try:
                digest = _file_digest(found, linked)
            finally:
                os.close(found.fd)
            unreported += found.status.st_size
            if unreported > MIB:
                moved(unreported)
                unreported = 0
        if found.path not in walk.mounts:
            yield line_of(File(found.path, found.node(digest)), times=times)


def _file_digest(found: FoundFile, linked: dict[tuple[int, int, int], bytes]) -> bytes:
    """The digest of a file's content; ``linked`` has those of files with several names."""
    status = found.status
    inode = status.st_dev, status.st_ino, status.st_ctime_ns
    if status.st_nlink > 1 and inode in linked:
        return linked[inode]
    holes, most = status.st_size - 512 * status.st_blocks, current_limits().holes
    if holes > most:
        raise LimitExceeded(
            f"sparse file {printable_path(os.fsdecode(found.path))} has {holes} bytes of holes: "
            f"at most {most} are allowed (limit: holes)"
        )
    hasher = sha256()
    for block in read_content(found, BLOCK):
        hasher.update(block)
    digest = hasher.digest()
    if status.st_nlink > 1:
        linked[inode] = digest
    return digest
