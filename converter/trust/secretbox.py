"""Decrypts NaCl's secretbox (XSalsa20 and Poly1305), with which cosign encrypts private keys.

No dependency provides it. It is meant for a few hundred bytes; for anything else it is too slow.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from converter.errors import Untrusted
from converter.trust.libraries import exceptions

_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_ROUNDS = (
    ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)
_MASK = 0xFFFFFFFF


def open_box(box: bytes, nonce: bytes, key: bytes) -> bytes:
    """Decrypt a box; ``nonce`` has 24 bytes, ``key`` 32. Raises Untrusted if the key does not fit."""
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    tag, ciphertext = box[:16], box[16:]
    inner = _hsalsa20(key, nonce[:16])
    stream = _stream(inner, nonce[16:24], 32 + len(ciphertext))
    try:
        Poly1305.verify_tag(stream[:32], ciphertext, tag)
    except (exceptions.InvalidSignature, ValueError):
        raise Untrusted("wrong password for the key") from None
    return bytes(left ^ right for left, right in zip(ciphertext, stream[32:], strict=True))


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    words = struct.unpack("<8I", key)
    noncewords = struct.unpack("<2I", nonce)
    blocks = []
    for counter in range(-(-length // 64)):
        state = _state(words, (*noncewords, counter & _MASK, counter >> 32))
        mixed = _mixed(state)
        blocks.append(struct.pack("<16I", *((left + right) & _MASK for left, right in zip(mixed, state))))
    return b"".join(blocks)[:length]


def _hsalsa20(key: bytes, nonce: bytes) -> bytes:
    mixed = _mixed(_state(struct.unpack("<8I", key), struct.unpack("<4I", nonce)))
    return struct.pack("<8I", *(mixed[place] for place in (0, 5, 10, 15, 6, 7, 8, 9)))


def _state(key: Sequence[int], middle: Sequence[int]) -> list[int]:
    return [_SIGMA[0], *key[:4], _SIGMA[1], *middle, _SIGMA[2], *key[4:], _SIGMA[3]]


def _mixed(state: Sequence[int]) -> list[int]:
    x = list(state)
    for _ in range(10):
        for quarters in _ROUNDS:
            for a, b, c, d in quarters:
                x[b] ^= _turned(x[a] + x[d], 7)
                x[c] ^= _turned(x[b] + x[a], 9)
                x[d] ^= _turned(x[c] + x[b], 13)
                x[a] ^= _turned(x[d] + x[c], 18)
    return x


def _turned(value: int, by: int) -> int:
    value &= _MASK
    return ((value << by) | (value >> (32 - by))) & _MASK
