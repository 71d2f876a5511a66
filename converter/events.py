"""Progress events of a conversion; sizes are in bytes."""

from __future__ import annotations

from collections.abc import Callable

from converter.model.frozen import frozen


@frozen(kw_only=False)
class Planned:
    """The work is planned: how many bytes will be read, for how many blobs."""

    size: int
    blobs: int


@frozen(kw_only=False)
class Started:
    """A blob is being read; ``name`` is a short text for people."""

    name: str
    size: int


@frozen(kw_only=False)
class Moved:
    """This many more bytes of a blob have been read."""

    name: str
    size: int


@frozen(kw_only=False)
class Finished:
    """A blob is in the target; ``skipped`` if it was already there."""

    name: str
    size: int
    skipped: bool = False


@frozen(kw_only=False)
class Warned:
    """Something a person should know, which stops nothing."""

    fact: str


@frozen(kw_only=False)
class Failed:
    """One of many images did not reach its target; the others may go on."""

    fact: str


Event = Planned | Started | Moved | Finished | Warned | Failed
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore all events."""
