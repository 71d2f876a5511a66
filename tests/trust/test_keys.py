"""Keys of every kind and encoding, and those that are refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from converter.errors import Invalid
from converter.trust.keys import Key, jws_matches, load_key, signature_matches
from converter.trust.makers import CosignKey
from tests.trust.making import certificate, ecdsa, ed25519_key, pem, public_pem, rsa_key

SPKI = PublicFormat.SubjectPublicKeyInfo
KINDS = [
    pytest.param(ecdsa(), id="ECDSA"),
    pytest.param(CosignKey(ec.generate_private_key(ec.SECP384R1())), id="ECDSA on the larger curve"),
    pytest.param(rsa_key(), id="RSA"),
    pytest.param(ed25519_key(), id="Ed25519"),
]


@pytest.mark.parametrize("key", KINDS)
def test_what_a_key_signs_it_has_signed(key: CosignKey) -> None:
    signature = key.sign_bytes(b"data")
    assert signature_matches(key.public, signature, b"data")
    assert not signature_matches(key.public, signature, b"other")
    assert not signature_matches(key.public, signature[:-1] + bytes([signature[-1] ^ 1]), b"data")
    assert not signature_matches(key.public, b"", b"data")
    assert not signature_matches(ecdsa(7).public, signature, b"data")


@pytest.mark.parametrize("key", KINDS)
def test_a_key_is_the_same_in_every_file(key: CosignKey) -> None:
    files = (public_pem(key), key.public.der, pem(certificate("me", key)))
    assert {load_key(data).fingerprint for data in files} == {key.public.fingerprint}


def small(bits: int) -> bytes:
    return rsa.generate_private_key(65537, bits).public_key().public_bytes(Encoding.PEM, SPKI)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", id="no key in PEM"),
        pytest.param(small(1024), id="a short RSA key"),
        pytest.param(dsa.generate_private_key(2048).public_key().public_bytes(Encoding.PEM, SPKI), id="a DSA key"),
        pytest.param(
            ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(Encoding.PEM, SPKI), id="another curve"
        ),
    ],
)
def test_no_key_to_trust(data: bytes) -> None:
    with pytest.raises(Invalid):
        load_key(data, "--key file")


@pytest.mark.parametrize(
    "key, algorithm",
    [
        pytest.param(rsa_key(), "HS256", id="a symmetric algorithm"),
        pytest.param(rsa_key(), "none", id="none"),
        pytest.param(rsa_key(), "ES256", id="another family"),
        pytest.param(ecdsa(), "ES384", id="the hash of another curve"),
        pytest.param(ed25519_key(), "EdDSA", id="one that these formats do not have"),
    ],
)
def test_an_algorithm_has_to_go_with_its_key(key: CosignKey, algorithm: str) -> None:
    with pytest.raises(Invalid, match="algorithm"):
        jws_matches(key.public, algorithm, b"", b"data")


def test_libtrust_names_keys_in_groups_of_four() -> None:
    name = ecdsa().public.libtrust_id
    assert [len(part) for part in name.split(":")] == [4] * 12


def test_a_key_is_called_by_its_hash() -> None:
    assert Key(ecdsa().public.public).fingerprint.startswith("SHA256:")
