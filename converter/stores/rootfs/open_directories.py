"""Opens directories below a root one component at a time, never through a symbolic link (openat(2), O_NOFOLLOW).

No link in a tree can lead outside of it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from converter.errors import Invalid
from converter.stores.rootfs.attributes import Attributes
from converter.streams.tar.names import quoted_name, require_contained

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
MOST_OPEN = 64


class OpenDirectories:
    """The open directories of a tree, by clean name; the root is ``b""``. A context manager: leaving it closes them."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, DIRECTORY)
        self._open: dict[bytes, int] = {}

    def close(self) -> None:
        for fd in (*self._open.values(), self._root):
            os.close(fd)
        self._open.clear()
        self._root = -1

    def directory(self, path: bytes, made: dict[bytes, Attributes | None] | None = None) -> int:
        """A file descriptor of a directory, valid until some sixty others have been requested; the caller must not
        close it.

        With ``made``, missing directories are created, accessible to their owner only, and added to it. Raises Invalid
        if a component is not a directory, FileNotFoundError, OSError.
        """
        if not path:
            return self._root
        fd = self._open.pop(path, None)
        if fd is None:
            fd = self._reach(path, made)
            if len(self._open) >= MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = fd
        return fd

    def _reach(self, path: bytes, made: dict[bytes, Attributes | None] | None) -> int:
        """Descend from the nearest directory that is open."""
        require_contained(path)
        above = path
        while above and above not in self._open:
            above = above.rpartition(b"/")[0]
        at = start = self._open.get(above, self._root)
        here = above
        for part in path[len(above) :].strip(b"/").split(b"/"):
            here = here + b"/" + part if here else part
            try:
                below = self._step(at, part, here, made)
            finally:
                if at != start:
                    os.close(at)
            at = below
        return at

    def _step(self, at: int, part: bytes, here: bytes, made: dict[bytes, Attributes | None] | None) -> int:
        try:
            return os.open(part, DIRECTORY, dir_fd=at)
        except FileNotFoundError:
            if made is None:
                raise
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise Invalid(f"entry below {quoted_name(here)}, which is not a directory") from None
            raise
        os.mkdir(part, 0o700, dir_fd=at)
        made[here] = None
        return os.open(part, DIRECTORY, dir_fd=at)
