"""Puts tars into the sinks of root file systems."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink
from converter.stores.rootfs.sink import RootfsSink
from converter.streams.squash import squash
from converter.streams.tar.fields import DIR, FIFO, FILE, SYMLINK, padding_bytes
from converter.streams.tar.pax import make_header
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
    return make_header(name=name.encode(), size=len(data), **fields) + data + padding_bytes(len(data))


def link(name: str, target: str) -> File:
    return File(name, "symlink", target=target)


def hard(name: str, target: str) -> File:
    return File(name, "link", target=target)


def left(path: Path) -> list[str]:
    """What a directory holds, temporaries included."""
    return sorted(item.name for item in path.iterdir())


Seen = tuple[bytes, int, int, bytes, int]
"""Type, mode, size, content or target, number of names."""


KINDS = {stat.S_IFREG: FILE, stat.S_IFDIR: DIR, stat.S_IFLNK: SYMLINK, stat.S_IFIFO: FIFO}


def listed(root: Path) -> dict[bytes, Seen]:
    """The files of a tree by name; that of the root is empty."""
    return dict(_listed(root))


def _listed(root: Path) -> Iterator[tuple[bytes, Seen]]:
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        what = b""
        if kind == FILE:
            what = hashlib.sha256(path.read_bytes()).digest()
        elif kind == SYMLINK:
            what = os.fsencode(path.readlink())
        size = status.st_size if kind == FILE else 0
        links = 1 if kind == DIR else status.st_nlink
        relative = os.fsencode(path.relative_to(root))
        yield b"" if relative == b"." else relative, (kind, stat.S_IMODE(status.st_mode), size, what, links)
