"""Where a store is written to: a directory or a tar. Both take blobs by digest, and show nothing before the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest

Documents = Callable[[bytes | None], Mapping[str, bytes]]
"""The files beside the blobs, in order, from the ``index.json`` that is there (None: there is none)."""


class Target(Protocol):
    """A place for ``blobs/ALGORITHM/ENCODED`` and a few documents. ``begin`` first, then one of the two ends."""

    def begin(self) -> None:
        """Raises Invalid where what is there must not be overwritten, NotFound, StorageFailed."""
        ...

    def has(self, digest: Digest, size: int) -> bool:
        """Whether a blob of that size (-1: any) is there. Its bytes are not read again."""
        ...

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Write a blob, and say what was written. With ``expected``, the blocks check themselves.

        Whatever is raised, by the blocks or by the disk, leaves nothing of the blob.
        """
        ...

    def commit(self, documents: Documents) -> None:
        """Make everything visible at once, and durable."""
        ...

    def abort(self) -> None:
        """Leave the place as it was. Does nothing after a commit."""
        ...


def blob_name(digest: Digest) -> str:
    """Where a blob lies in a layout (image-spec 1.1.1, image-layout.md, "Blobs")."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"
