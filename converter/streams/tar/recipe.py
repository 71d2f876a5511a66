"""What is needed besides a layer and a manifest to recreate an ACI's tar: a short text, checked when read."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from converter.errors import Invalid, LimitExceeded
from converter.model.frozen import frozen
from converter.model.limits import GIB, KIB, current_limits
from converter.streams.blocks import Block, Blocks, zeros

LONGEST = 512 * KIB
"""Characters of a recipe, at most. An ACI that would need more cannot be recreated bit for bit."""

MOST_HEADERS = 32 * LONGEST
"""Bytes of a recipe's headers, at most; in the text their trailing NULs are only counted."""

MOST_ZEROS = 1 * GIB
"""NULs after the last entry of an ACI that can be recreated; more are taken for an attack."""

VERSION = 1


@frozen
class Ending:
    """What follows the last entry: ``zeros`` NULs, then ``tail``; or ``missing`` bytes of its padding are absent."""

    missing: int = 0
    zeros: int = 0
    tail: bytes = b""

    @classmethod
    def measured(cls, missing: int, blocks: Blocks) -> Ending:
        """Read the end of an archive; of garbage, at most ``LONGEST`` bytes are kept, more than a recipe can hold."""
        count, tail = 0, b""
        for block in blocks:
            if tail:
                tail += bytes(block[: LONGEST - len(tail)])
                continue
            data = bytes(block)
            rest = data.lstrip(b"\0")
            count += len(data) - len(rest)
            tail = rest[:LONGEST]
        return cls(missing=missing, zeros=count, tail=tail)

    def blocks(self) -> Iterator[Block]:
        """What follows the last entry."""
        yield from zeros(self.zeros)
        if self.tail:
            yield self.tail

    def trimmed(self, blocks: Blocks) -> Iterator[Block]:
        """``blocks`` without the missing bytes at their end."""
        rest = b""
        for block in blocks:
            if not self.missing:
                yield block
                continue
            both = rest + bytes(block)
            if len(both) > self.missing:
                yield both[: -self.missing]
            rest = both[-self.missing :]


@dataclass(slots=True, kw_only=True)
class Recipe:
    """The parts of a recipe; ordinals count the entries of the layer."""

    place: int = 0
    """How many entries of the layer precede the manifest."""
    manifest: bytes = b""
    """The header blocks of the manifest."""
    fill: bytes = b""
    """The padding after its content."""
    headers: dict[int, bytes] = field(default_factory=dict)
    """Header blocks, by ordinal, that prefixing the layer's does not restore."""
    ending: Ending = field(default_factory=Ending)
    _size: int = 0

    def add_header(self, ordinal: int, raw: bytes) -> None:
        """Add ``raw``, unless the recipe is already too large to write."""
        if self._size < LONGEST:
            self.headers[ordinal] = raw
            self._size += len(raw.rstrip(b"\0"))

    def text(self) -> str | None:
        """The recipe as JSON; None if it would exceed ``LONGEST`` characters."""
        if self._size >= LONGEST or self.ending.zeros > MOST_ZEROS:
            return None
        document = {
            "version": VERSION,
            "place": self.place,
            "manifest": _encode_headers(self.manifest),
            "fill": _encode_headers(self.fill),
            "headers": {str(ordinal): _encode_headers(raw) for ordinal, raw in self.headers.items()},
            "missing": self.ending.missing,
            "zeros": self.ending.zeros,
            "tail": _encode_headers(self.ending.tail),
        }
        text = json.dumps(document, separators=(",", ":"))
        return text if len(text) <= LONGEST else None

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read a recipe; raises Invalid or LimitExceeded if it is malformed."""
        if len(text) > LONGEST:
            raise LimitExceeded(f"recipe has {len(text)} characters: at most {LONGEST} are allowed")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise Invalid("recipe is not JSON") from None
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise Invalid(f"recipe: unsupported version: expected {VERSION}")
        headers = document.get("headers")
        if not isinstance(headers, dict):
            raise Invalid('recipe: "headers" is not an object')
        ending = Ending(
            missing=_count(document, "missing", 511),
            zeros=_count(document, "zeros", MOST_ZEROS),
            tail=_decode_headers(document.get("tail")),
        )
        if ending.missing and (ending.zeros or ending.tail):
            raise Invalid('recipe: "missing" contradicts "zeros" and "tail"')
        return cls(
            place=_count(document, "place", current_limits().entries),
            manifest=_decode_headers(document.get("manifest")),
            fill=_decode_headers(document.get("fill")),
            headers=_read_headers(headers),
            ending=ending,
        )


def _encode_headers(data: bytes) -> str:
    """Base64 plus the number of NULs that follow, since most of a header is NULs."""
    short = data.rstrip(b"\0")
    return f"{base64.b64encode(short).decode('ascii')}+{len(data) - len(short)}"


def _decode_headers(text: Any) -> bytes:
    try:
        encoded, _, zeros = text.rpartition("+")
        data = base64.b64decode(encoded, validate=True)
        if zeros.isascii() and zeros.isdigit() and int(zeros) <= LONGEST:
            return data + bytes(int(zeros))
    except (AttributeError, ValueError, binascii.Error):
        pass
    raise Invalid("recipe: invalid bytes: expected base64, a plus sign, and a number of zeros")


def _read_headers(headers: dict[str, Any]) -> dict[int, bytes]:
    found = {}
    size = 0
    for key, value in headers.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise Invalid(f'recipe: invalid header number "{key:.40}"')
        found[int(key)] = data = _decode_headers(value)
        size += len(data)
        if size > MOST_HEADERS:
            raise LimitExceeded(f"recipe: more than {MOST_HEADERS} bytes of headers")
    return found


def _count(document: dict[str, Any], key: str, most: int) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Invalid(f'recipe: "{key}" is out of range: expected 0 to {most}')
    return value
