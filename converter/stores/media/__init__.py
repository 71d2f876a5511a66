"""What stores read (Medium) and write (Target): a directory or a tar. A directory is read in place.

Both have the same names and bytes. A target shows nothing before the commit.
"""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from converter.errors import DigestMismatch, Invalid, NotFound, Unsupported
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.limits import current_limits
from converter.ports import Sink
from converter.stores.disk import (
    READ,
    disk_errors,
    names_in,
    opened,
    printable_path,
    read_regular,
    regular_size,
    walk_directory,
)
from converter.streams.blocks import Block, ClosedOnExit, Meter, closing


class Medium(ClosedOnExit):
    """Named files, read only. Names are relative, with ``/``, and cannot leave the medium. Thread-safe."""

    where: str
    """The medium's name, for people."""
    folder: Path | None = None
    """The directory with the files; None if they are in a tar, where none is a file of its own."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files, sorted."""

    def top(self) -> list[str]:
        """The first parts of the names of all files, and in a directory also those of empty ones."""
        return sorted({name.partition("/")[0] for name in self.names()})

    @abstractmethod
    def size(self, name: str) -> int | None:
        """The size in bytes of a regular file; None if there is none of that name. Raises Invalid for a bad name."""

    @abstractmethod
    def open(self, name: str) -> Blocks:
        """The bytes of a file, unverified. Raises NotFound."""

    def read_document(self, name: str) -> bytes:
        """The whole content of a small file; raises LimitExceeded if it is larger than a document may be, NotFound."""
        current_limits().require("document", self.size(name) or 0, f"bytes in {name}")
        return b"".join(self.open(name))

    def blob(self, descriptor: Descriptor, names: Iterable[str]) -> Known | None:
        """A blob in the first file there is of these names, unopened; None if there is none."""
        for name in names:
            size = self.size(name)
            if size is not None:
                file = None if self.folder is None else self.folder / name
                return Known(descriptor.sized(size), partial(self.open, name), file=file)
        return None

    def close(self) -> None:
        """Release the medium; blocks still being read end with an error."""


class DirectoryMedium(Medium):
    """The regular files below a directory. Symlinks are followed: their targets are verified like any other content."""

    folder: Path

    def __init__(self, path: Path) -> None:
        """Raises NotFound if the path does not exist, Invalid if it is not a directory."""
        self.where = printable_path(path)
        self.folder = path
        # Opened, not just examined, so that an unreadable directory is refused here, by name.
        with disk_errors(path, "read"), opened(path, READ) as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise Invalid(f"{self.where} is not a directory")

    def names(self) -> list[str]:
        """The names of all files, sorted, without temporaries, which begin with a dot."""
        found = []
        for directory, below, files in walk_directory(self.folder):
            below[:] = [name for name in below if not name.startswith(".")]
            inside = Path(directory).relative_to(self.folder)
            found += [(inside / name).as_posix() for name in files]
        return sorted(found)

    def top(self) -> list[str]:
        with disk_errors(self.folder, "read"):
            return names_in(self.folder)

    def size(self, name: str) -> int | None:
        return regular_size(self._inside(name))

    def open(self, name: str) -> Blocks:
        path = self._inside(name)
        if regular_size(path) is None:
            raise NotFound(f"no file {name} in {self.where}")
        return read_regular(path)

    def _inside(self, name: str) -> Path:
        if not name or name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise Invalid(f'name "{name}" leads out of {self.where}: expected one inside')
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            raise Invalid(f'"{name}" cannot be the name of a file') from None
        return self.folder / name


class Target(Protocol):
    """What is filled between ``begin`` and ``abort``, which leaves its place as it was unless there was a commit."""

    def begin(self) -> None:
        """Start writing. Raises Invalid if what is there must not be overwritten, NotFound, StorageFailed."""

    def abort(self) -> None:
        """Remove what is not committed; may be called again."""


Documents = Callable[[bytes | None], Mapping[str, bytes]]
"""The files besides the blobs, in order, given the existing ``index.json`` (None if there is none)."""


class MediumTarget(Target, Protocol):
    """A place for ``blobs/ALGORITHM/ENCODED`` and a few documents."""

    shown: str
    """Its path, for people."""

    def has(self, digest: Digest, size: int) -> bool:
        """Whether a blob of that size (-1: any) is present; its bytes are not read."""

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Write a blob; returns what was written. With ``expected``, the blocks verify themselves.

        On any error, of the blocks or the disk, nothing of the blob remains.
        """

    def existing(self) -> Medium | None:
        """The layout that is added to; None if there is none."""

    def commit(self, documents: Documents) -> None:
        """Make everything visible at once, and durable."""


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


class OneImageSink(Sink):
    """A sink of one image, whose only name is that of the place."""

    place: ClassVar[str]
    """What messages call it."""
    _root: Descriptor | None = None

    def name(self, name: str, root: Descriptor) -> None:
        """Make ``root`` the image; its name is not stored. Raises Unsupported for a second image."""
        del name
        if self._root is not None and self._root.digest != root.digest:
            raise Unsupported(f"cannot write two images to one {self.place}")
        self._root = root

    def _root_among(self, written: Collection[Digest]) -> Digest:
        """The image, if it has been written; raises Invalid otherwise."""
        if self._root is None or self._root.digest not in written:
            raise Invalid(f"no image was written to the {self.place}")
        return self._root.digest


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
