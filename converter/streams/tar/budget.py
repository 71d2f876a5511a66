"""Limits what is kept in memory while several tars become one: entries, and bytes of names."""

from __future__ import annotations

from dataclasses import dataclass

from converter.errors import LimitExceeded
from converter.model.limits import Limits


@dataclass(slots=True)
class Budget:
    """Counts what readers keep in memory, over all tars whose names are kept together."""

    limits: Limits
    entries: int = 0
    """Entries in the tars that have been read."""
    names: int = 0
    """Bytes of names and link targets, and of other data held for a name."""

    def add(self, size: int) -> None:
        """Count ``size`` more bytes. Raises LimitExceeded."""
        self.names += size
        if self.names > self.limits.names:
            raise too_many_names(self.limits)


def too_many_names(limits: Limits) -> LimitExceeded:
    """The error for an archive whose names alone would fill the memory."""
    return LimitExceeded(f"archive: more than {limits.names} bytes of names (limit: names)")
