"""Private keys as users have them, and cosign's encrypted ones."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from converter.errors import Invalid, LimitExceeded, Untrusted
from converter.trust.makers import PrivateKey, open_box
from tests.trust.making import ecdsa, ed25519_key, rsa_key

# What NaCl's own tests use (tests/secretbox.c): the first key, nonce and message of "Cryptography in NaCl".
KEY = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4"
    "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52"
    "f0a089bc76897040e082f937763848645e0705"
)
BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
    "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
    "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
)


def test_the_box_of_nacl() -> None:
    assert open_box(BOX, NONCE, KEY) == MESSAGE


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_box_that_was_touched(place: int) -> None:
    box = bytearray(BOX)
    box[place] ^= 1
    with pytest.raises(Untrusted):
        open_box(bytes(box), NONCE, KEY)


@pytest.mark.parametrize("key", [ecdsa(), rsa_key(), ed25519_key()], ids=["ECDSA", "RSA", "Ed25519"])
def test_a_key_in_pem(key: PrivateKey) -> None:
    plain = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert PrivateKey.load(plain).public.der == key.public.der
    locked = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    assert PrivateKey.load(locked, b"pw").public.der == key.public.der
    with pytest.raises(Untrusted, match=r"wrong password for my\.key"):
        PrivateKey.load(locked, b"other", "my.key")
    with pytest.raises(Untrusted, match=r"a password is needed for my\.key \(COSIGN_PASSWORD\)"):
        PrivateKey.load(locked, source="my.key")


def boxed(**params: int) -> bytes:
    document = {
        "kdf": {"name": "scrypt", "params": {"N": 2, "r": 1, "p": 1, **params}, "salt": "AAAA"},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(NONCE).decode()},
        "ciphertext": base64.b64encode(BOX).decode(),
    }
    text = base64.b64encode(json.dumps(document).encode()).decode()
    return (
        f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{text}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----".encode()
    )


@pytest.mark.parametrize(
    "data, error",
    [
        pytest.param(b"", Invalid, id="nothing"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", Invalid, id="no key"),
        pytest.param(boxed(), Untrusted, id="another password"),
        pytest.param(boxed(N=1 << 30), Invalid, id="a stretching that takes all memory"),
        pytest.param(boxed(r=1 << 20), Invalid, id="likewise"),
    ],
)
def test_no_key_to_sign_with(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        PrivateKey.load(data, b"pw")


def test_errors_are_told_apart() -> None:
    assert not issubclass(Untrusted, Invalid)
    assert issubclass(LimitExceeded, Invalid)
