"""A directory as a medium: its files are read in place, and symbolic links are followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from converter.errors import Invalid, NotFound
from converter.model.content import Blocks
from converter.model.limits import current_limits
from converter.stores.disk import READ, disk_errors, opened, printable_path, read_regular, regular_size, walk_directory


class DirectoryMedium:
    """The regular files below a directory. Symlinks are followed: their targets are verified like any other content."""

    def __init__(self, path: Path) -> None:
        """Raises NotFound if the path does not exist, Invalid if it is not a directory."""
        self.where = printable_path(path)
        self._path = path
        # Opened, not just examined, so that an unreadable directory is refused here, by name.
        with disk_errors(path, "read"), opened(path, READ) as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise Invalid(f"{self.where} is not a directory")

    def names(self) -> list[str]:
        """The names of all files, sorted, without temporaries, which begin with a dot."""
        found = []
        for directory, below, files in walk_directory(self._path):
            below[:] = [name for name in below if not name.startswith(".")]
            inside = Path(directory).relative_to(self._path)
            found += [(inside / name).as_posix() for name in files]
        return sorted(found)

    def top(self) -> list[str]:
        """The names of what is directly in it, sorted."""
        with disk_errors(self._path, "read"):
            return sorted(path.name for path in self._path.iterdir())

    def size(self, name: str) -> int | None:
        return regular_size(self._inside(name))

    def open(self, name: str, offset: int = 0, size: int | None = None) -> Blocks:
        path = self._inside(name)
        if regular_size(path) is None:
            raise NotFound(f"no file {name} in {self.where}")
        return read_regular(path, offset, size)

    def file(self, name: str) -> Path | None:
        return self._inside(name)

    def read_document(self, name: str) -> bytes:
        current_limits().require("document", self.size(name) or 0, f"bytes in {name}")
        return b"".join(self.open(name))

    def close(self) -> None:
        """Nothing is open."""

    def _inside(self, name: str) -> Path:
        if not name or name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise Invalid(f'name "{name}" leads out of {self.where}: expected one inside')
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            raise Invalid(f'"{name}" cannot be the name of a file') from None
        return self._path / name
