"""Strict reading of JSON documents (RFC 8259), without anything that two parsers could read differently.

Access to their members is typed: the trail of an error names the member, and the caller adds the rest. Some documents
contain their signatures: libtrust's "pretty" JWS, as in Docker's schema 1.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, NoReturn, TypeVar

from converter.errors import Invalid, LimitExceeded
from converter.model.frozen import frozen
from converter.model.limits import current_limits

T = TypeVar("T")
INT64 = range(-(2**63), 2**63)

_SPACE = " \t\n\r"
_STRING = r'(?s)"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
"""A string; if unterminated, it extends to the end of the text, so that matching takes linear time."""
_BRACKET = r"[\[\]{}]"


@frozen(kw_only=False)
class Problem:
    """One reason why parsers may not read a document alike; ``path`` is a JSON pointer."""

    rule: str
    path: str
    fact: str


class WrittenAsFloat(float):
    """A number with a fraction or an exponent: not an integer to Go, although 1.0 is one to JSON Schema."""


@frozen(kw_only=False)
class Reading:
    """What could be read of a document, and everything wrong with its text.

    In an ``odd`` one, there are floats, numbers that are too large, or keys that are repeated.
    """

    value: Any
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    odd: bool = False


def load_json(data: bytes) -> Any:
    """Parse one JSON document.

    Raises Invalid for a duplicate key, a number outside 64 bits, NaN, bytes that are not UTF-8, or data after the
    document; LimitExceeded for a document that is too large or too deep. An unpaired surrogate, which could not be
    written again, becomes U+FFFD, as in Go.
    """
    reading = read_json(data)
    for problem in reading.problems:
        where = f" at {problem.path}" if problem.path else ""
        raise (LimitExceeded if problem.rule in _LIMITS else Invalid)(problem.fact + where)
    return without_surrogates(reading.value) if has_surrogates(data) else reading.value


def load_object(data: bytes) -> dict[str, Any]:
    """Parse a document whose root must be an object; raises as ``load_json`` does."""
    return expect_type(load_json(data), dict)


def has_surrogates(data: bytes) -> bool:
    """Whether the document's strings may contain unpaired surrogates."""
    return b"\\ud" in data or b"\\uD" in data


def without_surrogates(value: Any) -> Any:
    """The value with each unpaired surrogate replaced, as no other parser would accept it."""
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def read_json(data: bytes) -> Reading:
    """Parse one JSON document and report every problem in its text, not only the first; raises nothing.

    ``complete`` is false if the text could not be parsed to its end; ``value`` is then meaningless.
    """
    limits = current_limits()
    if len(data) > limits.document:
        fact = f"document of {len(data)} bytes: at most {limits.document} are allowed (limit: document)"
        return _given_up([], "json/size", fact)
    problems: list[Problem] = []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(Problem("json/utf-8", "", f"invalid UTF-8 at byte {error.start}"))
        text = data.decode("utf-8", "replace")
    if _deeper_than(text, limits.json_depth):
        fact = f"document nested more than {limits.json_depth} levels deep (limit: json_depth)"
        return _given_up(problems, "json/depth", fact)
    if _more_values_than(text, limits.json_values):
        fact = f"document of more than {limits.json_values} values (limit: json_values)"
        return _given_up(problems, "json/size", fact)
    return _parse(text, problems)


def dump_json(value: Any) -> bytes:
    """The document as this program writes it: compact, keys in the order given, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def shown_value(value: Any) -> str:
    """A JSON value for people: a text as it is, unless it is empty."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def type_name(value: Any) -> str:
    """The JSON name of a value's type, with its article, for messages."""
    return next(name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind))


