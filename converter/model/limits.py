"""How large input may be before it is refused; sizes are in bytes unless a field says otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import field, fields
from typing import Any

from converter.errors import LimitExceeded, Usage
from converter.model.frozen import frozen

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_SHOWN = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_VALUE = r"([0-9]{1,15})([KMG]?)(?:i?B)?"


def _bound(default: int, what: str) -> int:
    return field(default=default, metadata={"what": what})


def parse_size(text: str, what: str = "size") -> int:
    """Read a number with an optional suffix K, M or G (times 1024 each); raises Usage."""
    match = re.fullmatch(_VALUE, text)
    if match is None:
        raise Usage(f'invalid {what} "{text}": expected a number, with K, M or G behind it for larger ones')
    return int(match[1]) * _UNITS[match[2]]


def size(count: int) -> str:
    """A number of bytes for display: ``31.2 MiB``."""
    if count < 1024:
        return f"{count} byte" if count == 1 else f"{count} bytes"
    power = 1
    # 1023.96 KiB would be shown as 1024.0 KiB.
    while count / 1024**power >= 1023.95 and power < len(_SHOWN):
        power += 1
    return f"{count / 1024**power:.1f} {_SHOWN[power - 1]}"


@frozen
class Limits:
    """Bounds on untrusted input; an error caused by one names its field."""

    document: int = _bound(4 * MIB, "bytes of a JSON or YAML document")
    json_depth: int = _bound(64, "arrays and objects within each other, of JSON or YAML")
    json_values: int = _bound(200_000, "members and elements of a JSON document, or of the indexes within an index")
    yaml_values: int = _bound(100_000, "values of a YAML document")
    index_depth: int = _bound(8, "indexes within each other")
    images: int = _bound(2_000, "images and indexes read for one conversion")
    layers: int = _bound(1024, "layers of an image, or ACIs that one depends on")
    entries: int = _bound(
        500_000, "entries of a tar, or of all layers that become one tree, or are validated as one image"
    )
    names: int = _bound(48 * MIB, "bytes of the names and link targets in them")
    path: int = _bound(16 * KIB, "bytes of a name in a tar")
    path_depth: int = _bound(512, "parts of a name in a tar")
    pax_record: int = _bound(1 * MIB, "bytes of the PAX records, or of the sparse map, before an entry")
    pax_global: int = _bound(4 * KIB, "bytes of the global PAX records in force, which apply to every entry")
    xattr: int = _bound(64 * KIB, "bytes of an extended attribute")
    layer: int = _bound(256 * GIB, "bytes of an unpacked layer, or of a compressed archive")
    holes: int = _bound(4 * GIB, "bytes of holes in an image's sparse files where their content is compared")
    ratio: int = _bound(1100, "bytes unpacked from each packed byte, checked from 64 MiB on")
    window: int = _bound(66 * MIB, "bytes of the window or dictionary that unpacking a stream needs")
    signatures: int = _bound(1024, "signatures of an image, rows of a list of them, and subjects of a statement")
    signers: int = _bound(64, "signatures, keys or delegations in one manifest, envelope, message or file")
    certificates: int = _bound(10, "certificates in a chain")
    evidence: int = _bound(64 * MIB, "bytes of the signatures of an image, and of what is listed with them")
    profile: int = _bound(256 * MIB, "bytes of a statement about the content of an image")
    redirects: int = _bound(10, "redirects that a host may answer with in a row")
    headers: int = _bound(64 * KIB, "bytes of the headers of an HTTP answer")

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Limits:
        """Read ``NAME=VALUE`` texts, each value with an optional suffix K, M or G (times 1024 each). Raises Usage."""
        known = {one.name for one in fields(cls)}
        values: dict[str, int] = {}
        for text in texts:
            name, _, value = text.partition("=")
            name = name.replace("-", "_")
            if name not in known:
                raise Usage(f'unknown limit "{name}" (one of: {", ".join(sorted(known))})')
            values[name] = parse_size(value, f"limit {name}")
        return cls(**values)

    def require(self, name: str, count: int, noun: str) -> None:
        """Raise LimitExceeded if ``count`` exceeds the limit ``name``."""
        most = getattr(self, name)
        if count > most:
            raise LimitExceeded(f"{count} {noun}: at most {most} are allowed (limit: {name})")


DEFAULT = Limits()

_IN_FORCE: ContextVar[Limits] = ContextVar("limits", default=DEFAULT)


def current_limits() -> Limits:
    """The limits for input where no others are given."""
    return _IN_FORCE.get()


@contextmanager
def in_force(variable: ContextVar[Any], value: object) -> Iterator[None]:
    """Set a variable of this context, and of threads started within it for the same work, for a while."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def enforce_limits(limits: Limits) -> AbstractContextManager[None]:
    """Put limits in force, in this context and in threads started within it for the same work.

    Documents are read in many places that see only bytes; otherwise all of them would have to be passed the limits.
    """
    return in_force(_IN_FORCE, limits)
