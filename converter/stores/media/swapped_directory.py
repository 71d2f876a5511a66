"""The directory of a ``dir:`` image: it appears at once, and may replace one of its kind, in one exchange of both."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

from converter.errors import Invalid
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.stores.disk import (
    disk_errors,
    names_in,
    sync_directory,
    sync_tree,
    write_file,
)
from converter.stores.media.temporary import NAME, Staging
from converter.stores.media.write_blob import write_blob_file
from converter.stores.overwriting import Inputs

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class SwappedDirectory(Staging):
    """A flat directory of files. Any number of threads may ``take``."""

    def __init__(
        self, path: Path, replaceable: Callable[[Path], bool], ours: re.Pattern[str], inputs: Inputs | None = None
    ) -> None:
        """Only an empty directory, or one that ``replaceable`` accepts, is replaced; ``ours`` matches its files. Others
        in it stay, and it must not have any of ``inputs``.
        """
        super().__init__(path)
        self._inputs = inputs or Inputs()
        self._replaceable = replaceable
        self._own_names = ours
        self._serial = itertools.count()

    def begin(self) -> None:
        """Start staging. Raises Invalid if something else is there, StorageFailed."""
        with disk_errors(self.path, "write"):
            if self.path.exists() and not self.path.is_dir():
                raise Invalid(f"{self.shown} is not a directory: expected one or a new name")
            if not self._empty() and not self._replaceable(self.path):
                raise Invalid(f"{self.shown} is neither empty nor a dir: image: choose another name")
            for path in map(self.path.joinpath, names_in(self.path) if self.path.exists() else ()):
                if self._own_names.fullmatch(path.name):
                    self._inputs.refuse(path, path.stat())
            self.stage()

    def take(self, blocks: Blocks, expected: Descriptor | None, suffix: str = "") -> Descriptor:
        """Write a file named by its digest and ``suffix``; on any error nothing of it remains."""
        part = self.staged / f"part-{next(self._serial)}"
        made = write_blob_file(part, self.path, blocks, expected)
        with disk_errors(self.path, "write"):
            part.rename(self.staged / f"{made.digest.encoded}{suffix}")
        return made

    def rename(self, old: str, new: str) -> None:
        """Rename a staged file."""
        with disk_errors(self.path, "write"):
            (self.staged / old).rename(self.staged / new)

    def write(self, name: str, data: bytes) -> None:
        """Write a staged file."""
        write_file(self.staged / name, data, durable=False)

    def commit(self, last: str) -> None:
        """Take the place by one rename or exchange; if the file system has none, file by file, with ``last`` last."""
        with disk_errors(self.path, "write"):
            sync_tree(self.staged)
            if not self.renamed() and not self._exchanged():
                self._move(last)
            sync_directory(self.path.parent)

    def _empty(self) -> bool:
        if not self.path.exists():
            return True
        with disk_errors(self.path, "read"):
            return all(map(NAME.fullmatch, names_in(self.path)))

    def _exchanged(self) -> bool:
        """Swap the two directories; the old one is then in the staging place, and removed with it."""
        if self.inside or not self._replaceable(self.path) or self._others():
            return False
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is None:
            return False
        paths = os.fsencode(self.staged), os.fsencode(self.path)
        return bool(rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)

    def _others(self) -> bool:
        """Whether the place has files that are not of an image, which would be removed with the old one."""
        return not all(self._own_names.fullmatch(name) or NAME.fullmatch(name) for name in names_in(self.path))

    def _move(self, last: str) -> None:
        if not self._empty() and not self._replaceable(self.path):
            raise Invalid(f"{self.shown} was changed by something else: it is no dir: image any more")
        names = names_in(self.staged)
        for name in sorted(names, key=lambda name: name == last):
            (self.staged / name).rename(self.path / name)
        sync_directory(self.path)
        for name in names_in(self.path):
            if name not in names and self._own_names.fullmatch(name):
                (self.path / name).unlink()
