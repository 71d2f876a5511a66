"""Version ranges as in skopeo's ``images-by-semver`` (Masterminds/semver v3; semver.org, item 11)."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Self

from converter.errors import Invalid
from converter.model.frozen import frozen

_VERSION = re.compile(
    r"v?(\d{1,20})(?:\.(\d{1,20}))?(?:\.(\d{1,20}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_TERM = re.compile(
    r"(?:(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)\s*)?v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?"
    r"(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_BETWEEN = " ,\t\n\r\f\v"
"""Separators between terms; not part of the pattern of a term, which would rescan them from each character."""
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
"""A longer number is not one for skopeo either, and Python refuses to parse thousands of digits."""
_PADDED = re.compile(r"(?:^|\.)0[0-9]+(?:\.|$)")
"""A number in a pre-release that begins with a zero, which is not allowed."""
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_ALIASES = {None: "=", "=>": ">=", "=<": "<=", "~>": "~"}

Key = tuple[Any, ...]
"""Three numbers and a pre-release, in the order of versions. The first numbers alone sort before all that begin so."""

Holds = Callable[["Version"], bool]

_MOST = 2**64
"""For skopeo, the numbers of a version are below this; a tag with a larger one is not a version."""

_END = (_MOST,)
"""Sorts after every version."""

_LAST = (2, 0, "")
"""Sorts after every pre-release identifier: a release is later than all of its pre-releases."""


@frozen(kw_only=False)
class Version:
    """A version; ``pre`` is the pre-release, the part after its hyphen."""

    numbers: tuple[int, int, int]
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a tag; None if it is not a version. ``1`` is 1.0.0, and a leading ``v`` is ignored."""
        match = _VERSION.fullmatch(text)
        if match is None:
            return None
        major, minor, patch = map(int, match.groups("0")[:3])
        pre = match[4] or ""
        if max(major, minor, patch) >= _MOST or _PADDED.search(pre):
            return None
        return cls((major, minor, patch), pre)

    @property
    def key(self) -> Key:
        """A sort key in the order of versions."""
        parts = tuple((0, int(one), "") if _NUMBER.fullmatch(one) else (1, 0, one) for one in self.pre.split("."))
        return (*self.numbers, parts if self.pre else (_LAST,))


def _term(match: re.Match[str]) -> Holds:
    """Whether a version fits a match of ``_TERM``: an operator, and a version that may lack its last numbers.

    Raises Invalid.
    """
    operator = _ALIASES.get(match[1], match[1])
    parts = match.groups("")[1:4]
    if max(map(len, parts)) > 20:
        raise Invalid(f'invalid range of versions "{match[0][:200]}": numbers must be below 2^64')
    numbers = [int(part) for part in takewhile(str.isdecimal, parts)]
    known = len(numbers)
    if not known and operator in ("!=", ">", "<=", "^"):
        raise Invalid(f'invalid range of versions: "{operator}" is not followed by a number, but by "{match[2]}"')
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    low = Version((major, minor, patch), match[5] or "")
    exact = known == 3
    above = (*low.key, 0) if exact else _beyond(low, known)
    # ^1.2.3 keeps the first number that is not zero, ^0.0 the first two, ^0 the first.
    first = next((index for index, number in enumerate(low.numbers) if number), known - 1)
    start, end = {
        "=": (low.key, above),
        "!=": (low.key if exact else low.numbers[:known], above),
        ">": (above, _END),
        ">=": (low.key, _END),
        "<": ((), low.key),
        "<=": ((), above),
        "~": (low.key, _beyond(low, min(known, 2))),
        "^": (low.key, _beyond(low, min(first + 1, known))),
    }[operator]

    excludes = operator == "!="
    # A pre-release matches only if the term itself names one, or excludes one exact version.
    takes_pre = bool(low.pre) or (excludes and exact)

    def holds(version: Version) -> bool:
        if version.pre and not takes_pre:
            return False
        within = start <= version.key < end
        if not excludes:
            return within
        # 2.0-rc excludes only versions 2.0.x with that pre-release; 2-rc excludes every 2.
        return not within or (known == 2 and version.pre != low.pre)

    return holds


def _beyond(version: Version, known: int) -> Key:
    """Where the versions end that begin with so many of its numbers."""
    return (*version.numbers[: known - 1], version.numbers[known - 1] + 1) if known else _END


def version_range(text: str) -> Callable[[str], bool]:
    """Whether a tag is a version within a range such as ``>= 1.2, < 2 || ^3``; raises Invalid."""
    alternatives = [_terms(part, text) for part in text.split("||")]

    def holds(tag: str) -> bool:
        version = Version.parse(tag)
        return version is not None and any(all(term(version) for term in terms) for terms in alternatives)

    return holds


def _terms(part: str, whole: str) -> tuple[Holds, ...]:
    hyphen = _HYPHEN.fullmatch(part)
    if hyphen is not None:
        part = f">={hyphen[1]} <={hyphen[2]}"
    if not _TERM.search(part) or _TERM.sub("", part).strip(_BETWEEN):
        raise Invalid(f'invalid range of versions "{whole[:200]}": expected one such as ">= 1.2, < 2"')
    return tuple(_term(match) for match in _TERM.finditer(part))
