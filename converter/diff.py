"""What differs between two images of any formats: their flattened file trees, and how their containers are started.

Layers, history, annotations and compression are how an image came to be, not what it is: they are not compared.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from converter.errors import within
from converter.model.content import Derived, Known, Layer
from converter.model.frozen import frozen
from converter.model.image import Image, RunConfig
from converter.model.platform import Platform
from converter.streams.content import Watch, knowing, uncompressed, unnoted
from converter.streams.superseded import Superseded
from converter.streams.tar import fields
from converter.streams.tar.names import parent
from converter.streams.tar.tree import Node, tree

MOST_NAMES = 20
"""Of one file that are told."""

Tree = Mapping[bytes, Node]
"""By path, without a leading slash; the root is ``b""``."""


@frozen
class Difference:
    """One thing that is not the same.

    ``path`` is that of a file, beginning with ``/``, or ``config`` or ``platform``; ``what`` is the property of it.
    ``a`` and ``b`` are JSON values, None for what is not there.
    """

    path: str
    what: str
    a: Any
    b: Any


def compare(
    a: Image, b: Image, opened: Watch = Known.blocks, names: tuple[str, str] = ("a", "b")
) -> Iterator[Difference]:
    """Everything that differs, configuration first, then files by path. Every layer of both is read once.

    ``opened`` opens a blob, perhaps telling somebody how far its reading has come; ``names`` are those of the images in
    the trail of an error. Raises what reading a layer raises: then nothing can be told.
    """
    yield from configurations(a, b)
    with within(names[0]):
        files_a = files(a, opened)
    with within(names[1]):
        files_b = files(b, opened, files_a)
    yield from trees(files_a, files_b)


def files(image: Image, opened: Watch = Known.blocks, like: Tree = MappingProxyType({})) -> Tree:
    """The flattened file tree of an image; what is the same in ``like``, a tree that is held already, is shared."""
    layers = image.layers
    while True:
        try:
            return tree([partial(uncompressed, layer, unnoted, opened) for layer in layers], like=like)
        except Superseded as found:  # a layer that is made of one that names a file twice
            layers = tuple(_knowing(layer, found) for layer in layers)


def _knowing(layer: Layer, found: Superseded) -> Layer:
    return replace(layer, content=knowing(layer.content, found)) if isinstance(layer.content, Derived) else layer


def trees(a: Tree, b: Tree) -> Iterator[Difference]:
    """What differs between two file trees, by path."""
    implied_a, implied_b = _implied(a), _implied(b)
    linked = _Linked()
    differing = [path for path, node in a.items() if not linked.same(node, b.get(path))]
    differing += [path for path in b if path not in a]
    for path in sorted(differing):
        one, other = a.get(path), b.get(path)
        told = partial(Difference, path="/" + _text(path))
        type_a, type_b = _type(path, one, implied_a), _type(path, other, implied_b)
        if type_a != type_b:
            yield told(what="type" if type_a and type_b else "entry", a=type_a, b=type_b)
        elif one is not None and other is not None:
            yield from _properties(told, one, other)
            names_a, names_b = linked.names(one, other)
            if names_a or names_b:
                yield told(what="names", a=names_a, b=names_b)
        # Else nobody has said anything of a directory that is only there because something lies in it.


class _Linked:
    """Compares files that have several names. These share one node: each pair of such is compared once."""

    def __init__(self) -> None:
        self._same: dict[tuple[int, int], bool] = {}
        self._told: dict[tuple[int, int], tuple[list[str], list[str]]] = {}

    def same(self, a: Node, b: Node | None) -> bool:
        """Whether two files are equal."""
        if b is None or not a.links or not b.links:
            return a == b
        pair = id(a), id(b)
        if pair not in self._same:
            self._same[pair] = a == b
        return self._same[pair]

    def names(self, a: Node, b: Node) -> tuple[list[str], list[str]]:
        """What is told of the names of both: nothing where they are the same."""
        pair = id(a.links), id(b.links)
        if pair not in self._told:
            self._told[pair] = ([], []) if a.links == b.links else (_names(a.links), _names(b.links))
        return self._told[pair]


def _implied(files: Tree) -> set[bytes]:
    """The directories that are there although no entry describes them."""
    found = {b""}
    for path in files:
        while (path := parent(path)) not in found:
            found.add(path)
    return found


def _type(path: bytes, node: Node | None, implied: set[bytes]) -> str | None:
    if node is not None:
        return _TYPES[node.type]
    return _TYPES[fields.DIR] if path in implied else None


def _properties(told: Callable[..., Difference], a: Node, b: Node) -> Iterator[Difference]:
    for what, shown in _PROPERTIES.items():
        # Nothing obeys the mode of a symbolic link, and every system shows 0777.
        if what == "mode" and a.type == fields.SYMLINK:
            continue
        of_a, of_b = shown(a), shown(b)
        if of_a != of_b:
            yield told(what=what, a=of_a, b=of_b)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _time(nanoseconds: int) -> str:
    """RFC 3339, or seconds since 1970 where that has no such year."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds}{fraction}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _xattrs(node: Node) -> dict[str, str]:
    """Values in base64: most are binary."""
    return {_text(name): base64.b64encode(value).decode() for name, value in node.xattrs}


