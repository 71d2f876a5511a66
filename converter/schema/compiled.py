"""Runs the schemas, and turns the validator's errors into findings with stable names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from converter.model.document import json_pointer, type_name
from converter.schema.definition_rules import NAMED
from converter.schema.finding import Finding, Hit, Rule, Severity, Strictness, Tolerated, is_tolerated
from converter.schema.go_json import fold_members, plain_json
from converter.schema.json_rules import SPEC
from converter.schema.kinds import FAMILIES, KINDS, bundled_schema, schema_file, shared_bundle, whole_schema
from converter.schema.shared_checks import follow_pointer, values_in

if TYPE_CHECKING:
    import jsonschema_rs

_FORMS = frozenset(("pattern", "not", "minimum", "maximum", "enum"))
"""The keywords by which a value has the wrong form; only these errors are named after the definition."""

LENIENT = {
    "aci-common.json#/$defs/label": {"name", "value"},
    "aci-common.json#/$defs/annotation": {"name", "value"},
    "aci-common.json#/$defs/app": {"exec"},
    "aci-common.json#/$defs/app/properties/eventHandlers/items": {"exec"},
    "aci-common.json#/$defs/app/properties/environment/items": {"value"},
    "aci-common.json#/$defs/app/properties/mountPoints/items": {"name", "path"},
    "aci-common.json#/$defs/port": {"name", "protocol"},
    "aci-common.json#/$defs/isolator": {"name"},
    "aci-pod-manifest.json#": {"acVersion", "apps"},
    "aci-pod-manifest.json#/properties/apps/items": {"name", "image"},
    "aci-pod-manifest.json#/properties/apps/items/properties/image": {"id"},
    "aci-pod-manifest.json#/properties/apps/items/properties/mounts/items": {"volume", "path"},
    "aci-pod-manifest.json#/properties/ports/items": {"name", "hostPort"},
    "docker-archive-manifest.json#/items": {"Layers"},
    "docker-config.json#/properties/rootfs": {"type"},
    "docker-schema1.json#": {"name", "tag", "architecture"},
    "docker-manifest-list.json#": {"mediaType"},
    "docker-manifest-list.json#/$defs/entry": {"platform"},
    "docker-manifest-list.json#/$defs/entry/properties/platform/allOf/1": {"architecture", "os"},
}
"""Members that the text requires and the reference does not: a warning under compat."""

RECOMMENDED = {"oci-manifest.json#/properties/layers": "minItems"}
"""What the reference requires and the text only recommends: a warning under strict."""


VALUES_AT_ONCE = 20_000
"""Most values of a document whose violations are all reported: the validator collects them before it yields the first,
and each takes some kilobytes.
"""


def schema_violations(value: Any, kind: str, strictness: Strictness) -> Iterator[Finding]:
    """The violations of the schema of its kind by a parsed document; of a large document only the first."""
    validator = validator_of(kind)
    if validator.is_valid(value):
        return
    if any(number > VALUES_AT_ONCE for number, _ in enumerate(values_in(value))):
        yield from _first(value, kind, strictness)
        return
    ill_formed = set()
    for error in validator.iter_errors(value):
        found = _finding(error, kind, strictness)
        if error.kind.name in {"pattern", "not"}:
            # Definitions forbid line breaks separately from their pattern, for engines whose $ allows one: report this
            # once.
            if found.path in ill_formed:
                continue
            ill_formed.add(found.path)
        yield found


def engine_refuses(members: dict[str, Any]) -> Iterator[Hit]:
    """What the Docker Engine refuses of members that stand in a configuration, beside the root file system."""
    folded = fold_members({**members, "rootfs": {"type": "layers"}}, "docker-config")
    for finding in schema_violations(plain_json(folded.value), "docker-config", "compat"):
        yield folded.original(finding.path), finding.message


def _finding(error: jsonschema_rs.ValidationError, kind: str, strictness: Strictness) -> Finding:
    keyword = error.kind.name
    location = _location(error, keyword)
    if strictness == "strict":
        advised = RECOMMENDED.get(location) == keyword
    else:
        advised = keyword == "required" and error.kind.value in LENIENT.get(location, ())
    severity: Severity = "warning" if advised else "error"
    path, rule = json_pointer(*error.instance_path), _rule(kind, keyword, location)
    about = error.kind.value if keyword == "required" else error.instance
    sort = Tolerated if is_tolerated(rule, path, about) else Finding
    return sort(path, rule, violation_text(error, location), _spec(kind, error.evaluation_path), severity)


def _first(value: Any, kind: str, strictness: Strictness) -> Iterator[Finding]:
    """The first error, or else the first warning, and a finding that says that there may be more."""
    import jsonschema_rs

    for validator in (_errors_alone(kind, strictness), validator_of(kind)):
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            found = _finding(error, kind, strictness)
            rest = f"in a document of more than {VALUES_AT_ONCE} values, only the first fault is reported"
            yield found
            yield Finding("", "json/too-many-findings", rest, SPEC, found.severity)
            return


def schema_rules() -> tuple[Rule, ...]:
    """All rules that the schemas state, sorted by name."""
    found: dict[str, Rule] = {}
    for kind in KINDS:
        for keyword, location in sorted(_keywords(kind)):
            name = _rule(kind, keyword, location)
            if name.startswith("schema/"):
                title = f"A document of the kind {kind} keeps to its schema: {keyword}."
            else:
                title = NAMED[location].title
            kinds = (*found[name].kinds, kind) if name in found else (kind,)
            advised = RECOMMENDED.get(location) == keyword
            found[name] = Rule(
                name=name,
                title=title,
                spec=schema_file(f"{kind}.json")["$comment"],
                kinds=tuple(dict.fromkeys(kinds)),
                strict="warning" if advised else "error",
                note="The text says SHOULD." if advised else "",
                in_schema=True,
            )
    return tuple(found[name] for name in sorted(found))


@cache
def validator_of(kind: str) -> jsonschema_rs.Validator:
    """The validator of a kind, or of a file of this program, such as ``policy``: what reads an error asks for it first.

    See ``make_validator`` for why: nothing else may be the first to import jsonschema_rs.
    """
    return make_validator(shared_bundle(kind))


@cache
def _errors_alone(kind: str, strictness: Strictness) -> jsonschema_rs.Validator:
    """The schema of a kind without the constraints whose violation is only a warning."""
    root = bundled_schema(kind)
    files = {f"{kind}.json": root, **root.get("$defs", {})}
    for location in RECOMMENDED if strictness == "strict" else LENIENT:
        file, _, pointer = location.partition("#")
        if file not in files:
            continue
        schema = follow_pointer(files[file], pointer)
        if strictness == "strict":
            del schema[RECOMMENDED[location]]
        else:
            schema["required"] = [name for name in schema["required"] if name not in LENIENT[location]]
    return make_validator(root)


def make_validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """A validator for a self-contained schema."""
    import decimal  # noqa: F401 - jsonschema_rs imports it, and panics if Control-C interrupts that

    # Imported on use: most commands never validate (17 ms).
    import jsonschema_rs

    return jsonschema_rs.validator_for(schema, offline=True)


def _location(error: jsonschema_rs.ValidationError, keyword: str) -> str:
    """The location of the violated schema: its file and the pointer in it."""
    file, _, place = (error.absolute_keyword_location or "").partition("#")
    return f"{file.rpartition('/')[2]}#{place.removesuffix(f'/{keyword}')}"


def _rule(kind: str, keyword: str, location: str) -> str:
    if keyword in _FORMS and location in NAMED:
        return f"{FAMILIES[kind]}/{NAMED[location].rule}"
    return f"schema/{kind}/{keyword}"


def violation_text(error: jsonschema_rs.ValidationError, location: str = "") -> str:
    """What is wrong, for people; ``location`` is that of the violated schema, if it may be a named definition."""
    value = error.instance
    match error.kind.name:
        case "required":
            return f'"{error.kind.value}" is missing'
        case "type":
            return f"expected {_either(error.kind.as_dict()['types'])}, found {type_name(value)}"
        case "not":
            return f"expected one line, found a line break in {_short(value)}"
        case "minItems":
            return "the array is empty: at least 1 is required"
        case "minLength":
            return "the string is empty"
        case "propertyNames":
            return f'invalid member name "{error.kind.as_dict()["error"].instance}": expected a digest'
        case "falseSchema":
            return f"this member is not allowed here (found {_short(value)})"
    return f"expected {_expected(error.kind, location)}, found {_short(value)}"


_PATTERNS = {"^/": "an absolute path"}
"""What patterns outside the named definitions ask for."""


def _expected(kind: jsonschema_rs.ValidationErrorKind, location: str) -> str:
    match kind.name:
        case "const":
            return _short(kind.value)
        case "enum":
            return " or ".join(map(_short, kind.value))
        case "pattern":
            return NAMED[location].form if location in NAMED else _PATTERNS.get(kind.value, f"a match of {kind.value}")
        case "minimum":
            return f"at least {kind.value}"
        case "maximum":
            return f"at most {kind.value}"
    return f"what the schema says ({kind.name})"


def _either(types: list[str]) -> str:
    names = {"null": "null", "integer": "a whole number", "object": "an object", "array": "an array"}
    return " or ".join(names.get(name, f"a {name}") for name in sorted(types, key=lambda name: (name == "null", name)))


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{type_name(value)} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return str(value)[:100]
    return f'"{value}"' if len(value) <= 118 else f'"{value[:100]}…"'


def _spec(kind: str, path: list[str | int]) -> str:
    """The specification section named by the innermost schema on the way to the violation."""
    current = whole_schema(kind)
    spec = str(current.schema["$comment"])
    for part in path:
        if part == "$ref":
            # The referring schema names the purpose better than the definition does.
            current = current.referred()
            continue
        try:
            current = current.under(part)
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(current.schema, dict):
            spec = current.schema.get("$comment", spec)
    return spec


def _keywords(kind: str) -> set[tuple[str, str]]:
    """The keywords reachable from the schema of a kind, each with its location."""
    found: set[tuple[str, str]] = set()
    seen: set[str] = set()
    waiting = [whole_schema(kind)]
    while waiting:
        one = waiting.pop()
        if one.schema is False:
            found.add(("falseSchema", one.location))
        if not isinstance(one.schema, dict) or one.location in seen:
            continue
        seen.add(one.location)
        found.update((word, one.location) for word in _ASSERTIONS & one.schema.keys())
        if "$ref" in one.schema:
            waiting.append(one.referred())
        waiting += [one.under("properties", name) for name in one.schema.get("properties", ())]
        waiting += [one.under("allOf", index) for index in range(len(one.schema.get("allOf", ())))]
        waiting += [one.under(word) for word in ("items", "additionalProperties", "then", "else") if word in one.schema]
    return found


_ASSERTIONS = frozenset(
    (
        "required",
        "type",
        "const",
        "enum",
        "pattern",
        "not",
        "minimum",
        "maximum",
        "minItems",
        "minLength",
        "propertyNames",
    )
)
