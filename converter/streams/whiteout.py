"""Whiteouts: entries of a layer that remove what lower layers have (image-spec 1.1.1, layer.md, "Whiteouts")."""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import Invalid
from converter.model.frozen import frozen
from converter.streams.tar.fields import quoted_name

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."


@frozen(kw_only=False)
class Removes:
    """``.wh.NAME``: removes ``path`` and everything below it, from lower layers only."""

    path: bytes


@frozen(kw_only=False)
class Empties:
    """``.wh..wh..opq``, anywhere in its layer: removes everything below ``directory``, from lower layers only."""

    directory: bytes


@frozen(kw_only=False)
class Ignored:
    """Internal files of aufs (``.wh..wh.plnk/…``, ``.wh..wh.aufs``): neither a file nor a removal."""


Whiteout = Removes | Empties | Ignored


def whiteout(path: bytes) -> Whiteout | None:
    """What the clean ``path`` of a layer's entry means as a whiteout; None for an ordinary file.

    Raises Invalid for the removal of ``.`` or ``..`` and for files below a reserved name. The caller may skip the call
    if ``.wh.`` is not in the path.
    """
    directory, _, base = path.rpartition(b"/")
    for part in directory.split(b"/"):
        if part.startswith(_AUFS):
            return Ignored()
        if part.startswith(PREFIX):
            raise Invalid(f"whiteout {quoted_name(path)}: nothing may be below the reserved name {quoted_name(part)}")
    if not base.startswith(PREFIX):
        return None
    if base == OPAQUE:
        return Empties(directory)
    if base.startswith(_AUFS):
        return Ignored()
    removed = base[len(PREFIX) :]
    if removed in {b"", b".", b".."}:
        raise Invalid(f"whiteout {quoted_name(path)} does not say what it removes")
    return Removes(directory + b"/" + removed if directory else removed)


def is_whiteout(path: bytes, removed: Callable[[bytes], object], emptied: Callable[[bytes], object]) -> bool:
    """Whether ``path`` is no file; passes on the path that it removes, or the directory that it empties."""
    mark = whiteout(path)
    if isinstance(mark, Removes):
        removed(mark.path)
    elif isinstance(mark, Empties):
        emptied(mark.directory)
    return mark is not None