def _names(links: tuple[bytes, ...]) -> list[str]:
    """All names of a file, or the first of them and how many there are besides."""
    shown = ["/" + _text(name) for name in links[:MOST_NAMES]]
    return shown if len(links) <= MOST_NAMES else [*shown, f"and {len(links) - MOST_NAMES} more"]


_PROPERTIES: Mapping[str, Callable[[Node], Any]] = {
    "mode": lambda node: f"{node.mode:04o}",
    "owner": lambda node: f"{node.uid}:{node.gid}",
    "mtime": lambda node: _time(node.mtime_ns),
    "target": lambda node: _text(node.linkname),
    "device": lambda node: f"{node.device[0]}:{node.device[1]}",
    "xattrs": _xattrs,
    "size": lambda node: node.size,
    "content": lambda node: f"sha256:{node.sha256.hex()}",
}
"""What is compared, and how it is told; besides, as ``names``, all that hard links give the file."""

_TYPES = {
    fields.FILE: "file",
    fields.DIR: "directory",
    fields.SYMLINK: "symlink",
    fields.CHAR: "character device",
    fields.BLOCK: "block device",
    fields.FIFO: "fifo",
}


def configurations(a: Image, b: Image) -> Iterator[Difference]:
    """What a container of one gets that a container of the other does not."""
    yield from _members("platform", _platform(a.platform), _platform(b.platform))
    yield from _members("config", _run(a.config), _run(b.config))


def _members(path: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for what in a:
        if a[what] != b[what]:
            yield Difference(path=path, what=what, a=a[what], b=b[what])


def _platform(platform: Platform) -> dict[str, Any]:
    normal = platform.normalised()
    return {
        "os": normal.os,
        "architecture": normal.architecture,
        "variant": normal.variant,
        "os_version": normal.os_version,
        "os_features": sorted(normal.os_features),
    }


def _run(config: RunConfig) -> dict[str, Any]:
    """What the configuration means: spellings of the same thing are one, and order counts only where it has a say."""
    return {
        "user": _user(config.user),
        "exposed_ports": sorted({_port(port) for port in config.exposed_ports}),
        "env": dict(sorted(dict(map(_variable, config.env)).items())),
        "entrypoint": list(config.entrypoint or ()),
        "cmd": list(config.cmd or ()),
        "volumes": sorted(set(config.volumes)),
        "working_dir": config.working_dir or "/",
        "labels": dict(sorted(config.labels.items())),
        "stop_signal": config.stop_signal,
        "healthcheck": dict(config.healthcheck or {}),
        "shell": list(config.shell or ()),
        "on_build": list(config.on_build or ()),
    }


def _user(user: str) -> str:
    # Nobody named is the superuser; its group is 0 too.
    return "0" if user in {"", "0:0"} else user


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _port(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"
