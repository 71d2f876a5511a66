"""Root file systems: in a directory, in a tar, or in a bundle that a runtime takes (runtime-spec 1.0.2, bundle.md)."""

from __future__ import annotations

from pathlib import Path

from converter.errors import Usage
from converter.model.reference import Location
from converter.ports import Sink
from converter.stores.media.out_file import STDOUT
from converter.stores.options import StoreOptions
from converter.stores.rootfs.bundle import BundleSink, RootfsSink
from converter.stores.rootfs.flat import FlatSink


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """``bundle:PATH`` is a directory; ``rootfs:PATH`` too, unless it is called ``….tar`` or ``-``, standard output."""
    path = Path(location.path)
    flat = location.path in STDOUT or (path.suffix == ".tar" and not path.is_dir())
    if location.transport == "rootfs":
        return FlatSink(path) if flat else RootfsSink(path, options)
    if location.path in STDOUT:
        raise Usage("got standard output for a bundle, want a directory")
    return BundleSink(path, options)
