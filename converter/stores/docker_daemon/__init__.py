"""Images of a Docker Engine: does what ``docker save``, ``load`` and ``images`` do, through its socket."""

from __future__ import annotations

import os
from pathlib import Path

from converter.errors import Usage, within
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName, Location
from converter.ports import Source
from converter.stores.base_source import NameListing
from converter.stores.docker_archive import DockerArchive, DockerArchiveSink
from converter.stores.docker_daemon.engine import Engine, engine_of
from converter.stores.media.tar_medium import TarMedium
from converter.stores.media.tar_target import TarTarget
from converter.stores.options import StoreOptions
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK, file_blocks

__all__ = ["DaemonSink", "EngineFile", "open_sink", "open_source"]


def open_source(location: Location, options: StoreOptions) -> Source:
    """One image, by name or ID, fetched whole into an unnamed file because the Engine does not serve parts.

    ``docker-daemon:`` is the list of its images. Raises NotFound if the Engine has no such image, Unreachable if there
    is no Engine.
    """
    engine = engine_of(options)
    try:
        if not location.path:
            names = engine.names()
            return NameListing(f"the Docker Engine at {engine.host}", "docker-daemon:NAME", lambda: names)
        fd = spool.spool_blocks(engine.save(location.path))
    finally:
        engine.close()
    medium = TarMedium(Path(location.path), fd)
    medium.where = f"the Docker Engine at {engine.host}"
    return DockerArchive(medium, options.problems)


def open_sink(location: Location, options: StoreOptions) -> DaemonSink:
    """Load an image into the Engine under the name REF. Raises Invalid if that is not a name, Usage for a digest."""
    reference = ImageName.parse(location.path)
    if reference.digest is not None:
        raise Usage(f"cannot load docker-daemon:{location.path} under a digest: expected docker-daemon:REPO[:TAG]")
    return DaemonSink(reference, engine_of(options))


class DaemonSink(DockerArchiveSink):
    """An archive that the Engine loads when the sink commits, all of it or nothing."""

    def __init__(self, reference: ImageName, engine: Engine) -> None:
        super().__init__(TarTarget(EngineFile(engine)))
        self._reference = reference
        self._engine = engine

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with within(f"docker-daemon:{self._reference}"):
                super().__exit__(kind, *rest)
        finally:
            self._engine.close()

    def name(self, name: str, root: Descriptor) -> None:
        """As for an archive; an empty name means that of the reference."""
        super().name(name or str(self._reference.tagged()), root)


class EngineFile:
    """A file without a name, which the Engine loads once it is complete."""

    shown = "a temporary file"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.fd = -1

    def begin(self) -> None:
        self.fd = spool.unnamed_file()

    def commit(self) -> None:
        """Load it. Raises the Engine's error; it has then loaded nothing."""
        try:
            self._engine.load(file_blocks(self.fd, 0, os.fstat(self.fd).st_size, COPY_BLOCK))
        finally:
            self.abort()

    def abort(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
