"""What not every POSIX system has, with a fallback: a Mac has no affinity, fadvise, /proc or xattrs in os.

Nothing here is for speed alone: what has no meaning elsewhere is left out by its caller.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from contextlib import suppress
from typing import Any

OPEN_FILES = "/proc/self/fd"
"""Where Linux shows the files that this process has open."""
MOUNTS = "/proc/self/fdinfo"
"""Where Linux shows the mount of each open file."""


def cores() -> int:
    """The number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if affinity is None else len(affinity(0))


def can_fork() -> bool:
    """Whether a copy of this process can do a part of its work.

    A Mac's libraries do not work in one; nor does a lock that another thread held when it was made.
    """
    return hasattr(os, "fork") and sys.platform != "darwin" and threading.active_count() == 1


def wide_pipe() -> tuple[int, int]:
    """The ends of a pipe that holds 1 MiB where the system grants that: whoever writes into it rarely waits."""
    import fcntl

    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
    return reading, writing


def begin_writing(fd: int, offset: int, size: int) -> None:
    """Start writing a part of a file to the disk, where the system can be asked to.

    (With POSIX_FADV_DONTNEED, Linux starts writing dirty pages and drops only clean ones.)
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, size, getattr(os, "POSIX_FADV_DONTNEED", 0))


def entry_path(directory: int, name: bytes) -> bytes:
    """A path of a file in an open directory, for calls that take no ``dir_fd``."""
    return b"%b/%d/%b" % (OPEN_FILES.encode(), directory, name)


def attributes(file: int | bytes, without: tuple[bytes, ...] = ()) -> dict[bytes, bytes]:
    """The extended attributes of a file, which is open, or of a path itself, but for those that begin with ``without``.

    Raises OSError, ENOTSUP where there are none.
    """
    follow = isinstance(file, int)
    names: Any = _require_function("listxattr")(file, follow_symlinks=follow)
    if not names:
        return {}
    value: Any = _require_function("getxattr")
    found = map(os.fsencode, names)
    return {name: value(file, name, follow_symlinks=follow) for name in found if not name.startswith(without)}


def set_attribute(file: int | bytes, name: bytes, value: bytes) -> None:
    """Set an extended attribute of a file, which is open, or of a path itself; raises OSError, ENOTSUP without them."""
    _require_function("setxattr")(file, name, value, follow_symlinks=isinstance(file, int))


def mount_of(fd: int) -> bytes:
    """Which mount an open file is in: overlayfs gives files of one mount several device numbers.

    If the system does not say, mounts are distinguished by their devices.
    """
    with suppress(FileNotFoundError), open(f"{MOUNTS}/{fd}", "rb", buffering=0) as file:  # noqa: PTH123 - fewer calls
        for line in file.read(512).splitlines():
            if line.startswith(b"mnt_id:"):
                return line
    return b"dev:%d" % os.fstat(fd).st_dev


def _require_function(name: str) -> Any:
    function = getattr(os, name, None)
    if function is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    return function
