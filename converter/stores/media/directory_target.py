"""A directory as a target: blobs are staged next to it, then everything appears at once (image-layout.md).

A new layout is renamed into place. An existing one gets its blobs first and its ``index.json`` last, under a lock on
the directory, so that concurrent writers take turns. A killed writer leaves a hidden directory, which the next one
removes, and in an existing layout perhaps blobs that nothing names yet.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from converter.errors import Invalid, NotFound, StorageFailed
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.stores.disk import (
    disk_errors,
    names_in,
    regular_size,
    sync_directory,
    sync_files,
    sync_tree,
    write_behind,
    write_file,
)
from converter.stores.media import DirectoryMedium, Documents, blob_name, write_blob
from converter.stores.media.temporary import Staging, lock_directory
from converter.stores.oci_index import INDEX, check_layout
from converter.streams.blocks import Block, RereadableBlocks, on_error

FICLONE = 0x40049409
"""The request to make two files share their blocks until one is written to (ioctl_ficlonerange(2))."""

_serial = itertools.count()
"""For the names of blobs still being written."""


class BlobStaging(Staging):
    """A hidden directory of blobs. Any number of threads may ``take``."""

    def take(
        self, blocks: Blocks, expected: Descriptor | None, name: Callable[[Digest], str] = blob_name
    ) -> Descriptor:
        """Write a blob to the file that ``name`` says; on any error nothing of it remains."""
        part = self.staged / f"part-{next(_serial)}"
        made = _write_blob_file(part, self.path, blocks, expected)
        blob = self.staged / name(made.digest)
        with disk_errors(self.path, "write"):
            blob.parent.mkdir(parents=True, exist_ok=True)
            part.rename(blob)
        return made


def _write_blob_file(path: Path, target: Path, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
    """As ``write_blob``, into a new file that is still to be made durable; it is removed on any error.

    Disk errors name ``target``, for which the file is staged, because the staging place is hidden.

    If the blocks say which file holds them, they are still read, and so verified, but not written if the two files can
    share them.
    """
    if isinstance(blocks, RereadableBlocks) and blocks.file is not None and _share_blocks(blocks.file, path):
        with on_error(path.unlink):
            return write_blob(blocks, expected, lambda _: None)
    with disk_errors(target, "write"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)

    def write(block: Block) -> None:
        with disk_errors(target, "write"):
            write_behind(fd, block)

    with on_error(path.unlink):
        try:
            return write_blob(blocks, expected, write)
        finally:
            with disk_errors(target, "write"):
                os.close(fd)


def _share_blocks(source: Path, path: Path) -> bool:
    """Make ``path`` a reflink of a file, or else a hard link; False, leaving nothing, if neither is possible."""
    with suppress(OSError):
        with on_error(path.unlink), source.open("rb") as old, path.open("xb") as new:
            fcntl.ioctl(new, FICLONE, old.fileno())
        return True
    with suppress(OSError):
        os.link(os.path.realpath(source), path)
        return True
    return False


class LayoutTarget(BlobStaging):
    """An OCI layout that is created or added to."""

    expected = "an OCI layout or a new name"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._relied: set[Digest] = set()

    def begin(self) -> None:
        """As in MediumTarget: refuses a directory that is neither empty nor a layout."""
        with disk_errors(self.path, "write"):
            self._is_layout()
            self.stage()

    def has(self, digest: Digest, size: int) -> bool:
        staged = regular_size(self.staged / blob_name(digest))
        found = regular_size(self.path / blob_name(digest)) if staged is None else staged
        if found is None or size not in (-1, found):
            return False
        if staged is None:
            self._relied.add(digest)
        return True

    def existing(self) -> DirectoryMedium | None:
        with disk_errors(self.path, "read"):
            return DirectoryMedium(self.path) if self._is_layout() else None

    def commit(self, documents: Documents) -> None:
        with disk_errors(self.path, "write"):
            for digest in self._relied:
                if regular_size(self.path / blob_name(digest)) is None:
                    raise StorageFailed(f"{digest} was removed from {self.shown} while it was written")
            if not self._appears(documents):
                self._merge(documents)

    def _is_layout(self) -> bool:
        """Whether a layout with an index is there; raises Invalid for anything else but an empty directory."""
        there = self.there()
        # A concurrent or killed writer may be between its first blob and its last file.
        if set(there) <= {"blobs"}:
            return False
        try:
            check_layout(DirectoryMedium(self.path))
        except NotFound:
            raise Invalid(f"{self.shown} is neither empty nor an OCI layout: choose another name") from None
        return INDEX in there

    def _appears(self, documents: Documents) -> bool:
        """Rename the staging directory into place if nothing is there; False if another writer was first."""
        if self.inside or (self.path.is_dir() and names_in(self.path)):
            return False
        for name, data in documents(None).items():
            write_file(self.staged / name, data)
        (self.staged / "blobs").mkdir(exist_ok=True)
        sync_tree(self.staged)
        return self.renamed()

    def _merge(self, documents: Documents) -> None:
        with lock_directory(self.path):
            there = self.existing()
            old = None if there is None else there.read_document(INDEX)
            changed = {}
            for name, data in documents(old).items():
                missing = regular_size(self.path / name) is None
                if missing or (name == INDEX and data != old):
                    changed[name] = data
            if not changed and not names_in(self.staged):
                return  # the writer of that index has made durable what it names
            for name, data in changed.items():
                write_file(self.staged / f"new-{name}", data)
            self._move_blobs()
            for name in changed:
                (self.staged / f"new-{name}").rename(self.path / name)
            sync_directory(self.path)

    def _move_blobs(self) -> None:
        """Make all that is staged durable, and move the blobs to their places."""
        sync_files(self.staged)
        for name in DirectoryMedium(self.staged).names():
            blob, place = self.staged / name, self.path / name
            if blob.parent != self.staged and regular_size(place) != blob.stat().st_size:
                # Not the layout itself: if it was removed meanwhile, half of it must not reappear.
                for folder in (place.parent.parent, place.parent):
                    folder.mkdir(exist_ok=True)
                blob.rename(place)
        blobs = self.path / "blobs"
        if blobs.is_dir():
            # Not the directories below, of which there may be a hundred thousand: their files are durable before being
            # renamed.
            for folder in (*(blobs / name for name in names_in(blobs)), blobs):
                if folder.is_dir():
                    sync_directory(folder)
