"""A directory that appears at once and replaces nothing: its place must be free, or an empty directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from converter.errors import Invalid
from converter.stores.disk import disk_errors, names_in, sync_directory, sync_file_system
from converter.stores.media.temporary import NAME, Staging

LOST_AND_FOUND = "lost+found"
"""A directory in every new file system, which counts as empty all the same."""

SYNC_INTERVAL = 0.5
"""Seconds between two syncs: each commits the file system's journal."""


class StagedDirectory(Staging):
    """A hidden directory next to the place, or inside it if nothing can be renamed to it, as with a mount point."""

    def begin(self) -> None:
        """Make the hidden directory, accessible to its owner only. Raises Invalid if the place is not empty,
        StorageFailed.
        """
        with disk_errors(self.path, "write"):
            if self.path.exists() and not self.path.is_dir():
                raise Invalid(f"{self.shown} is not a directory: expected a new name or an empty directory")
            if self.path.is_dir():
                self._require_empty()
            staging = self.stage()
        try:
            with disk_errors(self.path, "write"):
                # Nor may its files inherit the group of the directory around it.
                os.chown(staging.fd, os.geteuid(), os.getegid())
                os.fchmod(staging.fd, 0o700)
        except BaseException:
            self.abort()
            raise

    def rename(self) -> None:
        """Make the hidden directory durable, and visible under its name. Raises StorageFailed, Invalid."""
        with disk_errors(self.shown, "write"):
            self.sync()
            if not self.renamed():
                raise Invalid(f"{self.shown} is not empty any more: something else has written to it")
            sync_directory(self.path.parent)

    def move(self, name: str) -> None:
        """Move one item out of the hidden directory if that is ``inside`` its place, which makes it visible."""
        with disk_errors(self.shown, "write"):
            (self.staged / name).rename(self.path / name)

    def sync(self) -> None:
        """Sync the whole file system to its disk: one call for any number of files."""
        sync_file_system(self.staged)

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Sync in another thread while the caller writes, so that the disk works at the same time.

        Raises StorageFailed if a sync did: the system reports only once that it has lost what was written. A caller
        that raises does not wait for a slow disk: one sync may still be under way then.
        """
        done, path = Event(), self.staged
        errors: list[OSError] = []

        def run() -> None:
            try:
                while not done.wait(SYNC_INTERVAL):
                    sync_file_system(path)
            except OSError as error:
                errors.append(error)

        thread = Thread(target=run, name="syncing", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
        thread.join()
        with disk_errors(self.shown, "write"):
            if errors:
                raise errors[0]

    def abort(self) -> None:
        """Remove the hidden directory, if it still exists."""
        if self._made is not None and os.geteuid() != 0:
            with suppress(OSError):
                _open_up(self.staged)
        super().abort()

    def _require_empty(self) -> None:
        with disk_errors(self.path, "read"):
            there = [name for name in names_in(self.path) if name != LOST_AND_FOUND and not NAME.fullmatch(name)]
        if there:
            raise Invalid(f"{self.shown} is not empty: expected a new name or an empty directory")


def _open_up(path: Path) -> None:
    """Make directories whose mode comes from the image removable by their owner."""
    for directory, _, _ in os.walk(path):
        for below in Path(directory).iterdir():
            if below.is_dir() and not below.is_symlink():
                below.chmod(0o700)
