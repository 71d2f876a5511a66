"""Checks that documents of several families share: times, digests, histories, ports, media types and URLs.

What finds the members of a document stands first; nothing has validated the shape of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, TypeVar

from converter.model.descriptor import GRAMMAR, HEX_LENGTHS
from converter.model.document import go_key, json_pointer
from converter.schema.finding import Hit

T = TypeVar("T")
Check = Callable[[Any], Iterable[Hit]]


def values_in(document: Any) -> Iterator[Any]:
    """Every value in a document, itself first, and arrays and objects before what is in them."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def follow_pointer(value: Any, pointer: str) -> Any:
    """The member that a JSON pointer leads to; raises KeyError or IndexError if there is none."""
    for part in pointer.split("/")[1:]:
        value = value[int(part) if isinstance(value, list) else part.replace("~1", "/").replace("~0", "~")]
    return value


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


def values_at(kind: type[T], document: Any, *paths: str) -> Iterator[tuple[str, T]]:
    """The values of a type (``str``, ``int``, ``list``, ``dict``) at the paths."""
    for path in paths:
        for where, value in find_members(document, path):
            # To Python, but not to JSON, a boolean is an integer.
            if isinstance(value, kind) and not isinstance(value, bool):
                yield where, value


_DATE, _MINUTE = r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{2})", "[0-5][0-9]"
_TIME = (
    rf"{_DATE}[Tt]([01][0-9]|2[0-3]):({_MINUTE}):({_MINUTE}|60)(?:\.[0-9]+)?"
    rf"(?:[Zz]|([+-])([01][0-9]|2[0-3]):({_MINUTE}))"
)
_GO_HOUR, _GO_OFFSET = "(?:[01]?[0-9]|2[0-3])", rf"[+-](?:[01][0-9]|2[0-4]):(?:{_MINUTE}|60)"
_GO_TIME = rf"{_DATE}T{_GO_HOUR}:{_MINUTE}:{_MINUTE}(?:[.,][0-9]+)?(?:Z|{_GO_OFFSET})"
"""What Go accepts as an RFC 3339 time: also an hour of one digit, a comma, and an offset of 24:60; but no small
letters and no leap second.
"""
_EITHER = rf"{_DATE}[Tt]{_GO_HOUR}:{_MINUTE}:(?:{_MINUTE}|60)(?:[.,][0-9]+)?(?:[Zz]|{_GO_OFFSET})"
"""What the schemas accept."""
TIMES = ("created", "history/*/created")
"""The paths of the times in a configuration."""
_MANIFEST_MEMBERS = ("config", "fsLayers", "history", "layers", "manifests")


def bad_time(text: str) -> str:
    """Why a text is not an RFC 3339 time; empty if it is."""
    match = re.fullmatch(_TIME, text)
    if match is None:
        return f'invalid time "{text[:60]}": expected RFC 3339, as in 2015-10-31T22:22:56Z'
    hour, minute, second, sign, off_hour, off_minute = match.groups(default="0")[3:]
    if second == "60":
        offset = 60 * int(sign + off_hour) + int(sign + off_minute)
        minute_in_utc = 60 * int(hour) + int(minute) - offset
        if minute_in_utc % (24 * 60) != 24 * 60 - 1:
            return f'invalid time "{text}": second 60 occurs only at the end of a day in UTC'
    return _bad_day(text, match)


def bad_go_time(text: str) -> str:
    """Why Go does not accept a text as a time; empty if it does."""
    match = re.fullmatch(_GO_TIME, text)
    if match:
        return _bad_day(text, match)
    fact = f'time "{text[:60]}" cannot be read by Go: expected T and Z in capitals, and a second up to 59'
    return bad_time(text) or fact


def no_time(text: str) -> str:
    """Why a text is a time neither to RFC 3339 nor to Go; empty if it is one to either."""
    return bad_time(text) and bad_go_time(text)


def go_time_form(text: str) -> str:
    """How a text that Go accepts as a time differs from RFC 3339; empty if it does not."""
    if bad_go_time(text) or not bad_time(text):
        return ""
    return f'time "{text[:60]}" is not RFC 3339: expected two-digit hours, a point before fractions'


def not_go_time(text: str) -> str:
    """Why Go does not accept an RFC 3339 time; empty if it does, or if the text is none."""
    return "" if bad_time(text) else bad_go_time(text)


def impossible_time(text: str) -> str:
    """Why a well-formed time cannot occur on a clock; empty if it can."""
    return no_time(text) if re.fullmatch(_EITHER, text) else ""


def _bad_day(text: str, match: re.Match[str]) -> str:
    from calendar import monthrange

    year, month, day = map(int, match.groups()[:3])
    _, last = monthrange(year, month)
    return "" if 1 <= day <= last else f'invalid time "{text}": the month has no such day'


def bad_digest(text: str) -> str:
    """Why the encoded part of a well-formed digest is wrong for its algorithm; empty if it is not."""
    match = GRAMMAR.fullmatch(text)
    if match is None:
        return ""
    algorithm, encoded = match.groups()
    length = HEX_LENGTHS.get(algorithm)
    if length is None or re.fullmatch(f"[0-9a-f]{{{length}}}", encoded):
        return ""
    return f'invalid {algorithm} digest "{text[:150]}": expected {length} lower-case hex digits'


def ambiguous_members(document: Any, *own: str) -> Iterator[Hit]:
    """Members that belong to another kind of manifest, whatever their case (CVE-2021-41190)."""
    if not isinstance(document, dict):
        return
    foreign = {go_key(name) for name in _MANIFEST_MEMBERS if name not in own}
    for key, value in document.items():
        if go_key(key) in foreign and value is not None:
            yield "/" + key, f'"{key}" belongs to another kind of manifest'


