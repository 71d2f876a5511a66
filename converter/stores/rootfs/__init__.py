"""Root file systems: in a directory, in a tar, or in a bundle for a runtime (runtime-spec 1.0.2, bundle.md)."""

from __future__ import annotations

from pathlib import Path

from converter.model.reference import STDOUT, Location
from converter.ports import Sink
from converter.stores.disk import disk
from converter.stores.options import StoreOptions
from converter.stores.rootfs.bundle import BundleSink, RootfsSink
from converter.stores.rootfs.flat import FlatSink


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """``bundle:PATH`` is a directory; so is ``rootfs:PATH``, unless its name ends in ``.tar`` or it is a pipe such as
    ``-``.
    """
    path = Path(location.path)
    if location.transport == "bundle":
        return BundleSink(path, options)
    with disk(path, "write"):
        piped = location.path in STDOUT or (path.exists() and not path.is_dir() and not path.is_file())
        flat = piped or (path.suffix == ".tar" and not path.is_dir())
    return FlatSink(path) if flat else RootfsSink(path, options)
