"""Private keys for signing: ordinary PEM, and password-protected ones from ``cosign generate-key-pair``."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, Untrusted
from converter.model.document import decode_base64, load_object, required_member
from converter.model.frozen import frozen
from converter.model.limits import MIB
from converter.trust.keys import Key, require_strong
from converter.trust.libraries import ec, ed25519, exceptions, hashes, padding, rsa, serialization

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([^-]+)-----END ")
_MEMORY = 256 * MIB


@frozen(kw_only=False)
class PrivateKey:
    """A key that can sign."""

    private: PrivateKeyTypes

    @classmethod
    def load(cls, data: bytes, password: bytes = b"", source: str = "") -> PrivateKey:
        """Read a key; raises Invalid if it is not one, Untrusted for a wrong password."""
        box = _COSIGN.search(data)
        try:
            if box is not None:
                found = serialization.load_der_private_key(_unlocked(_base64(box[1]), password), None)
            else:
                locked = b"ENCRYPTED" in data
                found = serialization.load_pem_private_key(data, password if locked else None)
        except (ValueError, TypeError, exceptions.UnsupportedAlgorithm, Untrusted):
            if b"ENCRYPTED" in data:
                fact = "wrong password for" if password else "a password is needed for"
                raise Untrusted(f"{fact} {source or 'the key'} (COSIGN_PASSWORD)") from None
            where = f" in {source}" if source else ""
            if b"PUBLIC KEY-----" in data:
                raise Invalid(f"a public key{where}: expected the private one that belongs to it") from None
            raise Invalid(f"no private key{where}: expected PEM") from None
        require_strong(found.public_key())
        return cls(found)

    @property
    def public(self) -> Key:
        """The public key."""
        return Key(self.private.public_key())

    def sign(self, data: bytes) -> bytes:
        """Sign as cosign does: ECDSA in DER or RSA PKCS #1 v1.5, with SHA-256, or Ed25519."""
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        assert isinstance(self.private, ed25519.Ed25519PrivateKey), "load() takes no other"
        return self.private.sign(data)


def _unlocked(data: bytes, password: bytes) -> bytes:
    """The PKCS #8 key in cosign's box, a JSON document with the key derivation's parameters and the ciphertext."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    box = load_object(data)
    stretch, lock = required_member(box, "kdf", dict), required_member(box, "cipher", dict)
    if (stretch.get("name"), lock.get("name")) != ("scrypt", "nacl/secretbox"):
        raise Invalid("unsupported encryption of the key: expected scrypt and nacl/secretbox")
    numbers: dict[str, Any] = required_member(stretch, "params", dict)
    n, r, p = (required_member(numbers, name, int) for name in ("N", "r", "p"))
    if not (1 < n <= 1 << 20 and 0 < r <= 64 and 0 < p <= 16 and 128 * n * r <= _MEMORY):
        raise Invalid("unsupported parameters of scrypt: at most 256 MiB are allowed")
    key = Scrypt(decode_base64(required_member(stretch, "salt", str), "the salt"), 32, n, r, p).derive(password)
    nonce = decode_base64(required_member(lock, "nonce", str), "the nonce")
    return open_box(decode_base64(required_member(box, "ciphertext", str), "the ciphertext"), nonce, key)


def _base64(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()))


_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_ROUNDS = (
    ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)
_MASK = 0xFFFFFFFF


def open_box(box: bytes, nonce: bytes, key: bytes) -> bytes:
    """Decrypt NaCl's secretbox (XSalsa20 and Poly1305); ``nonce`` has 24 bytes, ``key`` 32.

    No dependency provides it. It is meant for a few hundred bytes; for anything else it is too slow. Raises Untrusted
    if the key does not fit.
    """
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
