"""The errors that callers see: one class for each way in which a caller can react.

An error is a fact in plain English (docs/messages.md) and a trail that says where it happened:
``oci:app > layer[3]: digest mismatch: expected sha256:ab…, computed sha256:cd…``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class ConverterError(Exception):
    """Something went wrong that a person can understand and act on."""

    def __init__(self, fact: str, *trail: str) -> None:
        super().__init__(fact)
        self.fact = fact
        self.trail: tuple[str, ...] = trail

    def __str__(self) -> str:
        parts = self.trail
        if len(parts) > 16:
            parts = (*parts[:4], "…", *parts[-4:])
        where = " > ".join(parts)
        return printable(f"{where}: {self.fact}" if where else self.fact)

    def __reduce__(self) -> tuple[type[ConverterError], tuple[str, ...]]:
        """For another process: the nearest class of this module, as callers react to no others."""
        kind = next(one for one in type(self).__mro__ if one.__module__ == __name__)
        return kind, (self.fact, *self.trail)


class NotFound(ConverterError):
    """The named thing does not exist: choose another name, or create it."""


class AlreadyExists(ConverterError):
    """Something is there that writing would destroy: choose another name, or allow it to be overwritten."""


class Invalid(ConverterError):
    """The input violates its specification and is refused: fix it at its source."""


class DigestMismatch(Invalid):
    """The bytes are not the expected ones: fetch them again, or distrust them."""


class LimitExceeded(Invalid):
    """The input is larger or deeper than allowed: raise the named limit, or reject the input."""


class Unsupported(ConverterError):
    """A valid request that this program, or the target, cannot fulfil."""


class LossRefused(ConverterError):
    """The target cannot hold all of the source, and the caller allowed no loss."""


class Untrusted(ConverterError):
    """Not signed as required, or refused by a policy."""


class Unreachable(ConverterError):
    """A registry, daemon or host did not answer as it should: try again later."""


class Denied(ConverterError):
    """A registry or host wants other credentials, or denies access: log in, or ask for permission."""


class StorageFailed(ConverterError):
    """The disk refused a read or a write: the target is as it was before."""


class CalledOff(ConverterError):
    """The work is no longer wanted: another part of it has failed, or the user has interrupted it."""


class Usage(ConverterError):
    """The call itself is wrong: an unknown transport, options that contradict each other."""


def from_system(error: OSError) -> ConverterError:
    """The system's error in its own words, with the file it concerns as the trail."""
    trail = (os.fsdecode(error.filename),) if isinstance(error.filename, str | bytes) else ()
    return ConverterError(system_words(error), *trail)


def system_words(error: OSError) -> str:
    """What the system says is wrong."""
    return (error.strerror or str(error)).lower()


def unless_invalid(read: Callable[P, T], *values: P.args, **named: P.kwargs) -> T | None:
    """What ``read`` makes of the values; None if it raises Invalid."""
    try:
        return read(*values, **named)
    except Invalid:
        return None


@contextmanager
def within(part: str, but_for: tuple[type[ConverterError], ...] = ()) -> Iterator[None]:
    """Put ``part`` in front of the trail of every error that passes through, unless it is there, or empty, or the error
    is one of those that ``but_for`` names.
    """
    try:
        yield
    except ConverterError as error:
        starts = (f"{part}: ", f"{part} ")
        there = error.trail[0] == part if error.trail else error.fact.startswith(starts)
        if part and not there and not isinstance(error, but_for):
            error.trail = (part, *error.trail)
        raise


def within_part(part: str) -> AbstractContextManager[None]:
    """The same for a part of an image; not for what failed at a host or a disk, whichever part it was about."""
    return within(part, (Denied, Unreachable, StorageFailed))


def count(number: int, noun: str) -> str:
    """``1 layer``, ``3,000 layers``."""
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def printable(text: str) -> str:
    r"""The text with every character escaped that a terminal might obey, or that changes the text direction.

    Bytes of file names that are not UTF-8 (PEP 383) become ``\xNN``.
    """
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()
