"""Differences between two images of any format: their flattened file trees, and how their containers are started.

Layers, history, annotations and compression are how an image was made, not what it is, and are not compared.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from converter.errors import within
from converter.model.content import Known
from converter.model.frozen import frozen
from converter.model.image import Image, RunConfig
from converter.model.platform import Platform
from converter.streams.tar import fields
from converter.streams.tar.listing import Node, Row, TreeListing, decode_node

if TYPE_CHECKING:
    from converter.streams.uncompressed import Watch


@frozen
class Difference:
    """One difference.

    ``path`` is a file's path, beginning with ``/``, or ``config`` or ``platform``; ``what`` names the property that
    differs. ``a`` and ``b`` are JSON values, None where absent. ``size`` is that of a regular file where the other
    image has none; of hard links, which share their bytes, only the first has a size.
    """

    path: str
    what: str
    a: Any
    b: Any
    size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """A member of ``differences`` in ``--json``."""
        members = {"path": self.path, "what": self.what, "a": self.a, "b": self.b}
        return members if self.size is None else members | {"size": self.size}

    @property
    def growth(self) -> int:
        """By how many bytes the file at the path grew, or shrank if negative."""
        if self.what == "size":
            return int(self.b) - int(self.a)
        return (self.size or 0) * (1 if self.b == _TYPES[fields.FILE] else -1)


def compare_images(
    a: Image, b: Image, opened: Watch = Known.blocks, names: tuple[str, str] = ("a", "b")
) -> Iterator[Difference]:
    """All differences, configuration first, then files by path. Reads every layer of both images once.

    ``opened`` opens a blob, and may report how much of it has been read; ``names`` are the images' names in the trail
    of an error. Raises what reading a layer raises; the comparison is then incomplete.
    """
    yield from compare_configurations(a, b)
    with ExitStack() as stack:
        with within(names[0]):
            files_a = stack.enter_context(file_tree(a, opened))
        with within(names[1]):
            files_b = stack.enter_context(file_tree(b, opened))
        yield from compare_trees(files_a, files_b)


def file_tree(image: Image, opened: Watch = Known.blocks) -> TreeListing:
    """The flattened file tree of an image; the caller closes it."""
    from converter.streams.tar.tree import list_tree
    from converter.streams.uncompressed import read_layers

    return read_layers(image.layers, list_tree, opened=opened)


def compare_trees(a: TreeListing, b: TreeListing) -> Iterator[Difference]:
    """The differences between two file trees, by path: a directory before its contents."""
    for path, one, other in paired(a, b, lambda path: path.split(b"/")):
        if one is not None and other is not None and one.record == other.record and one.names == other.names:
            continue
        differs = partial(Difference, path="/" + _escaped(path))
        type_a, type_b = _type_of(one), _type_of(other)
        if one is None or other is None or type_a != type_b:
            # A directory without an entry exists only because something lies in it.
            if any(row is not None and row.record for row in (one, other)):
                what = "type" if type_a and type_b else "entry"
                lone = _size(a, one) if type_a == _TYPES[fields.FILE] else _size(b, other)
                yield differs(what=what, a=type_a, b=type_b, size=lone)
        elif one.record and other.record:
            for what, of_a, of_b in changed_properties(decode_node(one.record), decode_node(other.record)):
                yield differs(what=what, a=of_a, b=of_b)
            if one.names != other.names:
                yield differs(what="names", a=_shown_names(*a.names(one)), b=_shown_names(*b.names(other)))


class _HasPath(Protocol):
    @property
    def path(self) -> bytes: ...


P = TypeVar("P", bound=_HasPath)


def paired(a: Iterable[P], b: Iterable[P], order: Callable[[bytes], Any]) -> Iterator[tuple[bytes, P | None, P | None]]:
    """Every path, with what each side has there; both are sorted by the ``order`` of their paths."""
    rows_a, rows_b = iter(a), iter(b)
    one, other = next(rows_a, None), next(rows_b, None)
    while one is not None or other is not None:
        if one is not None and other is not None and one.path == other.path:
            yield one.path, one, other
            one, other = next(rows_a, None), next(rows_b, None)
        elif one is not None and (other is None or order(one.path) < order(other.path)):
            yield one.path, one, None
            one = next(rows_a, None)
        elif other is not None:
            yield other.path, None, other
            other = next(rows_b, None)


def _size(tree: TreeListing, row: Row | None) -> int | None:
    """The bytes of a regular file; None for what is none, or has a name before this one."""
    if row is None or row.record[:1] != fields.FILE:
        return None
    if row.names and tree.names(row)[1][0] != row.path:
        return None
    return decode_node(row.record).size


def _type_of(row: Row | None) -> str | None:
    return None if row is None else _TYPES[row.record[:1] or fields.DIR]


def type_name(node: Node) -> str:
    """The type of a file, for people."""
    return _TYPES[node.type]


def changed_properties(a: Node, b: Node) -> Iterator[tuple[str, Any, Any]]:
    """The properties that differ between two files of one type, with the value of each."""
    for what, shown in _PROPERTIES.items():
        # A symbolic link's mode has no effect, and every system shows 0777.
        if what == "mode" and a.type == fields.SYMLINK:
            continue
        of_a, of_b = shown(a), shown(b)
        if of_a != of_b:
            yield what, of_a, of_b


def _escaped(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _shown_time(nanoseconds: int) -> str:
    """RFC 3339, or seconds since 1970 where RFC 3339 cannot express the year."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds}{fraction}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _xattrs(node: Node) -> dict[str, str]:
    """Values in base64: most are binary."""
    return {_escaped(name): base64.b64encode(value).decode() for name, value in node.xattrs}


