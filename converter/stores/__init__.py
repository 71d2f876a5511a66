"""Access to the places that hold images: one module per transport, imported on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import ModuleType

from converter.errors import Invalid, NotFound, Usage, within
from converter.model.limits import enforce_limits
from converter.model.reference import STDIN, Location, Reference, is_name
from converter.ports import Sink, Source
from converter.stores.options import Kind, Rootfs, StoreOptions, is_stream

__all__ = [
    "StoreOptions",
    "files_read",
    "files_written",
    "names",
    "open_sink",
    "open_source",
    "recognised",
    "require_new",
    "require_writable",
    "unexpanded",
]

SINKS: Mapping[str, str] = {
    "aci": "aci_file",
    "bundle": "rootfs",
    "dir": "directory",
    "docker": "registry",
    "docker-archive": "docker_archive",
    "docker-daemon": "docker_daemon",
    "oci": "oci_layout",
    "oci-archive": "oci_layout",
    "rootfs": "rootfs",
}
"""Transport → the module below this one that writes it."""

SOURCES: Mapping[str, str] = {"": "recognise", "appc": "discovery", **SINKS}
"""Transport → the module below this one that reads it. A bare path has no transport: its content decides."""


def names(reference: Reference, store: StoreOptions | None = None) -> tuple[str, ...]:
    """The names of the images in a store: the tags of a repository, the repositories of a registry, the images of an
    archive, a layout or an Engine. One without a name is ``@0``, ``@1`` and so on.

    Raises NotFound if nothing is there, Unreachable, Denied, Invalid, Usage.
    """
    options = store or StoreOptions()
    with (
        enforce_limits(options.limits),
        open_source(Location.parse(reference), options) as source,
        within(str(reference)),
    ):
        return source.names()


def open_source(location: Location, options: StoreOptions | None = None) -> Source:
    """Open the location for reading; leaving the source as a context manager closes it.

    Raises NotFound if nothing is there, Invalid if it is not what the transport says, StorageFailed for a disk error.
    """
    module = import_module(f"{__name__}.{SOURCES[location.transport]}")
    try:
        source: Source = module.open_source(location, options or StoreOptions())
    except (NotFound, Invalid) as error:
        if location.kind.on_disk:
            error.fact += unexpanded(location.path, "the folder") + _other_ways_to_read(location)
        raise
    return source


def _other_ways_to_read(location: Location) -> str:
    """What may have been meant by a place on disk that could not be read."""
    # For a bare path, the content has decided already.
    if not location.transport or location.kind.is_tree or location.path in STDIN:
        return ""
    from converter.stores.recognise import first_in, transport_at

    meant = transport_at(location.path)
    if meant == location.transport:
        return ""  # of an ACI, the content is only read later
    if meant:
        return f" (try {meant}:{location.path})"
    first = first_in(location.path)
    return f" (images are in it, such as {first}: `transship sync` takes all)" if first else ""


def recognised(location: Location, source: Source) -> Location:
    """The location with its transport, which a bare path does not name: the one that ``source`` reads it as."""
    if location.transport:
        return location
    from converter.stores.recognise import transport_of

    return replace(location, transport=transport_of(source, location.path))


def open_sink(location: Location, options: StoreOptions | None = None) -> Sink:
    """Open the location for writing; nothing is visible there until the sink is left without an error. Raises Usage."""
    module = require_writable(location)
    if location.kind.on_disk and location.path.startswith("//"):
        path = location.path.lstrip("/")
        shorter, rooted = replace(location, path=path), replace(location, path=f"/{path}")
        raise Usage(f"{location} begins like a URL: say {shorter}, or {rooted} for a path from the root")
    sink: Sink = module.open_sink(location, options or StoreOptions())
    return sink


def require_writable(location: Location) -> ModuleType:
    """The module that writes to a location; raises Usage for a transport that cannot be written, or if it has none."""
    if not location.transport:
        raise Usage(f'destination "{location.path}" has no transport: say {_likely_destination(location.path)}')
    if location.transport not in SINKS:
        raise Usage(f"{location} cannot be written (transports that can: {', '.join(sorted(SINKS))})")
    return import_module(f"{__name__}.{SINKS[location.transport]}")


def files_written(location: Location) -> Mapping[Path, Kind]:
    """The files that a sink at the location writes, as far as they are known before it begins, with what they hold.

    None for a registry, an Engine, and a directory, of which files are added to or replaced with the whole. Raises
    Usage.
    """
    module = require_writable(location)
    found: Mapping[Path, Kind] = module.written_files(location) if hasattr(module, "written_files") else {}
    return found


def files_read(location: Location) -> Iterator[str | PathLike[str]]:
    """The files and directories that reading a location reads, as far as they are known before it is opened."""
    if not location.kind.on_disk:
        return
    yield Rootfs(location.path) if location.kind.is_tree else location.path
    if location.kind.attached == "beside" or not location.transport:  # it may be an ACI
        from converter.stores.aci_file import files_beside

        yield from files_beside(location.path)


def unexpanded(path: str, instead: str) -> str:
    """What a shell would have made of a path, had it not been in a file or in quotes; ``instead`` is to be named."""
    if Path(path).exists():
        return ""
    if path.startswith("~"):
        return " (~ does not stand for your home here)"
    return f" (patterns are not expanded here: name {instead})" if "*" in path else ""


def require_new(location: Location, options: StoreOptions) -> None:
    """Raise AlreadyExists, before any work is done, if a sink at the location would replace what it may not."""
    for path, kind in files_written(location).items():
        rule = options.overwriting(kind)
        if path == Path(location.path) and is_stream(path):
            rule.require_stream(path)
        else:
            rule.require(path)


def _likely_destination(path: str) -> str:
    """What may have been meant by a destination that is only a path."""
    if path == "-":
        return "docker-archive:-, oci-archive:- or aci:-"
    if path.endswith(".aci"):
        return f"aci:{path}"
    if ".tar" in path:
        return f"docker-archive:{path} or oci-archive:{path}"
    places = f"oci:{path} (a folder) or oci-archive:{path} (a file)"
    return f"docker://{path} (a registry), {places}" if is_name(path) else places
