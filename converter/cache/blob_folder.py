"""Keeps blobs that were costly to make or fetch in a folder, by digest; the least recently used are removed first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from converter.errors import ConverterError
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.stores.disk import read_regular
from converter.stores.media.temporary import Temporary, remove_abandoned, temporary_file
from converter.streams.blocks import Block, closing, drain, write_all

Keep = Callable[[Digest], None]
"""Keeps the blocks that have passed, under this digest."""


@frozen
class CachedBlob:
    """A blob in the folder: ``size`` in bytes, ``used`` in seconds since 1970."""

    digest: Digest
    size: int
    used: float
    path: Path


@frozen(kw_only=False)
class BlobFolder:
    """A folder of blobs, at most ``most`` bytes in all after ``trim``. Safe for concurrent threads and processes.

    A damaged or missing file is not an error; the blob counts as absent.
    """

    folder: Path
    most: int = 0

    def find(self, descriptor: Descriptor) -> Known | None:
        """The blob, if present and intact: it is verified first, so that damage here never fails a conversion."""
        path = self.folder / descriptor.digest.algorithm / descriptor.digest.encoded
        try:
            known = Known(descriptor.sized(path.stat().st_size), partial(read_regular, path))
            drain(known.blocks())
            os.utime(path)
        except FileNotFoundError:
            return None
        except (ConverterError, OSError):
            with suppress(OSError):
                path.unlink()
            return None
        return known

    def blocks(self, known: Known) -> Iterator[Block]:
        """The bytes of a blob that is costly to fetch: once it has been, those that were kept."""
        there = self.find(known.descriptor)
        if there is not None:
            yield from there.raw()
            return
        with self.keeping(known.blocks()) as (passing, keep):
            yield from passing
            keep(known.descriptor.digest)

    @contextmanager
    def keeping(self, blocks: Blocks) -> Iterator[tuple[Iterator[Block], Keep]]:
        """The same blocks, saved as they pass, and a function that keeps them once all have passed. Otherwise nothing
        stays.
        """
        part: Temporary | None = None
        with suppress(ConverterError, OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            part = temporary_file(self.folder)

        def passing() -> Iterator[Block]:
            nonlocal part
            with closing(blocks) as source:
                for block in source:
                    if part is not None:
                        try:
                            write_all(part.fd, block)
                        except OSError:  # nothing is kept, but the blocks still pass
                            part.remove()
                            part = None
                    yield block

        def keep(digest: Digest) -> None:
            if part is not None:
                with suppress(OSError):
                    place = self.folder / digest.algorithm
                    place.mkdir(exist_ok=True)
                    part.path.rename(place / digest.encoded)

        try:
            yield passing(), keep
        finally:
            if part is not None:
                part.remove()  # which does nothing after it was renamed

    def kept(self) -> list[CachedBlob]:
        """The blobs in the folder, least recently used first."""
        found = []
        with suppress(OSError):
            for path in self.folder.glob("sha*/*"):
                with suppress(OSError, ConverterError):
                    status = path.stat()
                    digest = Digest.parse(f"{path.parent.name}:{path.name}")
                    found.append(CachedBlob(digest=digest, size=status.st_size, used=status.st_mtime, path=path))
        return sorted(found, key=lambda one: one.used)

    def trim(self) -> list[CachedBlob]:
        """Remove blobs beyond ``most`` bytes and temporary files of killed processes; returns the removed blobs."""
        remove_abandoned(self.folder)
        kept = self.kept()
        over = sum(one.size for one in kept) - self.most
        removed = []
        for one in kept:
            if over <= 0:
                break
            with suppress(OSError):
                one.path.unlink()
                removed.append(one)
                over -= one.size
        return removed
