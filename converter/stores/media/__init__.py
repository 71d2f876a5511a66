"""What a store lies on: a directory, or a tar of one. The same names, the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from converter.model.content import Blocks


class Medium(Protocol):
    """Named files, read only. Names are relative, with ``/``, and cannot leave the medium. Safe for threads."""

    where: str
    """The medium itself, for people."""

    def names(self) -> Iterable[str]:
        """The names of all files, sorted."""
        ...

    def size(self, name: str) -> int | None:
        """The size in bytes of a regular file; None where there is none of that name. Raises Invalid for a bad name."""
        ...

    def open(self, name: str, offset: int = 0, size: int | None = None) -> Blocks:
        """The bytes of a file, or ``size`` of them from ``offset``. Nothing is checked. Raises NotFound."""
        ...

    def file(self, name: str) -> Path | None:
        """The file on the disk that is all of that file and nothing else; None where there is none."""
        ...

    def read_document(self, name: str) -> bytes:
        """A small file whole; raises LimitExceeded where it is larger than a document may be, NotFound."""
        ...

    def close(self) -> None:
        """Free what the medium holds; blocks still being read end with an error."""
        ...
