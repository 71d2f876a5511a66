"""A directory as a target: blobs are staged next to it, then everything appears at once (image-layout.md).

A new layout is renamed into place. An existing one gets its blobs first and its ``index.json`` last, under a lock on
the directory, so that concurrent writers take turns. A killed writer leaves a hidden directory, which the next one
removes, and in an existing layout perhaps blobs that nothing names yet.
"""

from __future__ import annotations

import itertools
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
    walk_directory,
    write_file,
)
from converter.stores.media import Documents, blob_name
from converter.stores.media.directory_medium import DirectoryMedium
from converter.stores.media.temporary import NAME, Staging, lock_directory
from converter.stores.media.write_blob import write_blob_file
from converter.stores.oci_index import INDEX, check_layout


class LayoutTarget(Staging):
    """An OCI layout that is created or added to. Any number of threads may ``take``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._serial = itertools.count()
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

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        part = self.staged / f"part-{next(self._serial)}"
        made = write_blob_file(part, self.path, blocks, expected)
        blob = self.staged / blob_name(made.digest)
        with disk_errors(self.path, "write"):
            blob.parent.mkdir(parents=True, exist_ok=True)
            part.rename(blob)
        return made

    def commit(self, documents: Documents) -> None:
        with disk_errors(self.path, "write"):
            for digest in self._relied:
                if regular_size(self.path / blob_name(digest)) is None:
                    raise StorageFailed(f"{digest} was removed from {self.shown} while it was written")
            if not self._appears(documents):
                self._merge(documents)

    def _is_layout(self) -> bool:
        """Whether a layout with an index is there; raises Invalid for anything else but an empty directory."""
        if not self.path.exists():
            return False
        if not self.path.is_dir():
            raise Invalid(f"{self.shown} is not a directory: expected an OCI layout or a new name")
        with disk_errors(self.path, "read"):
            there = {name for name in names_in(self.path) if not NAME.fullmatch(name)}
        # A concurrent or killed writer may be between its first blob and its last file.
        if there <= {"blobs"}:
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
            write_file(self.staged / name, data, durable=False)
        (self.staged / "blobs").mkdir(exist_ok=True)
        sync_tree(self.staged)
        if not self.renamed():
            for name in documents(None):
                (self.staged / name).unlink()
            return False
        sync_directory(self.path.parent)
        return True

    def _merge(self, documents: Documents) -> None:
        with lock_directory(self.path):
            old = DirectoryMedium(self.path).read_document(INDEX) if self._is_layout() else None
            changed = {
                name: data
                for name, data in documents(old).items()
                if regular_size(self.path / name) is None or (name == INDEX and data != old)
            }
            if not changed and not names_in(self.staged):
                return  # the writer of that index has made durable what it names
            self._move_blobs()
            for name, data in changed.items():
                fresh = self.staged / name
                write_file(fresh, data)
                fresh.rename(self.path / name)
            sync_directory(self.path)

    def _move_blobs(self) -> None:
        sync_files(self.staged)
        files = sorted(Path(folder, name) for folder, _, names in walk_directory(self.staged) for name in names)
        for blob in (file for file in files if file.parent != self.staged):
            place = self.path / blob.relative_to(self.staged)
            if regular_size(place) != blob.stat().st_size:
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
