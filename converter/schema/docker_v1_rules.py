"""Rules of the history and the signatures of Docker's schema 1, which no schema states (manifest-v2-1.md).

The steps of the history are JSON within JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from converter.errors import Invalid, unless_invalid
from converter.model.document import (
    as_known,
    decode_base64url,
    go_names,
    lenient_member,
    load_object,
    member_or_empty,
    text_list,
)
from converter.schema.compiled import engine_refuses
from converter.schema.finding import Hit, Rule
from converter.schema.shared_checks import Check, find_members, no_time, of_found, values_at

_TYPES: dict[str, type] = {
    "parent": str,
    "comment": str,
    "author": str,
    "throwaway": bool,
    "container_config": dict,
}
_MEMBERS = ("id", "created", *_TYPES)
"""The members that every step may have; rules of their own look at the first two."""
_known = go_names(_MEMBERS)


def history_length(document: Any) -> Iterator[Hit]:
    """A history whose steps do not match the layers in number."""
    for _, layers in values_at(list, document, "fsLayers"):
        for where, history in values_at(list, document, "history"):
            if len(history) != len(layers):
                yield where, f"{len(history)} steps of history for {len(layers)} layers: expected one for each"


def step_members(document: Any) -> Iterator[Hit]:
    """Steps of history that are not a JSON object with an ID, or whose members have wrong types."""
    for where, text in values_at(str, document, "history/*/v1Compatibility"):
        try:
            step = _parse_step(text)
        except Invalid as error:
            yield where, str(error)
            continue
        if not re.fullmatch("[0-9a-f]{64}", lenient_member(step, "id", str)):
            yield where, f'invalid id "{str(step.get("id"))[:80]}": expected 64 lower-case hex digits'
        yield from _wrong_types(where, step)
        if where == "/history/0/v1Compatibility":  # the newest, which the Engine makes a configuration of
            others = {key: value for key, value in step.items() if key not in (*_MEMBERS, "Size")}
            for path, fact in engine_refuses(others):
                yield where, f"{path[1:].replace('/', '.')}: {fact}"


def _wrong_types(where: str, step: dict[str, Any]) -> Iterator[Hit]:
    for name, kind in _TYPES.items():
        try:
            member_or_empty(step, name, kind)
        except Invalid as error:
            yield where, str(error)
    if unless_invalid(text_list, lenient_member(step, "container_config", dict), "Cmd") is None:
        yield where, "container_config.Cmd: expected an array of strings"


def step_spelling(document: Any) -> Iterator[Hit]:
    """Members of steps that Go takes for others."""
    for where, text in values_at(str, document, "history/*/v1Compatibility"):
        for key in unless_invalid(load_object, text.encode("utf-8", "replace")) or ():
            name = _known(key)
            if name != key:
                yield where, f'key "{key[:60]}" is spelled in the wrong case: expected "{name}"'


def step_parents(document: Any) -> Iterator[Hit]:
    """Steps whose parent is not the next step, or, for the last, not empty."""
    steps = _steps(document)
    ids = [step.get("id") for _, step in steps]
    for (where, step), own, below in zip(steps, ids, [*ids[1:], ""]):
        parent = step.get("parent") or ""
        if below not in (parent, own):
            yield where, f'parent is "{str(parent)[:80]}": expected "{str(below)[:80]}", the id of the next step'


def step_repeated(document: Any) -> Iterator[Hit]:
    """IDs that are repeated, but not in a row."""
    seen: set[str] = set()
    last = ""
    for where, step in _steps(document):
        name = str(step.get("id"))
        if name in seen and name != last:
            yield where, f'id "{name[:80]}" is used again'
        seen.add(name)
        last = name


def step_times(document: Any) -> Iterator[tuple[str, str]]:
    """The times of steps."""
    for where, step in _steps(document):
        time = step.get("created")
        if time is not None:
            yield where, str(time)


def _steps(document: Any) -> list[tuple[str, dict[str, Any]]]:
    """The steps of a schema1 history, newest first; none if any cannot be read."""
    try:
        return [(where, _parse_step(str(text))) for where, text in find_members(document, "history/*/v1Compatibility")]
    except Invalid:
        return []


def _parse_step(text: str) -> dict[str, Any]:
    """One step, with its members under the names that Go takes them for; raises Invalid."""
    return as_known(load_object(text.encode("utf-8", "replace")), _MEMBERS)


def signature_headers(document: Any) -> Iterator[Hit]:
    """Protected headers that do not say how the signed text is assembled."""
    for where, text in values_at(str, document, "signatures/*/protected"):
        try:
            header = json.loads(decode_base64url(text))
        except (Invalid, ValueError, RecursionError):
            yield where, "the protected header is not JSON in base64url"
        else:
            members = header if isinstance(header, dict) else {}
            length, tail = members.get("formatLength"), members.get("formatTail")
            if not isinstance(length, int) or length < 0 or not isinstance(tail, str):
                yield where, "the protected header has no formatLength and formatTail"


def _rule(name: str, title: str, section: str, check: Check, **more: Any) -> Rule:
    spec = f"distribution manifest-v2-1.md, {section}"
    return Rule(name=name, title=title, spec=spec, kinds=("docker-schema1",), check=check, **more)


_HISTORY = "Manifest Field Descriptions: history"
_STEP = f"{_HISTORY}, v1Compatibility"

RULES = (
    _rule(
        "docker/history-length",
        "A schema1 manifest has as many steps of history as layers.",
        _HISTORY,
        history_length,
    ),
    _rule(
        "docker/v1-configuration",
        "Each step of a schema1 history is a JSON object whose id is 64 hex digits, and its members have types.",
        _STEP,
        step_members,
    ),
    _rule(
        "docker/v1-key-case",
        "The members of a step are spelt as they are known.",
        _STEP,
        step_spelling,
        compat="warning",
        note="Go reads them without regard to case.",
    ),
    _rule(
        "docker/v1-parent",
        "The parent of each step is the next one in the list, and the last has none.",
        _STEP,
        step_parents,
    ),
    _rule("docker/v1-repeated-id", "The same id stands twice only in a row.", _STEP, step_repeated),
    _rule(
        "docker/v1-created",
        "The time of a step is an RFC 3339 time.",
        _STEP,
        of_found(step_times, no_time),
    ),
    _rule(
        "docker/signature-protected",
        "The protected header of a signature is JSON with formatLength and formatTail.",
        "Signed Manifests: protected",
        signature_headers,
    ),
)
