"""What execution tells whoever watches: sizes in bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Planned(NamedTuple):
    """Work has been laid out: so many bytes will be read, for so many blobs."""

    size: int
    blobs: int


class Started(NamedTuple):
    """A blob is being read; ``name`` is a short text for people."""

    name: str
    size: int


class Moved(NamedTuple):
    """So many more bytes of a blob have been read."""

    name: str
    size: int


class Finished(NamedTuple):
    """A blob is in the target; ``skipped`` when it was there before."""

    name: str
    size: int
    skipped: bool = False


class Warned(NamedTuple):
    """Something a person should know that stops nothing."""

    fact: str


Event = Planned | Started | Moved | Finished | Warned
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Nobody watches."""
