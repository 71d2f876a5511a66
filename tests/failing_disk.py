"""A disk that fails: of the calls of ``os`` that reach it, one goes wrong, or all from one on; or a folder vanishes.

Only what Python calls is within its reach; SQLite's own writes and ``renameat2`` are not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
    with _met(disk.meet):
        yield disk


@dataclass(slots=True)
class Vanishing:
    """A folder that is removed, with all that is in it, just before call number ``first``."""

    folder: Path
    first: int
    gone: bool = field(default=False, init=False)
    calls: int = field(default=0, init=False)

    def meet(self, _name: str) -> None:
        """Count a call; those of the removal count, too, and are let be."""
        number, self.calls = self.calls, self.calls + 1
        if number == self.first and not self.gone:
            self.gone = True
            # Away in one step, since threads may be writing there.
            away = self.folder.with_name(f"{self.folder.name}, gone at {number}")
            self.folder.rename(away)
            shutil.rmtree(away, ignore_errors=True)


@contextmanager
def vanishing(folder: Path, first: int) -> Iterator[Vanishing]:
    """Let a folder vanish so, for everybody in this process."""
    disk = Vanishing(folder, first)
    with _met(disk.meet):
        yield disk


@contextmanager
def _met(meet: Callable[[str], None]) -> Iterator[None]:
    """Say to ``meet`` what is called, before it is done."""

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if name == "close":
                return close(*arguments)
            meet(name)
            return original(*arguments, **more)

        return call

    def close(fd: int) -> None:
        """Only what was written can still fail, and the file is closed all the same (close(2))."""
        written = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        shut(fd)
        if written:
            meet("close")

    shut = os.close
    with pytest.MonkeyPatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, wrapped(name, getattr(os, name)))
        yield
