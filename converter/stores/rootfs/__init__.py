"""Root file systems: in a directory, in a tar, or in a bundle for a runtime (runtime-spec 1.0.2, bundle.md)."""

from __future__ import annotations

from pathlib import Path

from converter.model.platform import host_platform
from converter.model.reference import Location
from converter.ports import Sink, Source
from converter.stores.disk import disk_errors
from converter.stores.options import Kind, StoreOptions, is_stream


def open_source(location: Location, _options: StoreOptions) -> Source:
    """``rootfs:PATH`` is a directory, or a tar (``-``: standard input); ``bundle:PATH`` is a directory with ``rootfs``
    and ``config.json`` in it.
    """
    from converter.stores.rootfs.source import RootfsSource, TarTree, Tree, read_bundle_config

    path = Path(location.path)
    here = host_platform()
    if location.kind.is_bundle:
        from converter.stores.rootfs.sink import ROOTFS

        config, platform = read_bundle_config(path, here)
        return RootfsSource(Tree(path / ROOTFS), config, platform)
    with disk_errors(path, "read"):
        tree = Tree(path) if path.is_dir() else TarTree(path)
    return RootfsSource(tree, {}, here)


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """``bundle:PATH`` is a directory; so is ``rootfs:PATH``, unless its name ends in ``.tar`` or it is a pipe such as
    ``-``.
    """
    from converter.stores.rootfs.sink import BundleSink, FlatSink, RootfsSink

    path = Path(location.path)
    if location.kind.is_bundle:
        return BundleSink(path, options)
    return FlatSink(path, options.overwriting()) if _is_flat(path) else RootfsSink(path, options)


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes, with what they hold."""
    path = Path(location.path)
    return {path: ""} if not location.kind.is_bundle and _is_flat(path) else {}


def _is_flat(path: Path) -> bool:
    with disk_errors(path, "write"):
        return is_stream(path) or (path.suffix == ".tar" and not path.is_dir())
