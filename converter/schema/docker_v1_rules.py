"""Rules of schema1 manifests: their steps are JSON within JSON (distribution manifest-v2-1.md)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

from converter.errors import Invalid, unless_invalid
from converter.model.document import as_known, go_key, json_pointer, load_object, type_name
from converter.schema.finding import Hit
from converter.schema.lookup import find_members, lists_at, strings_at

_ID = re.compile(r"[0-9a-f]{64}")
_MEMBERS: dict[str, tuple[type, str]] = {
    "id": (str, "a string"),
    "parent": (str, "a string"),
    "comment": (str, "a string"),
    "created": (str, "a string"),
    "author": (str, "a string"),
    "throwaway": (bool, "true or false"),
    "container_config": (dict, "an object"),
}
_NAMES = {go_key(name): name for name in _MEMBERS}


def length(document: Any) -> Iterator[Hit]:
    """A history whose steps do not match the layers in number."""
    for _, layers in lists_at(document, "fsLayers"):
        for where, history in lists_at(document, "history"):
            if len(history) != len(layers):
                yield where, f"{len(history)} steps of history for {len(layers)} layers: expected one for each"


def configuration(document: Any) -> Iterator[Hit]:
    """Steps of history that are not a JSON object with an ID, or whose members have wrong types."""
    for where, text in strings_at(document, "history/*/v1Compatibility"):
        try:
            step = _parse_step(text)
        except Invalid as error:
            yield where, str(error)
            continue
        if not isinstance(step.get("id"), str) or not _ID.fullmatch(step["id"]):
            yield where, f'invalid id "{str(step.get("id"))[:80]}": expected 64 lower-case hex digits'
        yield from ((where, fact) for fact in _wrong_types(step))


def spelling(document: Any) -> Iterator[Hit]:
    """Members of steps that Go takes for others."""
    for where, text in strings_at(document, "history/*/v1Compatibility"):
        for key in unless_invalid(load_object, text.encode("utf-8", "replace")) or ():
            name = _NAMES.get(go_key(key), key)
            if name != key:
                yield where, f'key "{key[:60]}" is spelled in the wrong case: expected "{name}"'


def parents(document: Any) -> Iterator[Hit]:
    """Steps whose parent is not the next step, or, for the last, not empty."""
    steps = _steps(document)
    for index, (where, step) in enumerate(steps):
        parent = step.get("parent") or ""
        below = steps[index + 1][1].get("id") if index + 1 < len(steps) else ""
        if parent != below and step.get("id") != below:
            yield where, f'parent is "{str(parent)[:80]}": expected "{str(below)[:80]}", the id of the next step'


def repeated(document: Any) -> Iterator[Hit]:
    """IDs that are repeated, but not in a row."""
    seen: set[str] = set()
    last = ""
    for where, step in _steps(document):
        name = str(step.get("id"))
        if name in seen and name != last:
            yield where, f'id "{name[:80]}" is used again'
        seen.add(name)
        last = name


def protected(document: Any) -> Iterator[Hit]:
    """Protected headers that do not say how the signed text is assembled."""
    for where, text in strings_at(document, "signatures/*/protected"):
        try:
            header = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            yield where, "the protected header is not JSON in base64url"
            continue
        length, tail = (header.get("formatLength"), header.get("formatTail")) if isinstance(header, dict) else (None, 0)
        if not isinstance(length, int) or length < 0 or not isinstance(tail, str):
            yield where, "the protected header has no formatLength and formatTail"


def _wrong_types(step: dict[str, Any]) -> Iterator[str]:
    for name, (kind, noun) in _MEMBERS.items():
        value = step.get(name)
        if name not in {"id", "created"} and value is not None and not isinstance(value, kind):
            yield f"{name}: expected {noun}, found {type_name(value)}"
    run = step.get("container_config")
    command = run.get("Cmd") if isinstance(run, dict) else None
    if command is not None and not (
        isinstance(command, list) and all(word is None or isinstance(word, str) for word in command)
    ):
        yield "container_config.Cmd: expected an array of strings"


def _parse_step(text: str) -> dict[str, Any]:
    """One step, with its members under the names that Go takes them for; raises Invalid."""
    return as_known(load_object(text.encode("utf-8", "replace")), _MEMBERS)


def created(document: Any) -> Iterator[tuple[str, str]]:
    """The times of steps."""
    times = ((where, step.get("created")) for where, step in _steps(document))
    return ((where, str(time)) for where, time in times if time is not None)


def _steps(document: Any) -> list[tuple[str, dict[str, Any]]]:
    """The steps of a schema1 history, newest first; none if any cannot be read."""
    found = []
    for index, (_, text) in enumerate(find_members(document, "history/*/v1Compatibility")):
        step = unless_invalid(_parse_step, str(text))
        if step is None:
            return []
        found.append((json_pointer("history", index, "v1Compatibility"), step))
    return found
