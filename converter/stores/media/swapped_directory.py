"""A directory that is written beside its place and takes it in one step, whatever was there of its kind."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

from converter.errors import Invalid
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.stores.disk import (
    disk,
    existing_ancestor,
    names_in,
    renamable,
    shown,
    sync_directory,
    sync_tree,
    write_file,
)
from converter.stores.media.pour import poured_file
from converter.stores.media.temporary import NAME, Temporary, clean, temporary_directory

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class SwappedDirectory:
    """A flat directory of files. Any number of threads may ``take``."""

    def __init__(self, path: Path, replaceable: Callable[[Path], bool], ours: re.Pattern[str]) -> None:
        """What may be replaced is an empty directory, or one that ``replaceable`` knows; ``ours`` are its files."""
        self._shown = shown(path)
        with disk(path, "write"):
            self._path = Path(os.path.realpath(path))
        self._replaceable = replaceable
        self._ours = ours
        self._staging: Temporary | None = None
        self._serial = itertools.count()

    def begin(self) -> None:
        """Raises Invalid where something else is there, StorageFailed."""
        with disk(self._path, "write"):
            if self._path.exists() and not self._path.is_dir():
                raise Invalid(f"got {self._shown}, which is no directory, want one or a new name")
            if not self._empty() and not self._replaceable(self._path):
                raise Invalid(f"got {self._shown}, which is neither empty nor a dir: image, want one of them")
            parent = existing_ancestor(self._path)
            if self._path.is_dir():
                clean(self._path)
            inside = self._path.is_dir() and not renamable(parent, self._path)
            self._staging = temporary_directory(self._path if inside else parent)

    def take(self, blocks: Blocks, expected: Descriptor | None, suffix: str = "") -> tuple[Digest, int]:
        """Write a file that is called by its digest and ``suffix``; whatever is raised leaves nothing of it."""
        part = self._staged / f"part-{next(self._serial)}"
        digest, size = poured_file(part, self._path, blocks, expected)
        with disk(self._path, "write"):
            part.rename(self._staged / f"{digest.encoded}{suffix}")
        return digest, size

    def rename(self, old: str, new: str) -> None:
        """Call a file otherwise."""
        with disk(self._path, "write"):
            (self._staged / old).rename(self._staged / new)

    def write(self, name: str, data: bytes) -> None:
        """A file beside the others."""
        write_file(self._staged / name, data, durable=False)

    def commit(self, last: str) -> None:
        """Take the place: by one rename or exchange; where the file system has none, file by file, ``last`` last."""
        with disk(self._path, "write"):
            sync_tree(self._staged)
            if not self._renamed() and not self._exchanged():
                self._move(last)
            sync_directory(self._path.parent)
        self.abort()

    def abort(self) -> None:
        """Leave the place as it was. Does nothing after a commit."""
        if self._staging is not None:
            self._staging.remove()
            self._staging = None

    @property
    def _staged(self) -> Path:
        if self._staging is None:
            raise RuntimeError("a sink takes blobs only while it is entered")
        return self._staging.path

    def _empty(self) -> bool:
        if not self._path.exists():
            return True
        with disk(self._path, "read"):
            return all(map(NAME.fullmatch, names_in(self._path)))

    def _renamed(self) -> bool:
        if self._staged.parent == self._path:
            return False
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._staged.rename(self._path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True

    def _exchanged(self) -> bool:
        """Swap the two directories; the old one is then in the staging place, and goes with it."""
        if self._staged.parent == self._path or not self._replaceable(self._path):
            return False
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is None:
            return False
        paths = os.fsencode(self._staged), os.fsencode(self._path)
        return bool(rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)

    def _move(self, last: str) -> None:
        if not self._empty() and not self._replaceable(self._path):
            raise Invalid(f"got {self._shown}, which is no such image any more, want one")
        names = names_in(self._staged)
        for name in sorted(names, key=lambda name: name == last):
            (self._staged / name).rename(self._path / name)
        sync_directory(self._path)
        for name in names_in(self._path):
            if name not in names and self._ours.fullmatch(name):
                (self._path / name).unlink()
