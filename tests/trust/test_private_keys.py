"""Private keys as users have them, and cosign's encrypted ones."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from nacl.secret import SecretBox

from converter.errors import Invalid, LimitExceeded, Untrusted
from converter.trust.makers import CosignKey
from tests.trust.making import ecdsa, ed25519_key, rsa_key

SALT, NONCE = bytes(32), bytes(24)


@pytest.mark.parametrize("key", [ecdsa(), rsa_key(), ed25519_key()], ids=["ECDSA", "RSA", "Ed25519"])
def test_a_key_in_pem(key: CosignKey) -> None:
    plain = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert CosignKey.load(plain).public.der == key.public.der
    locked = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    assert CosignKey.load(locked, b"pw").public.der == key.public.der
    with pytest.raises(Untrusted, match=r"wrong password for my\.key"):
        CosignKey.load(locked, b"other", "my.key")
    with pytest.raises(Untrusted, match=r"a password is needed for my\.key \(COSIGN_PASSWORD\)"):
        CosignKey.load(locked, source="my.key")


def boxed(key: bytes = b"", password: bytes = b"pw", damaged: int | None = None, **params: int) -> bytes:
    """A private key as ``cosign generate-key-pair`` stores it, but for cheaper parameters."""
    stretched = {"N": 2, "r": 1, "p": 1, **params}
    box = bytearray(SecretBox(Scrypt(SALT, 32, 2, 1, 1).derive(password)).encrypt(key, NONCE).ciphertext)
    if damaged is not None:
        box[damaged] ^= 1
    document = {
        "kdf": {"name": "scrypt", "params": stretched, "salt": base64.b64encode(SALT).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(NONCE).decode()},
        "ciphertext": base64.b64encode(box).decode(),
    }
    text = base64.b64encode(json.dumps(document).encode()).decode()
    return (
        f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{text}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----".encode()
    )


def test_a_key_in_the_box_of_cosign() -> None:
    key = ecdsa()
    plain = key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert CosignKey.load(boxed(plain), b"pw").public.der == key.public.der
    with pytest.raises(Untrusted, match=r"wrong password for my\.key \(COSIGN_PASSWORD\)"):
        CosignKey.load(boxed(plain), b"other", "my.key")


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_box_that_was_touched(place: int) -> None:
    plain = ecdsa().private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Untrusted):
        CosignKey.load(boxed(plain, damaged=place), b"pw")


@pytest.mark.parametrize(
    "data, error",
    [
        pytest.param(b"", Invalid, id="nothing"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", Invalid, id="no key"),
        pytest.param(boxed(password=b"other"), Untrusted, id="another password"),
        pytest.param(boxed(N=1 << 30), Invalid, id="a stretching that takes all memory"),
        pytest.param(boxed(r=1 << 20), Invalid, id="likewise"),
    ],
)
def test_no_key_to_sign_with(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        CosignKey.load(data, b"pw")


def test_errors_are_told_apart() -> None:
    assert not issubclass(Untrusted, Invalid)
    assert issubclass(LimitExceeded, Invalid)
