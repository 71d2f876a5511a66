"""Version ranges as in skopeo's ``images-by-semver`` (Masterminds/semver v3; semver.org, item 11)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self

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
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_ALIASES = {None: "=", "=>": ">=", "=<": "<=", "~>": "~"}

Key = tuple[int, int, int, tuple[tuple[int, int, str], ...]]

_MOST = 2**64
"""For skopeo, the numbers of a version are below this; a tag with a larger one is not a version."""

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
        major, minor, patch = (int(part or 0) for part in match.groups()[:3])
        pre = match[4] or ""
        padded = any(one.isdecimal() and one != "0" and one.startswith("0") for one in pre.split("."))
        return None if padded or max(major, minor, patch) >= _MOST else cls((major, minor, patch), pre)

    @property
    def key(self) -> Key:
        """A sort key in the order of versions."""
        parts = tuple((0, int(one), "") if _NUMBER.fullmatch(one) else (1, 0, one) for one in self.pre.split("."))
        return (*self.numbers, parts if self.pre else (_LAST,))


@frozen(kw_only=False)
class Term:
    """An operator and a version, of which only the first ``known`` numbers were given."""

    operator: str
    low: Version
    known: int

    @classmethod
    def parse(cls, match: re.Match[str]) -> Self:
        """Parse a match of ``_TERM``; raises Invalid."""
        operator = _ALIASES.get(match[1], match[1])
        if any(part and part.isdecimal() and not _NUMBER.fullmatch(part) for part in match.groups()[1:4]):
            raise Invalid(f'invalid range of versions "{match[0][:200]}": numbers must be below 2^64')
        numbers = [int(part) if part and part.isdecimal() else None for part in match.groups()[1:4]]
        known = next((index for index, number in enumerate(numbers) if number is None), 3)
        if not known and operator in ("!=", ">", "<=", "^"):
            raise Invalid(f'invalid range of versions: "{operator}" is not followed by a number, but by "{match[2]}"')
        major, minor, patch = (number or 0 for number in [*numbers[:known], *[None] * (3 - known)])
        return cls(operator, Version((major, minor, patch), match[5] or ""), known)

    def holds(self, version: Version) -> bool:
        """Whether a version fits the term."""
        # A pre-release matches only if the term itself names one, or excludes one exact version.
        exact = self.known == 3
        meant = not version.pre or bool(self.low.pre) or (self.operator == "!=" and exact)
        return meant and self._fits(version, exact=exact)

    def _fits(self, version: Version, *, exact: bool) -> bool:
        key, low = version.key, self.low.key
        match self.operator:
            case "=":
                return key == low if exact else key >= low and self._shares(version, self.known)
            case "!=":
                if exact:
                    return key != low
                # 2.0-rc excludes only versions 2.0.x with that pre-release; 2-rc excludes every 2.
                other = self.known == 2 and version.pre != self.low.pre
                return other or not self._shares(version, self.known)
            case ">":
                return key > low and (exact or not self._shares(version, self.known))
            case "<":
                return key < low
            case ">=":
                return key >= low
            case "<=":
                return key <= low or (not exact and self._shares(version, self.known))
            case "~":
                return key >= low and self._shares(version, min(self.known, 2))
            case _:
                # ^1.2.3 keeps the first number that is not zero, ^0.0 the first two, ^0 the first.
                first = next((index for index, number in enumerate(self.low.numbers) if number), self.known - 1)
                return key >= low and self._shares(version, min(first + 1, self.known))

    def _shares(self, version: Version, fixed: int) -> bool:
        return version.numbers[:fixed] == self.low.numbers[:fixed]


def version_range(text: str) -> Callable[[str], bool]:
    """Whether a tag is a version within a range such as ``>= 1.2, < 2 || ^3``; raises Invalid."""
    alternatives = [_terms(part, text) for part in text.split("||")]

    def holds(tag: str) -> bool:
        version = Version.parse(tag)
        return version is not None and any(all(term.holds(version) for term in terms) for terms in alternatives)

    return holds


def _terms(part: str, whole: str) -> tuple[Term, ...]:
    hyphen = _HYPHEN.fullmatch(part)
    if hyphen is not None:
        part = f">={hyphen[1]} <={hyphen[2]}"
    if not _TERM.search(part) or _TERM.sub("", part).strip(_BETWEEN):
        raise Invalid(f'invalid range of versions "{whole[:200]}": expected one such as ">= 1.2, < 2"')
    return tuple(Term.parse(match) for match in _TERM.finditer(part))