def expect_type(value: Any, kind: type[T], *trail: str) -> T:
    """The value, which must have that type; raises Invalid, with the trail that leads to it."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Invalid(f"expected {_EXPECTED[kind]}, found {type_name(value)}", *trail)
    return value


def go_key(key: str) -> str:
    """A key as Go compares it with known ones: case-insensitively, with a long s as s."""
    return key.lower().replace("\u017f", "s")


def go_names(names: Iterable[str]) -> Callable[[str], str]:
    """Returns a function of a key, which gives the one of the names that Go takes it for, or else the key itself."""
    exact = frozenset(names)
    folded = {go_key(name): name for name in exact}
    return lambda key: key if key in exact else folded.get(go_key(key), key)


def as_known(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """An object with its members under their known names, which Go matches in any case.

    Raises Invalid if two members are the same to Go.
    """
    known = go_names(names)
    found: dict[str, Any] = {}
    for key, value in members.items():
        name = known(key)
        if name in found:
            raise Invalid(f'key "{key[:60]}" is ambiguous: another key differs from it only in case')
        found[name] = value
    return found


def json_pointer(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) to a member."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_EXPECTED = _TYPE_NAMES | {int: "a whole number", bool: "true or false"}
_LIMITS = frozenset(("json/size", "json/depth"))


def _given_up(problems: list[Problem], rule: str, fact: str) -> Reading:
    """A document that could not be parsed to its end, for one more reason."""
    return Reading(None, (*problems, Problem(rule, "", fact)), complete=False)


def _parse(text: str, problems: list[Problem]) -> Reading:
    hooks = _Hooks()
    decoder = json.JSONDecoder(
        object_pairs_hook=hooks.members,
        parse_int=hooks.integer,
        parse_float=hooks.floating,
        parse_constant=hooks.constant,
    )
    try:
        start = len(text) - len(text.lstrip(_SPACE))
        value, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if not text.strip():
            return _given_up(problems, "json/syntax", "the document is empty")
        what = error.msg[:1].lower() + error.msg[1:]
        return _given_up(problems, "json/syntax", f"invalid JSON: {what} at line {error.lineno}")
    except Invalid as error:
        return _given_up(problems, "json/number", error.fact)
    if text[end:].strip(_SPACE):
        line = text.count("\n", 0, end) + 1
        problems.append(Problem("json/trailing-data", "", f"extra data after the JSON document, at line {line}"))
    if hooks.odd:
        problems.extend(_odd_members(value, hooks.repeated))
    return Reading(value, tuple(problems), odd=hooks.odd)


class _TooLarge(int):
    """Stands for a number that needs more than 64 bits; ``text`` is its original spelling."""

    text: str


class _Hooks:
    """Records, while a document is parsed, what Python would silently accept."""

    def __init__(self) -> None:
        self.odd = False
        self.repeated: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.odd = True
            # Objects are identified by id(), which stays unique only while they are alive.
            self.repeated[id(found)] = found, [key for key, count in counts.items() if count > 1]
        return found

    def integer(self, digits: str) -> int:
        # Go, which wrote nearly all of these documents, uses int64; Python's own limit on digits is higher.
        if len(digits) < 19 or (len(digits) <= 20 and int(digits) in INT64):
            return int(digits)
        self.odd = True
        large = _TooLarge(2**63)
        large.text = digits
        return large

    def floating(self, text: str) -> float:
        self.odd = True
        return WrittenAsFloat(text)

    @staticmethod
    def constant(name: str) -> NoReturn:
        """Refuse NaN or an infinity, which Python's parser would accept."""
        raise Invalid(f"invalid JSON: {name} is not a number")


