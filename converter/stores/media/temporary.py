"""Files and directories still being written: hidden, locked by their writer, and removed if it dies."""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from converter.errors import Invalid, StorageFailed
from converter.stores.disk import (
    disk_errors,
    names_in,
    opened,
    printable_path,
    sync_directory,
)
from converter.streams.blocks import on_error

NAME = r"\.transship-[0-9a-f]{16}"
"""The names of temporaries. An unlocked one was left by a killed writer."""

_MADE: dict[Path, int] = {}
"""Temporaries of this process not yet removed, with its process ID: a forked child owns none of them."""


@atexit.register
def remove_leftovers() -> None:
    """Remove leftovers: a signal may arrive after a file is created but before the code that removes it knows of it."""
    for path, process in list(_MADE.items()):
        if process == os.getpid():
            with suppress(OSError):
                remove_path(path)


class Temporary:
    """A file or directory of this process. It is locked while ``fd`` is open, so that no other process removes it."""

    def __init__(self, directory: Path) -> None:
        """Gives it a name in ``directory``; nothing is made yet."""
        self.path = directory / f".transship-{os.urandom(8).hex()}"
        self.fd = -1
        _MADE[self.path] = os.getpid()

    def remove(self) -> None:
        """Remove and unlock it; no error if it was renamed.

        If removal fails, because a thread is still writing to it or the disk fails, it is tried again at exit.
        """
        with suppress(OSError):
            with suppress(FileNotFoundError):
                remove_path(self.path)
            _MADE.pop(self.path, None)
        fd, self.fd = self.fd, -1
        if fd >= 0:
            # What it holds is durable by now or unwanted, so a failure does not matter.
            with suppress(OSError):
                os.close(fd)


def temporary_file(directory: Path) -> Temporary:
    """A new empty file in ``directory``, open for reading and writing; the umask decides its mode."""
    # In one call, as the umask may deny its owner to open it again.
    return _temporary(directory, partial(os.open, flags=os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o666))


def temporary_directory(directory: Path) -> Temporary:
    """A new empty directory in ``directory``; the umask decides its mode."""
    return _temporary(directory, _open_new_directory)


def _open_new_directory(path: Path) -> int:
    """A file descriptor of a directory that is made; -1 if a cleaner has removed it before it was open."""
    path.mkdir()
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    return -1


def _temporary(directory: Path, make: Callable[[Path], int]) -> Temporary:
    """What ``make`` makes and opens, locked; made again if a cleaner removes it before it is."""
    # Not if this process has just made one there: each of thousands of parts would examine all earlier ones.
    if [newest.parent for newest in list(_MADE)[-1:]] != [directory]:
        remove_abandoned(directory)
    while True:
        made = Temporary(directory)
        with disk_errors(directory, "write in"), on_error(made.remove):
            try:
                made.fd = make(made.path)
            except FileNotFoundError as error:
                if directory.is_dir():  # one like /proc says that there is none
                    raise StorageFailed(
                        f"cannot write in {printable_path(directory)}: it takes no new files"
                    ) from error
                raise
            with suppress(FileNotFoundError):
                state = lock(made.fd) if made.fd >= 0 else "taken"
                if state == "unknown" or (state == "held" and os.path.samestat(made.path.lstat(), os.fstat(made.fd))):
                    return made
        made.remove()


class Staging:
    """A directory made next to its place, or ``inside`` it if it cannot be renamed to it, as with a mount point."""

    expected = "a new name or an empty directory"

    def __init__(self, path: Path) -> None:
        self.shown = printable_path(path)
        with disk_errors(path, "write"):
            self.path = Path(os.path.realpath(path))
        self.inside = False
        self._made: Temporary | None = None

    def there(self) -> list[str]:
        """The names of what is at the place, but for temporaries. Raises Invalid if it is no directory."""
        if not self.path.exists():
            return []
        if not self.path.is_dir():
            raise Invalid(f"{self.shown} is not a directory: expected {self.expected}")
        with disk_errors(self.path, "read"):
            return [name for name in names_in(self.path) if not re.fullmatch(NAME, name)]

    def stage(self) -> Temporary:
        """Make the hidden directory, and remove those that dead writers left there. Raises StorageFailed, OSError."""
        parent = self.path.parent
        while not parent.exists():
            parent = parent.parent
        if self.path.is_dir():
            remove_abandoned(self.path)
            self.inside = not can_rename_into(parent, self.path)
        self._made = temporary_directory(self.path if self.inside else parent)
        return self._made

    @property
    def staged(self) -> Path:
        """The hidden directory."""
        if self._made is None:
            raise RuntimeError("a sink takes blobs only while it is entered")
        return self._made.path

    def renamed(self) -> bool:
        """Rename the hidden directory to its place, durably; False if it is inside, or the place is no longer empty."""
        if self.inside:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.staged.rename(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        sync_directory(self.path.parent)
        return True

    def abort(self) -> None:
        """Leave the place as it was. Does nothing after a commit."""
        if self._made is not None:
            self._made.remove()
            self._made = None


def can_rename_into(parent: Path, path: Path) -> bool:
    """Whether entries of ``parent`` can be renamed to the existing ``path``: same file system, and ``parent`` writable.

    A mount point has its own file system, and a parent may belong to another user. Raises OSError.
    """
    return os.access(parent, os.W_OK | os.X_OK) and parent.stat().st_dev == path.stat().st_dev


def remove_abandoned(directory: Path) -> None:
    """Remove the temporaries of dead writers, as far as permitted; raises nothing."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if re.fullmatch(NAME, entry.name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


@contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Be the only writer in a directory, by a lock on the directory itself, which leaves nothing behind.

    On a file system without locks (some network mounts) there is no protection: concurrent writers must be avoided
    there.
    """
    with ExitStack() as files:
        with disk_errors(directory, "lock"):
            fd = files.enter_context(opened(directory, os.O_DIRECTORY))
        lock(fd, wait=True)
        yield


def remove_path(path: Path) -> None:
    """Remove a file, or a directory with everything below it, whatever its modes; raises OSError."""
    if stat.S_ISDIR(path.lstat().st_mode):
        with suppress(OSError):
            path.rmdir()
            return
        import shutil

        try:
            shutil.rmtree(path)
        except PermissionError:
            _open_up(path)
            shutil.rmtree(path)
    else:
        path.unlink()


def _open_up(path: Path) -> None:
    """Let the owner of directories, whose modes may come from an image, change them."""
    path.chmod(0o700)
    for directory, _, _ in os.walk(path):
        for below in Path(directory).iterdir():
            if stat.S_ISDIR(below.lstat().st_mode):
                below.chmod(0o700)


def _remove_if_abandoned(path: Path) -> None:
    with opened(path, os.O_NOFOLLOW | os.O_NONBLOCK) as fd:
        status = os.fstat(fd)
        usual = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        if usual and status.st_uid == os.geteuid() and lock(fd) == "held":
            remove_path(path)


def lock(fd: int, *, wait: bool = False) -> Literal["held", "taken", "unknown"]:
    """Lock an open file: the lock is now held, taken by another process, or not supported by the file system."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return "taken"
    except OSError:
        return "unknown"
    return "held"
