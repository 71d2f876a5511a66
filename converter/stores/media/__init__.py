"""The medium that holds a store: a directory, or a tar of one, with the same names and bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from converter.model.content import Blocks


class Medium(Protocol):
    """Named files, read only. Names are relative, with ``/``, and cannot leave the medium. Thread-safe."""

    where: str
    """The medium's name, for people."""

    def names(self) -> Iterable[str]:
        """The names of all files, sorted."""
        ...

    def size(self, name: str) -> int | None:
        """The size in bytes of a regular file; None if there is none of that name. Raises Invalid for a bad name."""
        ...

    def open(self, name: str, offset: int = 0, size: int | None = None) -> Blocks:
        """The bytes of a file, or ``size`` of them from ``offset``, unverified. Raises NotFound."""
        ...

    def file(self, name: str) -> Path | None:
        """The file on disk with exactly these bytes; None if there is none."""
        ...

    def read_document(self, name: str) -> bytes:
        """The whole content of a small file; raises LimitExceeded if it is larger than a document may be, NotFound."""
        ...

    def close(self) -> None:
        """Release the medium; blocks still being read end with an error."""
        ...