def repeated_members(document: Any, noun: str, *paths: str, only: Container[str] | None = None) -> Iterator[Hit]:
    """Items of the lists at the paths whose name repeats that of an earlier one; of all names, or ``only`` of these."""
    for where, items in values_at(list, document, *paths):
        seen: set[str] = set()
        for index, item in enumerate(items):
            name = item.get("name", "") if isinstance(item, dict) else None
            if isinstance(name, str):
                if name in seen and (only is None or name in only):
                    yield f"{where}/{index}", f'a second {noun} named "{name}"'
                seen.add(name)


def bad_diff_id(text: str) -> str:
    """Why a diff ID is not a digest of a registered algorithm; empty if it is."""
    match = GRAMMAR.fullmatch(text)
    if match is None or match[1] not in HEX_LENGTHS:
        return f'invalid diff_id "{text[:150]}": expected a digest, as in sha256:…'
    return bad_digest(text)


def history_mismatch(document: Any) -> Iterator[Hit]:
    """A history in which the number of steps with a layer is not the number of layers."""
    for _, diff_ids in find_members(document, "rootfs/diff_ids"):
        layers = [] if diff_ids is None else diff_ids
        for where, history in values_at(list, document, "history"):
            if not history or not isinstance(layers, list) or not all(map(_is_step, history)):
                continue
            made = sum(not step.get("empty_layer") for step in history)
            if made != len(layers):
                yield where, f"history has {made} steps that made a layer, for {len(layers)} diff_ids"


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and isinstance(step.get("empty_layer"), bool | None)


def of_found(find: Callable[[Any], Iterable[tuple[str, T]]], why: Callable[[T], str]) -> Check:
    """The check of a rule on what ``find`` finds in a document: values, each with its pointer.

    ``why`` says what is wrong with a value; empty if nothing is.
    """

    def check(document: Any) -> Iterator[Hit]:
        for where, value in find(document):
            fact = why(value)
            if fact:
                yield where, fact

    return check


def of_texts(why: Callable[[str], str], *paths: str) -> Check:
    """The check of a rule on the texts at the paths; ``why`` is as in ``of_found``."""
    return of_found(lambda document: values_at(str, document, *paths), why)


def wrong_form(form: str, fact: str) -> Callable[[str], str]:
    """A function that says ``fact``, with the text in its braces, of a text of that form, which is a pattern."""
    return lambda text: fact.format(text) if re.fullmatch(form, text) else ""


def of_numbers(why: Callable[[int], str], *paths: str) -> Check:
    """The same for integers."""
    return of_found(lambda document: values_at(int, document, *paths), why)


def bad_ports(document: Any) -> Iterator[Hit]:
    """Exposed ports that are not PORT or PORT/PROTOCOL."""
    for where, ports in values_at(dict, document, "config/ExposedPorts"):
        for port in ports:
            match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?(?:/(?:tcp|udp|sctp))?", port)
            if match is None or not all(0 < int(number[:6]) < 65536 for number in match.groups(default="1")):
                yield where, f'invalid port "{port}": expected PORT, PORT/tcp or PORT/udp'


def bad_variable(text: str) -> str:
    """Why a variable is not NAME=VALUE; empty if it is."""
    name, equals, _ = text.partition("=")
    return "" if name and equals else f'invalid variable "{text[:100]}": expected NAME=VALUE'


def only_types(*media_types: str) -> Callable[[str], str]:
    """A function that says why a media type is not among those wanted; empty if it is, or if it is none."""
    expected = f"one of: {', '.join(media_types)}"
    return lambda text: (
        "" if text in media_types or "/" not in text else f'unsupported media type "{text[:100]}" ({expected})'
    )


_ESCAPED = r"%[0-9A-Fa-f]{2}"
_USER = rf"([A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})*"
# In a host, only non-ASCII bytes are escaped, and the % before a zone.
_LETTER = r"([A-Za-z0-9._~!$&'()*+,;=<>\"\[\]-]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])"
_HOST = rf"((?!\[)({_LETTER}*|({_LETTER}|:)*:[0-9]*)|\[({_LETTER}|:)*\](:[0-9]*)?)"
_AUTHORITY = rf"({_USER}@)?{_HOST}"
_NAME = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPED})"
_MARK = f"(?:{_NAME}|[:@])"
_HOST_AND_PORT = rf"(?:(?:{_NAME}|:)*+@)?(?:{_NAME}*+|\[(?:{_NAME}|:)++\])(?::[0-9]*)?"
_URI = (
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_HOST_AND_PORT}(?:/(?:{_MARK}|/)*+)?|(?!//)(?:{_MARK}|/)*+)"
    rf"(?:\?(?:{_MARK}|[/?])*+)?(?:#(?:{_MARK}|[/?])*+)?"
)
_ESCAPES = rf"([^%]|{_ESCAPED})*"


def is_url(text: str) -> bool:
    """Whether Go accepts a text as a URL of any scheme."""
    match = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:([^\x00-\x1f\x7f#]*)(?:#(.*))?", text, re.DOTALL)
    if match is None:
        return False
    rest, fragment = match[1], match[2] or ""
    path, _, _ = rest.partition("?")
    if path.startswith("//") and not path.startswith("///"):
        authority, _, path = path[2:].partition("/")
        if re.fullmatch(_AUTHORITY, authority) is None:
            return False
    elif not path.startswith("/"):
        # An opaque part instead of a path, which is accepted as it is.
        path = ""
    return bool(re.fullmatch(_ESCAPES, path) and re.fullmatch(_ESCAPES, fragment))


def is_uri(text: str) -> bool:
    """Whether a text is written as a URI of RFC 3986 (appendix A); what stands in brackets may be any address."""
    return re.fullmatch(_URI, text) is not None
