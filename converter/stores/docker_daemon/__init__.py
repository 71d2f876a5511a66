"""Images of a Docker Engine: does what ``docker save``, ``load`` and ``images`` do, through its socket."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from converter.errors import ConverterError, Usage, within
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.reference import ImageName, Location
from converter.ports import Source
from converter.stores.docker_archive import DockerArchive, DockerArchiveSink
from converter.stores.docker_daemon.engine import Engine, engine_of
from converter.stores.media import Documents
from converter.stores.media.archive import TarMedium
from converter.stores.media.tar_target import TarTarget
from converter.stores.name_listing import NamesOnly
from converter.stores.options import StoreOptions
from converter.streams import spool
from converter.streams.blocks import COPY_BLOCK

__all__ = ["DaemonSink", "EngineTarget", "open_sink", "open_source"]


def open_source(location: Location, options: StoreOptions) -> Source:
    """One image, by name or ID, fetched whole into an unnamed file because the Engine does not serve parts.

    ``docker-daemon:`` is the list of its images. Raises NotFound if the Engine has no such image, Unreachable if there
    is no Engine.
    """
    engine = engine_of(options)
    try:
        if not location.path:
            names = engine.names()
            return NamesOnly(f"the Docker Engine at {engine.host}", "docker-daemon:NAME", lambda: names)
        fd = spool.spool_blocks(engine.save(location.path))
    finally:
        engine.close()
    try:
        medium = TarMedium(Path(f"/dev/fd/{fd}"), options.limits)
    finally:
        os.close(fd)
    medium.where = f"the Docker Engine at {engine.host}"
    return DockerArchive(medium, options.limits, options.problems)


def open_sink(location: Location, options: StoreOptions) -> DaemonSink:
    """Load an image into the Engine under the name REF. Raises Invalid if that is not a name, Usage for a digest."""
    reference = ImageName.parse(location.path)
    if reference.digest is not None:
        raise Usage(f"cannot load docker-daemon:{location.path} under a digest: expected docker-daemon:REPO[:TAG]")
    return DaemonSink(reference, engine_of(options), options)


class DaemonSink(DockerArchiveSink):
    """An archive that the Engine loads when the sink commits, all of it or nothing."""

    def __init__(self, reference: ImageName, engine: Engine, options: StoreOptions) -> None:
        super().__init__(EngineTarget(engine), options.limits)
        self._reference = reference
        self._engine = engine

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with within(f"the Docker Engine at {self._engine.host}"):
                super().__exit__(kind, *rest)
        finally:
            self._engine.close()

    def name(self, name: str, root: Descriptor) -> None:
        """As for an archive; an empty name means that of the reference."""
        super().name(name or str(self._reference.tagged()), root)


class EngineTarget:
    """A tar in an unnamed file, piped to the Engine once it is complete."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading, self._writing = -1, -1
        self._complete = False
        self._tar: TarTarget | None = None

    def begin(self) -> None:
        self._reading, self._writing = os.pipe()
        self._tar = TarTarget(Path(f"/dev/fd/{self._writing}"))
        self._tar.begin()

    def has(self, digest: Digest, size: int) -> bool:
        return self._begun().has(digest, size)

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        return self._begun().take(blocks, expected)

    def commit(self, documents: Documents) -> None:
        """Load the tar. Raises the Engine's error; it has then loaded nothing."""
        failures: list[BaseException] = []

        def load() -> None:
            try:
                self._engine.load(self._blocks())
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for this one
                failures.append(error)
            finally:
                # Otherwise the thread that writes to the pipe would wait for ever.
                self._close_reading()

        loading = threading.Thread(target=load, name="docker load")
        loading.start()
        try:
            self._begun().commit(documents)
            self._complete = True
        except ConverterError:
            # If the Engine hung up, its own error says why.
            self._close_writing()
            loading.join()
            if failures and not isinstance(failures[0], _Incomplete):
                raise failures[0] from None
            raise
        finally:
            self._close_writing()
            loading.join()
        if failures:
            raise failures[0]

    def abort(self) -> None:
        if self._tar is not None:
            self._tar.abort()
        self._close_writing()
        self._close_reading()

    def _begun(self) -> TarTarget:
        assert self._tar is not None, "begin comes first"
        return self._tar

    def _blocks(self) -> Iterator[bytes]:
        while block := os.read(self._reading, COPY_BLOCK):
            yield block
        if not self._complete:
            raise _Incomplete("the archive was not completed")

    def _close_reading(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def _close_writing(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


class _Incomplete(ConverterError):
    """Cuts a request short, so that the Engine loads nothing."""
