"""Puts tars into the sinks of root file systems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink
from converter.stores.rootfs.bundle import RootfsSink
from converter.streams.squash import squash
from converter.streams.tar.write import header, pad
from tests.strategies.tar import File


def unpack(path: Path, *layers: bytes, transport: str = "rootfs", options: StoreOptions | None = None) -> Descriptor:
    """Put what the layers make into a sink and commit."""
    opened = [lambda layer=layer: (layer,) for layer in layers]
    with sink_at(path, transport, options) as sink:
        made = sink.put(squash(opened), types.ROOTFS)
        sink.name("", made)
    return made


def unpack_raw(path: Path, data: bytes, options: StoreOptions | None = None) -> None:
    """The tar as it is, with nobody between it and the sink."""
    with sink_at(path, "rootfs", options) as sink:
        sink.put((data,), types.ROOTFS)


def sink_at(path: Path, transport: str = "rootfs", options: StoreOptions | None = None) -> RootfsSink:
    sink = open_sink(Location(transport=transport, path=str(path)), options)
    assert isinstance(sink, RootfsSink)
    return sink


def entry(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """An entry with fields that the standard library would not write."""
    return header(name=name.encode(), size=len(data), **fields) + data + pad(len(data))


def link(name: str, target: str) -> File:
    return File(name, "symlink", target=target)


def hard(name: str, target: str) -> File:
    return File(name, "link", target=target)


def left(path: Path) -> list[str]:
    """What a directory holds, temporaries included."""
    return sorted(item.name for item in path.iterdir())
