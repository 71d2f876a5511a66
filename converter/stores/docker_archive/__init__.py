"""The archives of ``docker save`` and ``docker load``: all three generations are read, the newest is written.

Before Docker 1.10 an archive had ``repositories`` and chains of layers; since then it has ``manifest.json``, and since
Docker 25 it is an OCI layout as well (moby, image/tarexport; image/spec/v1.2.md).
"""

from __future__ import annotations

from pathlib import Path

from converter.model.reference import Location
from converter.stores.docker_archive.sink import DockerArchiveSink
from converter.stores.docker_archive.source import DockerArchive
from converter.stores.media import Medium
from converter.stores.media.directory_medium import DirectoryMedium
from converter.stores.media.file_target import OutFile, TarTarget
from converter.stores.media.tar_medium import TarMedium
from converter.stores.options import StoreOptions
from converter.stores.overwriting import Kind

__all__ = ["DockerArchive", "DockerArchiveSink", "images_below", "open_sink", "open_source", "written_files"]


def open_source(location: Location, options: StoreOptions) -> DockerArchive:
    """Read a tar, possibly compressed or from standard input, or a directory into which one was unpacked."""
    path = Path(location.path)
    medium: Medium = DirectoryMedium(path) if path.is_dir() else TarMedium(path)
    return DockerArchive(medium, options.problems)


def open_sink(location: Location, options: StoreOptions) -> DockerArchiveSink:
    """Write a new archive."""
    file = OutFile(Path(location.path), options.overwriting("docker-archive"))
    return DockerArchiveSink(TarTarget(file, options.epoch))


def images_below(location: Location) -> list[str]:
    """The archives below a directory into which none was unpacked. Raises NotFound if there is none."""
    from converter.stores.recognise import archives_below

    return archives_below(location.path)


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes, with what they hold."""
    return {Path(location.path): "docker-archive"}
