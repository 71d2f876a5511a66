"""How large an input may be before it is refused: sizes in bytes unless a name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on untrusted input; every error that one of them causes names the field."""

    document: int = 4 * MIB
    json_depth: int = 64
    index_depth: int = 8
    layers: int = 1024
    entries: int = 4_000_000
    path: int = 16 * KIB
    path_depth: int = 512
    pax_record: int = 1 * MIB
    xattr: int = 64 * KIB
    layer: int = 256 * GIB
    ratio: int = 1100
    window: int = 128 * MIB
    redirects: int = 10
    headers: int = 64 * KIB


DEFAULT = Limits()
