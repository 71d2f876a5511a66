"""Opens files without blocking, makes files and directories durable, and reports failures as facts."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from converter.errors import Invalid, NotFound, StorageFailed, system_words
from converter.model.limits import MIB
from converter.streams.blocks import file_blocks, on_error, write_all
from converter.system import begin_writing

READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""With these flags, opening a FIFO or a device does not wait for a peer."""


WRITE_BEHIND = 4 * MIB
"""How many bytes the disk is given to write at a time."""


def printable_path(text: str | Path) -> str:
    """A path or a name for an error message, with control characters escaped for the terminal."""
    plain = str(text)
    return plain if plain.isprintable() else ascii(plain)


@contextmanager
def disk_errors(path: str | Path, verb: str) -> Iterator[None]:
    """Turn an OSError on ``path`` into NotFound or StorageFailed; ``verb`` completes "cannot … PATH"."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        named = printable_path(path)
        # In the manner of a URL: oci://layout.
        hint = f" (did you mean {named.lstrip('/')}?)" if re.match("//[^/]", named) else ""
        raise NotFound(f"{named}: {system_words(error)}{hint}") from None
    except OSError as error:
        raise disk_error(error, path, verb) from error


def disk_error(error: OSError, path: str | Path, verb: str) -> StorageFailed:
    """The error that the system reported for ``path``, as a fact."""
    if error.errno == errno.EBADF and str(path) == "-":
        return StorageFailed(f"standard {'input' if verb == 'read' else 'output'} is closed")
    return StorageFailed(f"cannot {verb} {printable_path(path)}: {system_words(error)}")


@contextmanager
def opened(
    path: str | bytes | Path, flags: int = os.O_RDONLY, mode: int = 0o666, dir_fd: int | None = None
) -> Iterator[int]:
    """A file descriptor of a file or directory, closed at the end. A file that is made has the mode less the umask.
    The path may begin in an open directory, ``dir_fd``. Raises OSError.
    """
    fd = os.open(path, flags, mode, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(path: Path, hint: str = "") -> int:
    """A file descriptor of a regular file. Raises Invalid, with the hint, for another type, NotFound, StorageFailed."""
    with disk_errors(path, "read"):
        fd = os.open(path, READ)
        with on_error(os.close, fd):
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                raise Invalid(f"{printable_path(path)} is a directory: expected a file")
            if not stat.S_ISREG(mode):
                raise Invalid(f"{printable_path(path)} is not a regular file{hint}")
    return fd


def read_regular(path: Path) -> Iterator[bytes | memoryview]:
    """A regular file. Raises as ``open_regular``, and Invalid if it becomes shorter meanwhile."""
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        with disk_errors(path, "read"):
            size = os.fstat(file.fileno()).st_size
        yield from file_blocks(file.fileno(), 0, size)


def regular_size(path: Path) -> int | None:
    """The size in bytes of a regular file, following symlinks; None if there is none."""
    with suppress(NotFound), disk_errors(path, "read"):
        status = path.stat()
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    return None


def names_in(path: Path) -> list[str]:
    """The names in a directory, sorted."""
    return sorted(entry.name for entry in path.iterdir())


def walk_directory(path: Path, *, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """As ``os.walk``, but raises NotFound or StorageFailed for what cannot be read instead of skipping it."""

    def stop(error: OSError) -> None:
        with disk_errors(error.filename or path, "read"):
            raise error

    return os.walk(path, topdown, stop)


def write_behind(fd: int, block: bytes | memoryview) -> None:
    """As ``write_all``, for a file to be made durable later: writing to the disk begins now, to shorten the wait."""
    write_all(fd, block)
    end = os.lseek(fd, 0, os.SEEK_CUR)
    begun = (end - len(block)) // WRITE_BEHIND * WRITE_BEHIND
    if end - begun >= WRITE_BEHIND:
        begin_writing(fd, begun, end - begun)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file, to be made durable with others in its directory; its mode is 0666 less the umask."""
    with disk_errors(path, "write"), opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
        write_all(fd, data)


def sync_file_system(path: Path) -> None:
    """Make all files of a directory's file system durable: one call for any number of files. Raises OSError."""
    import ctypes

    with opened(path, os.O_DIRECTORY) as fd:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, if the file system supports that."""
    with disk_errors(path, "write"), opened(path, os.O_DIRECTORY) as fd:
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise


def sync_files(path: Path) -> None:
    """Make the content of all files in and below a directory durable.

    One after the other at the end is fastest: each fsync commits the journal for all.
    """
    for directory, _, names in walk_directory(path):
        for name in names:
            with disk_errors(directory, "write"), opened(Path(directory, name), os.O_NOFOLLOW) as fd:
                os.fsync(fd)


def sync_tree(path: Path) -> None:
    """Make everything in a directory durable: content first, then names, the deepest first."""
    sync_files(path)
    for directory, _, _ in walk_directory(path, topdown=False):
        sync_directory(Path(directory))


def is_inside(path: str, folder: str) -> bool:
    """Whether a path leads to a folder or to a place in it, through whatever links. Neither has to exist."""
    around = os.path.realpath(folder)
    return os.path.commonpath((around, os.path.realpath(path))) == around
