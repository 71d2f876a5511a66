"""OpenPGP packets, as far as they must be examined before the library reads them (RFC 9580, sections 4 and 5).

A signed message may be compressed, and a few bytes may expand to gigabytes: it is decompressed here, within bounds.
"""

from __future__ import annotations

import base64
import bz2
import re
import zlib
from typing import Any

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import current_limits

_BEGIN = re.compile(rb"-----BEGIN PGP ([A-Z ]{1,40})-----[ \t]*+\r?\n")
_COMPRESSED, _SIGNATURE, _ONE_PASS, _LITERAL = 8, 2, 4, 11


def unwrapped_message(data: bytes) -> bytes:
    """A signed message without armour and compression, so that its packets can be read.

    Raises LimitExceeded if it is too large, Invalid if it is not a signed message: one that is only literal, encrypted,
    or compressed twice.
    """
    current_limits().require("document", len(data), "bytes of a signed message")
    blocks = decode_armour(data)
    if len(blocks) > 1:
        raise Invalid(f"{len(blocks)} armoured messages: expected one")
    plain = blocks[0] if blocks else data
    if _packet_type(plain) == _COMPRESSED:
        plain = _decompress(_split_packet(plain)[0])
    if _packet_type(plain) not in (_SIGNATURE, _ONE_PASS):
        raise Invalid("not a signed OpenPGP message")
    return plain


def decode_armour(data: bytes) -> list[bytes]:
    """The decoded content of each armoured block, up to the first without an end; empty if there is no armour.

    Raises Invalid for broken base64.
    """
    found, place = [], 0
    while begin := _BEGIN.search(data, place):
        mark = b"\n-----END PGP %b-----" % begin[1]
        end = data.find(mark, begin.end())
        if end < 0:
            break
        found.append(_without_armour(data[begin.end() : end]))
        place = end + len(mark)
    return found


def is_signed_message(data: bytes) -> bool:
    """Whether bytes look like a signed message: signatures and what they sign, which may come first or last.

    One that exceeds a limit does, and is refused by name when it is verified.
    """
    try:
        plain = unwrapped_message(data)
        return _packet_type(plain) == _ONE_PASS or _packet_type(_behind_signatures(plain)) != 0
    except LimitExceeded:
        return True
    except Invalid:
        return False


def is_detached(data: bytes) -> bool:
    """Whether bytes look like signatures alone."""
    try:
        blocks = decode_armour(data) or [data]
        return all(
            _packet_type(block) == _SIGNATURE and not _packet_type(_behind_signatures(block)) for block in blocks
        )
    except Invalid:
        return False


def content_after_signatures(plain: bytes) -> bytes | None:
    """The content of a message with its signatures in front, as PGP wrote it; None if one-pass packets announce them.

    Raises Invalid if anything but one literal packet follows the signatures (RFC 9580, section 10.3).
    """
    if _packet_type(plain) != _SIGNATURE:
        return None
    rest = _behind_signatures(plain)
    if _packet_type(rest) == _COMPRESSED:
        rest = _decompress(_split_packet(rest)[0])
    body, more = _split_packet(rest) if _packet_type(rest) == _LITERAL else (b"", b"more")
    name = body[1] if len(body) > 1 else 0
    if more or len(body) < 6 + name:
        raise Invalid("OpenPGP signatures without a message behind them")
    return body[6 + name :]


def signature_packets(plain: bytes) -> list[bytes]:
    """The signature packets of a message without armour and outer compression.

    Not left to the library, which decompresses nested packets without bounds and takes time quadratic in the number of
    packets. Raises Invalid, and LimitExceeded for more packets than signatures, a one-pass packet for each, and what
    they sign.
    """
    found, rest = [], plain
    most = current_limits().signers
    for _ in range(2 * most + 1):
        kind = _packet_type(rest)
        if kind == _COMPRESSED and _packet_type(plain) == _ONE_PASS:
            raise Invalid("OpenPGP message compressed within its signatures: expected compression of the whole")
        if kind:
            _, behind = _split_packet(rest)
            if kind == _SIGNATURE:
                found.append(rest[: len(rest) - len(behind)])
            rest = behind
    if _packet_type(rest):
        raise LimitExceeded(f"message of more than {2 * most + 1} packets (limit: signers)")
    return found


