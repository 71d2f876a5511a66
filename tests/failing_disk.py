"""A disk that fails: of the calls of ``os`` that reach it, one goes wrong, or all from one on.

Only what Python calls is within its reach; SQLite's own writes and ``renameat2`` are not.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

FILES = ("open", "close", "dup", "read", "pread", "write", "pwrite", "lseek", "ftruncate", "fsync", "posix_fadvise")
LOOKS = ("stat", "lstat", "fstat", "scandir", "listdir", "readlink")
NAMES = ("mkdir", "rmdir", "unlink", "rename", "replace", "link", "symlink", "mkfifo", "mknod")
ATTRIBUTES = ("chmod", "fchmod", "chown", "utime", "setxattr")
CALLS = (*FILES, *LOOKS, *NAMES, *ATTRIBUTES)


@dataclass(slots=True)
class Disk:
    """Fails with the error ``code`` at its call number ``first``, and at all that follow if it is ``lasting``."""

    code: int
    first: int
    lasting: bool
    calls: int = field(default=0, init=False)
    failed: list[str] = field(default_factory=list, init=False)

    def meet(self, name: str) -> None:
        """Count a call; raises OSError where it shall fail."""
        number, self.calls = self.calls, self.calls + 1
        if number == self.first or (self.lasting and number > self.first):
            self.failed.append(name)
            raise OSError(self.code, os.strerror(self.code))


@contextmanager
def failing(code: int, first: int, *, lasting: bool) -> Iterator[Disk]:
    """Let the disk behave so for everybody in this process."""
    disk = Disk(code, first, lasting)

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if name == "close":
                return close(*arguments)
            disk.meet(name)
            return original(*arguments, **more)

        return call

    def close(fd: int) -> None:
        """Only what was written can still fail, and the file is closed all the same (close(2))."""
        written = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        shut(fd)
        if written:
            disk.meet("close")

    shut = os.close
    with pytest.MonkeyPatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, wrapped(name, getattr(os, name)))
        yield disk
