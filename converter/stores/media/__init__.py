"""Protocols of what stores read (Medium) and write (Target): a directory or a tar.

Both have the same names and bytes. A target shows nothing before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from converter.errors import DigestMismatch
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.ports import Sink
from converter.streams.blocks import Block, Meter, closing


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


class Target(Protocol):
    """What is filled between ``begin`` and ``abort``, which leaves its place as it was unless there was a commit."""

    def begin(self) -> None:
        """Start writing. Raises Invalid if what is there must not be overwritten, NotFound, StorageFailed."""
        ...

    def abort(self) -> None: ...


Documents = Callable[[bytes | None], Mapping[str, bytes]]
"""The files besides the blobs, in order, given the existing ``index.json`` (None if there is none)."""


class MediumTarget(Target, Protocol):
    """A place for ``blobs/ALGORITHM/ENCODED`` and a few documents."""

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


def blob_name(digest: Digest) -> str:
    """The path of a blob in a layout (image-spec 1.1.1, image-layout.md, "Blobs")."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def write_blob(blocks: Blocks, expected: Descriptor | None, write: Callable[[Block], None]) -> Descriptor:
    """Write every block; returns what was written, with the media type of ``expected``, if any.

    With ``expected``, the blocks are those of a Known, which verifies itself: they are only counted, not hashed again.
    """
    meter, size = Meter(), 0
    with closing(blocks) as source:
        for block in source:
            size += len(block)
            if expected is None:
                meter.update(block)
            write(block)
    if expected is None:
        return Descriptor(media_type="", digest=meter.digest(), size=size)
    if expected.size not in (-1, size):
        raise DigestMismatch(f"size mismatch for {expected.digest}: expected {expected.size} bytes, read {size}")
    return expected.sized(size)


T = TypeVar("T", bound=Target)


class TargetSink(Sink, Generic[T]):
    """A sink of one target."""

    def __init__(self, target: T) -> None:
        self._target = target

    def __enter__(self) -> Self:
        self._target.begin()
        return self

    def _abort(self) -> None:
        self._target.abort()
