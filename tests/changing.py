"""JSON documents with one thing changed; a path is the keys and positions from the root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[Any, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything in a document."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def at(value: Any, path: Path) -> Any:
    """What is at that path."""
    for part in path:
        value = value[part]
    return value


def changed(value: Any, path: Path, new: Any) -> Any:
    """The document with something else at that path."""
    if not path:
        return new
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = changed(copied[path[0]], path[1:], new) if path[1:] else new
    return copied


def without(value: Any, path: Path) -> Any:
    """The document without what is at that path."""
    above = at(value, path[:-1])
    copied: Any = dict(above) if isinstance(above, dict) else list(above)
    del copied[path[-1]]
    return changed(value, path[:-1], copied)
