"""What a store is written to: a directory or a tar. Both take blobs by digest, and show nothing before the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest

Documents = Callable[[bytes | None], Mapping[str, bytes]]
"""The files besides the blobs, in order, given the existing ``index.json`` (None if there is none)."""


class Target(Protocol):
    """A place for ``blobs/ALGORITHM/ENCODED`` and a few documents. Call ``begin`` first, then ``commit`` or ``abort``
    last.
    """

    def begin(self) -> None:
        """Start writing. Raises Invalid if what is there must not be overwritten, NotFound, StorageFailed."""
        ...

    def has(self, digest: Digest, size: int) -> bool:
        """Whether a blob of that size (-1: any) is present; its bytes are not read."""
        ...

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Write a blob; returns what was written. With ``expected``, the blocks verify themselves.

        On any error, of the blocks or the disk, nothing of the blob remains.
        """
        ...

    def commit(self, documents: Documents) -> None:
        """Make everything visible at once, and durable."""
        ...

    def abort(self) -> None:
        """Leave the place as it was. Does nothing after a commit."""
        ...


def blob_name(digest: Digest) -> str:
    """The path of a blob in a layout (image-spec 1.1.1, image-layout.md, "Blobs")."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"
