"""The format of a stream of bytes, from its first bytes, never from a name or a media type."""

from __future__ import annotations

import zlib

from converter.errors import Invalid
from converter.model.media_types import CODECS

HEAD = 512
"""How many bytes ``detect_codec`` needs: the length of a tar header."""

BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
ARMOUR = b"-----BEGIN PGP MESSAGE-----"


def detect_codec(head: bytes) -> str | None:
    """The codec of a stream that starts with ``head`` (HEAD bytes, or all there are); None if unknown.

    ``none`` is an uncompressed tar. ``openpgp`` is an encrypted image, which nothing here can read.
    """
    found = next((name for name, codec in CODECS.items() if head.startswith(codec.magics)), None)
    # The name of a tar's first file may start as bzip2 does.
    if found is not None and (found != "bzip2" or head[4:10] in BZIP2_BLOCKS or not is_tar(head)):
        return found
    if is_tar(head):
        return "none"
    if is_openpgp(head):
        return "openpgp"
    return None


def start_of(head: bytes) -> str:
    """How an unknown stream starts, for an error message: a zip shows its PK, a web page its text."""
    return f'"{repr(head[:8])[2:-1]}"' if head else "nothing"


def is_tar(head: bytes) -> bool:
    """Whether a tar starts here: a header that says so or has the right checksum (v7), or the end of an archive."""
    if len(head) < HEAD:
        return False
    block = head[:HEAD]
    if not block.strip(b"\0"):
        return True
    if block[257:262] == b"ustar":
        return True
    digits = block[148:156].strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return False
    blank = block[:148] + b" " * 8 + block[156:]
    # The low half of an Adler-32 is one more than the sum of the bytes, modulo a prime that a header's sum can exceed.
    return (int(digits, 8) + 1) % 65521 == zlib.adler32(blank) & 0xFFFF


def is_openpgp(head: bytes) -> bool:
    """Whether an OpenPGP message with encrypted data starts here (RFC 9580, 4.2 and 5): armoured, or as packets."""
    if head.startswith(ARMOUR):
        return True
    if len(head) < 3 or not head[0] & 0x80:
        return False
    if head[0] & 0x40:
        tag, length = head[0] & 0x3F, 1 if head[1] < 192 else 2
    else:
        tag, length = head[0] >> 2 & 0x0F, (1, 2, 4, 0)[head[0] & 3]
    version = head[1 + length : 2 + length]
    # Session keys (public-key: tag 1, symmetric: 3) and protected data (18) start with a version.
    versions = {1: b"\x03\x06", 3: b"\x04\x05\x06", 18: b"\x01\x02"}
    return bool(version) and version in versions.get(tag, b"")


def require_tar(head: bytes, codec: str) -> None:
    """Raise Invalid if what was unpacked with ``codec``, and starts with ``head``, is no tar."""
    inner = detect_codec(head) if any(head) else "none"
    if "none" in (codec, inner):
        return
    if inner is None:
        raise Invalid(f"data that starts with {start_of(head)} is not a tar, below its compression ({codec})")
    raise Invalid(f"compressed twice ({inner} in {codec}): decompress it once")
