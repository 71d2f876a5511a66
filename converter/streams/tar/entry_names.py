"""Names of entries: bytes, normalised for comparison, escaped for display (image-spec 1.1.1, layer.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from converter.errors import Invalid, LimitExceeded, printable
from converter.model.limits import Limits, current_limits
from converter.streams.tar.fields import FILES

MANIFEST, ROOTFS = b"manifest", b"rootfs"
"""The two entries that an ACI has, and nothing beside them (appc spec 0.8.11, aci.md, "Image Archives")."""

PREFIX = ROOTFS + b"/"
"""What the names of an ACI's files begin with, and those of a layer's do not."""


def clean_name(name: bytes) -> bytes:
    """``name`` without leading ``/`` or ``./``, empty parts, ``.`` parts and trailing ``/``; the root is ``b""``.

    ``..`` is kept: whoever interprets the name calls :func:`require_contained` first.
    """
    return b"/".join(part for part in name.split(b"/") if part not in {b"", b"."})


def require_contained(name: bytes) -> bytes:
    """The clean ``name`` itself; raises Invalid if a part of it is ``..``, which may lead out of the root."""
    if b".." in name and b".." in name.split(b"/"):
        raise Invalid(f'invalid name {quoted_name(name)}: ".." is not allowed')
    return name


def parent_name(name: bytes) -> bytes:
    """The directory of the clean ``name``; the root is ``b""`` and its own parent."""
    return name.rpartition(b"/")[0]


def check_name_length(name: bytes, limits: Limits) -> None:
    """Raise LimitExceeded if the clean ``name`` is longer (bytes) or deeper (parts) than ``limits`` allow."""
    if len(name) > limits.path:
        raise LimitExceeded(
            f"name {quoted_name(name)} has {len(name)} bytes: at most {limits.path} are allowed (limit: path)"
        )
    depth = name.count(b"/") + 1
    if depth > limits.path_depth:
        raise LimitExceeded(
            f"name {quoted_name(name)} has {depth} parts: at most {limits.path_depth} are allowed (limit: path_depth)"
        )


@dataclass(slots=True)
class Budget:
    """Counts what readers keep in memory, over all tars whose names are kept together."""

    limits: Limits = field(default_factory=current_limits)
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


_TYPES = ("a file", "a hard link", "a symlink", "a character device", "a block device", "a directory", "a FIFO")
"""Indexed by typeflag."""


def type_in_words(kind: bytes) -> str:
    """The type of an entry in words, for messages; by its letter if it is not a file."""
    return _TYPES[int(kind)] if kind in FILES else f"the type {quoted_name(kind)}"


def quoted_name(name: bytes, most: int = 120) -> str:
    """``name`` in quotes for a message: control and other unprintable characters escaped, cut after ``most`` bytes."""
    text = printable(name[:most].decode("utf-8", "backslashreplace"))
    return f'"{text}"' if len(name) <= most else f'"{text}"...'