def _shown_names(count: int, first: tuple[bytes, ...]) -> list[str]:
    """All names of a file, or the first ones and the number of the others."""
    names = ["/" + _escaped(name) for name in first]
    return names if count <= len(names) else [*names, f"and {count - len(names)} more"]


_PROPERTIES: Mapping[str, Callable[[Node], Any]] = {
    "mode": lambda node: f"{node.mode:04o}",
    "owner": lambda node: f"{node.uid}:{node.gid}",
    "mtime": lambda node: _shown_time(node.mtime_ns),
    "target": lambda node: _escaped(node.linkname),
    "device": lambda node: f"{node.device[0]}:{node.device[1]}",
    "xattrs": _xattrs,
    "size": lambda node: node.size,
    "content": lambda node: f"sha256:{node.sha256.hex()}",
}
"""The properties compared, and how each is shown; ``names``, those that hard links give a file, are compared too."""

_TYPES = {
    fields.FILE: "file",
    fields.DIR: "directory",
    fields.SYMLINK: "symlink",
    fields.CHAR: "character device",
    fields.BLOCK: "block device",
    fields.FIFO: "fifo",
}


def compare_configurations(a: Image, b: Image) -> Iterator[Difference]:
    """What differs between containers of the two images: platform and configuration."""
    yield from changed_members("platform", _platform_members(a.platform), _platform_members(b.platform))
    yield from changed_members("config", run_config(a.config), run_config(b.config))


def changed_members(path: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """The members that differ between two configurations."""
    for what in a:
        if a[what] != b[what]:
            yield Difference(path=path, what=what, a=a[what], b=b[what])


def _platform_members(platform: Platform) -> dict[str, Any]:
    normal = platform.normalised()
    return {
        "os": normal.os,
        "architecture": normal.architecture,
        "variant": normal.variant,
        "os_version": normal.os_version,
        "os_features": sorted(normal.os_features),
    }


def run_config(config: RunConfig) -> dict[str, Any]:
    """What the configuration means: equivalent spellings are unified, and order is kept only where it matters."""
    return {
        # No user means the superuser, whose group is 0 too.
        "user": "0" if config.user in {"", "0:0"} else config.user,
        "exposed_ports": sorted({port if "/" in port else f"{port}/tcp" for port in config.exposed_ports}),
        "env": dict(sorted(config.variables.items())),
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