def _behind_signatures(data: bytes) -> bytes:
    """The data from the first packet that is not a signature."""
    most = current_limits().signers
    for _ in range(most + 1):
        if _packet_type(data) != _SIGNATURE:
            return data
        _, data = _split_packet(data)
    raise LimitExceeded(f"more than {most} signatures in a row (limit: signers)")


def hashed_subpackets(signature: bytes) -> dict[int, bytes]:
    """The hashed subpackets of a signature packet's body, version 4 or 6; none for an older one."""
    if len(signature) < 6 or signature[0] not in (4, 6):
        return {}
    start = 6 if signature[0] == 4 else 8
    area = signature[start : start + int.from_bytes(signature[4:start])]
    found, place = {}, 0
    while place < len(area):
        length, used = _packet_length(area[place : place + 5])
        kind, place = place + used, place + used + length
        found[area[kind] & 0x7F if length and kind < len(area) else 0] = area[kind + 1 : place]
    return found


def _without_armour(text: bytes) -> bytes:
    head, blank, rest = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    body = rest if blank and all(b": " in line for line in head.split(b"\n") if line.strip()) else text
    lines = [line.strip() for line in body.split(b"\n")]
    if lines and re.fullmatch(rb"=[A-Za-z0-9+/]{4}", lines[-1]):
        lines.pop()
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except ValueError:
        raise Invalid("invalid base64 in OpenPGP armour") from None


def _packet_type(data: bytes) -> int:
    """The type of the first packet; 0 if there is no packet."""
    if not data or not data[0] & 0x80:
        return 0
    return data[0] & 0x3F if data[0] & 0x40 else (data[0] >> 2) & 0x0F


def _split_packet(data: bytes) -> tuple[bytes, bytes]:
    """The body of the first packet, joined from its parts, and the data after it."""
    if not data[0] & 0x40:
        kind = data[0] & 3
        if kind == 3:
            return data[1:], b""
        size = 1 << kind
        length = int.from_bytes(data[1 : 1 + size])
        return _take(data, 1 + size, length), data[1 + size + length :]
    parts: list[bytes] = []
    place = 1
    # The first part has at least 512 bytes (RFC 9580, section 4.2.1.4), and in practice all do.
    most = current_limits().document // 512
    while len(parts) <= most:
        first = data[place] if place < len(data) else 0
        partial = 224 <= first < 255
        length, used = 1 << (first & 0x1F), 1
        if not partial:
            length, used = _packet_length(data[place : place + 5])
        parts.append(_take(data, place + used, length))
        place += used + length
        if not partial:
            return b"".join(parts), data[place:]
    raise LimitExceeded(f"packet in more than {most} parts (limit: document)")


def _take(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise Invalid("unexpected end of an OpenPGP packet")
    return data[start : start + length]


def _packet_length(data: bytes) -> tuple[int, int]:
    """A decoded length, and the number of bytes that encode it; what is missing at the end counts as 0."""
    first = int.from_bytes(data[:1])
    if first < 192:
        return first, 1
    if first < 255:
        return ((first - 192) << 8) + int.from_bytes(data[1:2]) + 192, 2
    return int.from_bytes(data[1:5]), 5


def _decompress(body: bytes) -> bytes:
    kind, packed = body[:1], body[1:]
    if kind == b"\x00":
        return packed
    most = current_limits().document
    unpackers: dict[bytes, Any] = {
        b"\x01": zlib.decompressobj(-zlib.MAX_WBITS),
        b"\x02": zlib.decompressobj(),
        b"\x03": bz2.BZ2Decompressor(),
    }
    if kind not in unpackers:
        raise Invalid(f"unsupported OpenPGP compression {kind.hex()}: expected 0 to 3")
    try:
        plain: bytes = unpackers[kind].decompress(packed, most + 1)
    except (zlib.error, OSError):
        raise Invalid("the OpenPGP message cannot be decompressed") from None
    if len(plain) > most:
        raise LimitExceeded(f"signed message decompresses to more than {most} bytes (limit: document)")
    return plain
