"""Reads a document as Go's encoding/json does: member names case-insensitively, null as if absent, 1.0 as no integer.

The reference implementations of Docker's and App Container's documents decode this way, so they may accept a document
that no JSON Schema does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from functools import cache
from math import isfinite
from typing import Any

from converter.model.document import WrittenAsFloat, go_names, json_pointer
from converter.model.frozen import frozen
from converter.schema.kinds import Subschema, schema_file, schema_files_of, whole_schema
from converter.schema.shared_checks import values_in

_ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "object": {}, "array": []}


@frozen(kw_only=False)
class Folded:
    """The document as Go sees it; ``renamed`` maps pointers in it to the original keys."""

    value: Any = None
    renamed: dict[str, str] = field(default_factory=dict)
    clashes: list[tuple[str, str]] = field(default_factory=list)

    def original(self, path: str) -> str:
        """The pointer in the original document for a pointer in the folded one."""
        for folded in sorted(self.renamed, key=len, reverse=True):
            if path == folded or path.startswith(folded + "/"):
                return self.original(folded.rpartition("/")[0]) + self.renamed[folded] + path[len(folded) :]
        return path


def fold_members(value: Any, kind: str) -> Folded:
    """Read a document of a kind as Go does."""
    known = _known_names(kind)
    if not any(
        one is None or (isinstance(one, dict) and any(known(key) != key for key in one)) for one in values_in(value)
    ):
        # Nearly always; to follow the schema takes twenty times as long and more.
        return Folded(value)
    folded = Folded()
    return replace(folded, value=_fold_members(value, [whole_schema(kind)], "", folded))


def plain_json(value: Any) -> Any:
    """The value in JSON types, with no number that was written as a float appearing as an integer.

    JSON Schema accepts 1.0 as an integer; Go, which reads these documents, refuses it.
    """
    if isinstance(value, dict):
        return {key: plain_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain_json(item) for item in value]
    if isinstance(value, WrittenAsFloat):
        return 0.5 if value.is_integer() or not isfinite(value) else float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _fold_members(value: Any, subschemas: list[Subschema], path: str, folded: Folded) -> Any:
    if isinstance(value, dict):
        found = _all_expanded(subschemas, value)
        known = go_names(name for one in found for name in one.schema.get("properties", ()))
        # Conditions go by the names that the schemas have.
        spelled = {known(key): member for key, member in value.items()}
        return _fold_object(value, _all_expanded(subschemas, spelled), path, folded)
    if isinstance(value, list):
        items = _subschemas_under(_all_expanded(subschemas, value), "items")
        zero = [_zero(items) if item is None else item for item in value]
        return [_fold_members(item, items, f"{path}/{index}", folded) for index, item in enumerate(zero)]
    return value


def _fold_object(value: dict[str, Any], found: list[Subschema], path: str, folded: Folded) -> dict[str, Any]:
    members: dict[str, list[Subschema]] = {}
    for subschema in found:
        for name, member in subschema.schema.get("properties", {}).items():
            schemas = members.setdefault(name, [])
            if isinstance(member, dict):
                schemas.append(subschema.under("properties", name))
    known = go_names(members)
    rest = _subschemas_under(found, "additionalProperties")
    required = {name for subschema in found for name in subschema.schema.get("required", ())}
    taken: set[str] = set()
    result: dict[str, Any] = {}
    for key, member in value.items():
        name = known(key)
        schemas = members.get(name, rest)
        where = path + json_pointer(name)
        if name != key:
            folded.renamed[where] = json_pointer(key)
        if name in taken or (name != key and name in value):
            folded.clashes.append((path, key))
        taken.add(name)
        if member is None and "null" not in _types(schemas):
            if name in members:
                if name in required and _has_form(schemas):
                    # Go hands the null to the decoder of such a type, which refuses it as it does "".
                    result[name] = None
                continue
            member = _zero(schemas)
        result[name] = _fold_members(member, schemas, where, folded)
    return result


def _subschemas_under(found: list[Subschema], keyword: str) -> list[Subschema]:
    return [one.under(keyword) for one in found if isinstance(one.schema.get(keyword), dict)]


def _all_expanded(subschemas: list[Subschema], value: Any) -> list[Subschema]:
    return [one for subschema in subschemas for one in _expanded(subschema, value)]


def _expanded(subschema: Subschema, value: Any) -> Iterator[Subschema]:
    """The subschema itself, and those that its references and conditions add."""
    yield subschema
    if "$ref" in subschema.schema:
        yield from _expanded(subschema.referred(), value)
    for index in range(len(subschema.schema.get("allOf", ()))):
        yield from _expanded(subschema.under("allOf", index), value)
    if "if" in subschema.schema:
        branch = "then" if _holds(subschema.schema["if"], value) else "else"
        if isinstance(subschema.schema.get(branch), dict):
            yield from _expanded(subschema.under(branch), value)


def _holds(condition: dict[str, Any], value: Any) -> bool:
    """Whether a condition holds, for the few forms that the schemas use."""
    if condition.get("type", "object") != "object" or not isinstance(value, dict):
        return False
    if not all(name in value for name in condition.get("required", ())):
        return False
    for name, member in condition.get("properties", {}).items():
        allowed = member.get("enum", [member.get("const")])
        if value.get(name) not in allowed:
            return False
    return True


def _types(subschemas: list[Subschema]) -> list[str]:
    found: list[str] = []
    for one in _all_expanded(subschemas, None):
        types = one.schema.get("type", [])
        found.extend([types] if isinstance(types, str) else types)
    return found


def _has_form(subschemas: list[Subschema]) -> bool:
    return any("pattern" in one.schema for one in _all_expanded(subschemas, None))


def _zero(subschemas: list[Subschema]) -> Any:
    return next((_ZERO[name] for name in _types(subschemas) if name in _ZERO), None)


@cache
def _known_names(kind: str) -> Callable[[str], str]:
    schemas = (one for file in schema_files_of(kind) for one in values_in(schema_file(file)) if isinstance(one, dict))
    return go_names(name for one in schemas for name in one.get("properties", ()))
