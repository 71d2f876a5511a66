"""Finds members of documents whose shape has not been validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from converter.model.document import json_pointer


def find_members(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The members at a path such as ``layers/*/digest``, each with its JSON pointer; ``*`` is every item of a list.

    A path that does not exist finds nothing. The path ``""`` finds the document itself.
    """
    places: Iterable[tuple[str, Any]] = [("", value)]
    for part in path.split("/") if path else ():
        places = _follow_part(places, part)
    yield from places


def _follow_part(places: Iterable[tuple[str, Any]], part: str) -> Iterator[tuple[str, Any]]:
    for where, value in places:
        if part == "*":
            if isinstance(value, list):
                yield from ((f"{where}/{index}", item) for index, item in enumerate(value))
        elif isinstance(value, dict) and part in value:
            yield where + json_pointer(part), value[part]


def strings_at(value: Any, *paths: str) -> Iterator[tuple[str, str]]:
    """The strings at the paths."""
    return ((where, text) for path in paths for where, text in find_members(value, path) if isinstance(text, str))


def objects_at(value: Any, *paths: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects at the paths."""
    return ((where, item) for path in paths for where, item in find_members(value, path) if isinstance(item, dict))


def lists_at(value: Any, *paths: str) -> Iterator[tuple[str, list[Any]]]:
    """The lists at the paths."""
    return ((where, item) for path in paths for where, item in find_members(value, path) if isinstance(item, list))


def numbers_at(value: Any, *paths: str) -> Iterator[tuple[str, int]]:
    """The integers at the paths."""
    return (
        (where, number)
        for path in paths
        for where, number in find_members(value, path)
        if isinstance(number, int) and not isinstance(number, bool)
    )
