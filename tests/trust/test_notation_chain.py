"""Chains are those of the specification: in order, up to a root, each certificate for one purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from converter.errors import Invalid
from converter.trust.makers import CosignKey
from converter.trust.notation import check_chain
from tests.trust.making import Chain, certificate, ecdsa, ed25519_key

Take = Callable[[Chain], list[Certificate]]


def test_a_chain_in_order() -> None:
    check_chain(Chain().sent, "ES256")


def test_a_signer_who_is_a_root() -> None:
    check_chain([certificate("Alone", ecdsa())], "ES256")


@pytest.mark.parametrize(
    "take, reason",
    [
        pytest.param(lambda chain: [chain.leaf, chain.root, chain.middle], "has not signed", id="out of order"),
        pytest.param(lambda chain: [chain.middle, chain.leaf, chain.root], "has not signed", id="upside down"),
        pytest.param(lambda chain: [chain.leaf, chain.root], "has not signed", id="one left out"),
        pytest.param(lambda chain: [chain.leaf, chain.leaf, chain.middle], "has not signed", id="one twice"),
        pytest.param(lambda chain: [chain.leaf, chain.middle], "is not a root", id="no root"),
        pytest.param(lambda chain: chain.sent[1:], "a CA", id="signed by a CA"),
    ],
)
def test_another_order(take: Take, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        check_chain(take(Chain()), "ES256")


@pytest.mark.parametrize(
    "leaf, reason",
    [
        pytest.param({"more_usage": True}, "more than sign", id="a key that encrypts, too"),
        pytest.param({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "for other purposes", id="for servers"),
        pytest.param({"usage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}, "for other purposes", id="for anything"),
    ],
)
def test_a_signer_for_more(leaf: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        check_chain(Chain(**leaf).sent, "ES256")


@pytest.mark.parametrize(
    "key, algorithm, good",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), "ES256", True, id="P-256"),
        pytest.param(ec.generate_private_key(ec.SECP256R1()), "PS256", False, id="P-256 as RSA"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), "ES384", True, id="P-384"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), "ES256", False, id="P-384 with a shorter hash"),
        pytest.param(rsa.generate_private_key(65537, 2048), "PS256", True, id="2048 bits"),
        pytest.param(rsa.generate_private_key(65537, 2048), "PS512", False, id="2048 bits with a longer hash"),
        pytest.param(rsa.generate_private_key(65537, 2048), "RS256", False, id="PKCS #1"),
        pytest.param(rsa.generate_private_key(65537, 3072), "PS384", True, id="3072 bits"),
        pytest.param(rsa.generate_private_key(65537, 2304), "PS256", False, id="a length that is not in the list"),
        pytest.param(ed25519_key().private, "EdDSA", False, id="Ed25519"),
    ],
)
def test_the_algorithm_goes_with_the_key(key: Any, algorithm: str, good: bool) -> None:
    chain = Chain(CosignKey(key)).sent
    if good:
        check_chain(chain, algorithm)
    else:
        with pytest.raises(Invalid, match="does not go with the signer's key"):
            check_chain(chain, algorithm)
