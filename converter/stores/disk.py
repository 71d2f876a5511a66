"""Files and directories on a disk: opened without waiting, made durable, and their failures told as facts."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converter.errors import Invalid, NotFound, StorageFailed

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Opening a FIFO or a device with these flags does not wait for anybody at its other end."""


AT_ONCE = 4 * 1024 * 1024
"""Bytes that a disk is given to write at a time."""


def shown(text: str | Path) -> str:
    """A path or a name for an error's text: what a terminal could act on is escaped."""
    plain = str(text)
    return plain if plain.isprintable() else ascii(plain)


@contextmanager
def disk(path: str | Path, want: str) -> Iterator[None]:
    """Tell an OSError on ``path`` as NotFound or StorageFailed; ``want`` completes "want to … it"."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"got no file or directory {shown(path)}, want to {want} it") from None
    except OSError as error:
        raise failed(error, path, want) from error


def failed(error: OSError, path: str | Path, want: str) -> StorageFailed:
    """What the system said about ``path``, as a fact."""
    reason = (error.strerror or str(error)).lower()
    return StorageFailed(f"got {reason!r} for {shown(path)}, want to {want} it")


def open_regular(path: Path) -> int:
    """A file descriptor of a regular file. Raises Invalid for anything else, NotFound, StorageFailed."""
    with disk(path, "read"):
        fd = os.open(path, READ)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Invalid(f"got {shown(path)}, which is no regular file, want one")
        except BaseException:
            os.close(fd)
            raise
    return fd


def regular_size(path: Path) -> int | None:
    """The size in bytes of a regular file, perhaps behind a symlink; None where there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise failed(error, path, "read") from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def names_in(path: Path) -> list[str]:
    """The names in a directory, sorted."""
    return sorted(entry.name for entry in path.iterdir())


def walked(path: Path, *, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """As ``os.walk``, which passes over what cannot be read: here that raises NotFound, StorageFailed."""

    def stop(error: OSError) -> None:
        with disk(error.filename or path, "read"):
            raise error

    return os.walk(path, topdown, stop)


def write_all(fd: int, block: bytes | memoryview) -> None:
    """Write a whole block at the file's position, however many calls that takes."""
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]


def write_down(fd: int, block: bytes | memoryview) -> None:
    """The same into a file that will be made durable: the disk begins with it now, so that there is little to wait for.

    (Linux starts to write dirty pages when it is told that nobody needs them, and drops only those that are clean.)
    """
    write_all(fd, block)
    end = os.lseek(fd, 0, os.SEEK_CUR)
    begun = (end - len(block)) // AT_ONCE * AT_ONCE
    if end - begun >= AT_ONCE:
        os.posix_fadvise(fd, begun, end - begun, os.POSIX_FADV_DONTNEED)


def pwrite_all(fd: int, block: bytes, offset: int) -> None:
    """Write a whole block at an offset; the file's position does not move."""
    view = memoryview(block)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """A new file with that content, on the disk when this returns unless it shall be made ``durable`` with others
    (``sync_tree``); its mode is what the umask leaves of 0666.
    """
    with disk(path, "write"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    with disk(path, "write"):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(fd)


def sync_files(path: Path) -> None:
    """Make the content of all files in a directory and below it durable.

    One after the other, at the end, is the quickest: what one makes durable of the journal is so for all.
    """
    for directory, _, names in walked(path):
        for name in names:
            with disk(directory, "write"):
                fd = os.open(Path(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)


def sync_tree(path: Path) -> None:
    """Make all that is in a directory durable: content first, then the names."""
    sync_files(path)
    sync_names(path)


def sync_names(path: Path) -> None:
    """Make the names in a directory and in all below it durable, the deepest first."""
    for directory, _, _ in walked(path, topdown=False):
        sync_directory(Path(directory))


def existing_ancestor(path: Path) -> Path:
    """The nearest directory above ``path`` that is there."""
    with disk(path, "write"):
        for parent in path.parents:
            if parent.is_dir():
                return parent
    raise NotFound(f"got no directory above {shown(path)}, want one to write to")


def renamable(parent: Path, path: Path) -> bool:
    """Whether what is made in ``parent`` can be renamed to ``path``, which is there: on one file system, and writable.

    A mount point has its own file system, and a parent may belong to somebody else.
    """
    with disk(path, "write"):
        return os.access(parent, os.W_OK | os.X_OK) and parent.stat().st_dev == path.stat().st_dev