def _odd_members(value: Any, repeated: dict[int, tuple[dict[str, Any], list[str]]]) -> Iterator[Problem]:
    """Locate the problems that the hooks have seen."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, member = waiting.pop()
        if isinstance(member, dict):
            _, keys = repeated.get(id(member), (member, []))
            for key in keys:
                yield Problem("json/duplicate-key", path, f'duplicate key "{key}"')
            waiting.extend((path + json_pointer(key), item) for key, item in reversed(member.items()))
        elif isinstance(member, list):
            waiting.extend((f"{path}/{index}", item) for index, item in reversed(list(enumerate(member))))
        elif isinstance(member, _TooLarge):
            yield Problem("json/number-range", path, f"the number {member.text[:24]} does not fit into 64 bits")
        elif isinstance(member, float) and not isfinite(member):
            yield Problem("json/number-range", path, "a number does not fit into 64 bits")


def _deeper_than(text: str, most: int) -> bool:
    if text.count("[") + text.count("{") <= most:
        return False
    depth = 0
    for bracket in re.findall(_BRACKET, re.sub(_STRING, "", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > most:
            return True
    return False


def _more_values_than(text: str, most: int) -> bool:
    """Whether there are more: a parser needs a hundred bytes for each value, and ``[{},{},…`` only three."""
    if text.count(",") <= most // 2 and text.count("[") + text.count("{") <= most // 2:
        return False
    bare = re.sub(_STRING, "", text)
    return bare.count(",") + bare.count("[") + bare.count("{") > most


def required_member(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A required member; raises Invalid if it is missing or has another type."""
    if name not in value:
        raise Invalid("missing", name)
    return expect_type(value[name], kind, name)


def optional_member(value: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """An optional member, None if missing; raises Invalid if it has another type."""
    return required_member(value, name, kind) if name in value else None


def member_or_empty(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A member, empty where it is missing or null, as Go reads it; raises Invalid if it has another type."""
    found = value.get(name)
    return kind() if found is None else expect_type(found, kind, name)


def lenient_member(value: Any, name: str, kind: type[T]) -> T:
    """A member of what may not even be an object; empty where it has another type."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, kind) else kind()


def text_list(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of strings, empty where it is missing or null; a null in it is an empty string. Raises Invalid."""
    return tuple(
        "" if text is None else expect_type(text, str, f"{name}[{place}]")
        for place, text in enumerate(member_or_empty(value, name, list))
    )


def text_map(value: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object of strings; empty where it is missing or null. Raises Invalid."""
    return {key: expect_type(text, str, name, key[:60]) for key, text in member_or_empty(value, name, dict).items()}


def object_list(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A required list of objects; raises Invalid."""
    return [
        expect_type(item, dict, f"{name}[{place}]") for place, item in enumerate(required_member(value, name, list))
    ]


def require_only(value: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Raises Invalid for a member that is not in ``names``: what is not understood cannot be approved."""
    for unknown in sorted(set(value).difference(names)):
        raise Invalid(f'unknown member "{unknown[:60]}" in {what} (known: {", ".join(sorted(names))})')


def decode_base64(text: str, what: str) -> bytes:
    """Decode base64 (RFC 4648, section 4), in which line breaks are allowed; raises Invalid."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except ValueError:
        raise Invalid(f"{what} is not base64") from None


def signed_payload(data: bytes) -> bytes:
    """The bytes that are signed: ``data`` itself if it has no member ``signatures``.

    That member is the last one. Each signature states in its protected header how many of the preceding bytes belong to
    the payload, and what the payload ends with.

    No signature is verified. Raises Invalid if the signatures do not all give the same payload, or if it differs from
    the document around them: what is signed would not be what is read.
    """
    document = load_object(data)
    if "signatures" not in document:
        return data
    found = {_extent(data, signature) for signature in object_list(document, "signatures")}
    if len(found) != 1:
        raise Invalid(f"signatures of {len(found)} different payloads in one document: exactly one is valid")
    length, tail = found.pop()
    signed = data[:length] + tail
    del document["signatures"]
    # Compare as text, since 1 == True in Python.
    if dump_json(load_object(signed)) != dump_json(document):
        raise Invalid("the document differs from its signed payload")
    return signed


def _extent(data: bytes, signature: dict[str, Any]) -> tuple[int, bytes]:
    """How many bytes of ``data`` belong to the payload, and what follows them there."""
    header = load_object(decode_base64url(required_member(signature, "protected", str)))
    length, tail = required_member(header, "formatLength", int), required_member(header, "formatTail", str)
    if not 0 <= length <= len(data):
        raise Invalid(f"formatLength is {length}: expected 0 to {len(data)}, the length of the document")
    return length, decode_base64url(tail)


def decode_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515, appendix C); raises Invalid."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Invalid("invalid base64url in a JWS") from None
