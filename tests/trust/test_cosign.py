"""cosign's classic signatures: the bytes first, then the claim, then the name."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from converter.errors import ConverterError, Invalid, Untrusted
from converter.trust import cosign, signature as kinds
from converter.trust.identity import ANY, ATOMIC, COSIGN, Claim, IdentityRule
from converter.trust.keys import Roots
from converter.trust.makers import CosignKey
from converter.trust.signature import Signature
from tests.trust.making import NOW, Chain, claim, ecdsa, ed25519_key, pem, rsa_key, subject, trusted


def signature(
    key: CosignKey | None = None, what: Claim | None = None, more: Mapping[str, str] | None = None
) -> Signature:
    made = (key or ecdsa()).sign(what or claim(), 1)
    return Signature(
        kind=kinds.COSIGN,
        location="tag",
        covers=str(claim().digest),
        data=made.data,
        annotations={**made.annotations, **(more or {})},
    )


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ecdsa(), id="ECDSA"),
        pytest.param(rsa_key(), id="RSA"),
        pytest.param(ed25519_key(), id="Ed25519"),
    ],
)
def test_a_good_signature(key: CosignKey) -> None:
    verdict = cosign.verify(signature(key), subject(), trusted(ecdsa(1), key))
    assert (verdict.ok, verdict.key, verdict.identity) == (True, "--key 1", claim().identity)
    assert verdict.signer == key.public.fingerprint


def test_a_name_without_a_tag_leaves_the_tag_open() -> None:
    verdict = cosign.verify(signature(what=claim(name="registry.example/app")), subject(), trusted(ecdsa()))
    assert verdict.reason == "the name without a tag is signed"


def test_any_name_will_do_where_the_caller_says_so() -> None:
    one = signature(what=claim(name="other.example/x:9"))
    assert cosign.verify(one, subject(), trusted(ecdsa(), rule=IdentityRule(kind=ANY))).identity == "other.example/x:9"


BROKEN = base64.b64encode(b"broken").decode()
WRONG_TYPE = claim().render(ATOMIC, "x", 1)


@pytest.mark.parametrize(
    "one, reason",
    [
        pytest.param(signature(ecdsa(1)), "signature was not made by", id="another key"),
        pytest.param(signature(more={cosign.SIGNATURE: BROKEN}), "signature was not made by", id="a broken signature"),
        pytest.param(signature(more={cosign.SIGNATURE: "?"}), "base64", id="no base64"),
        pytest.param(signature(more={cosign.SIGNATURE: ""}), "the annotation .* is missing", id="no signature"),
        pytest.param(
            replace(signature(), data=claim(name="other.example/x:1").render(COSIGN, "x", 1)),
            "signature was not made by",
            id="another payload",
        ),
        pytest.param(signature(what=claim(b"{}")), "another manifest: expected sha256", id="of another image"),
        pytest.param(signature(what=claim(name="registry.example/other:1")), "for the name", id="renamed"),
        pytest.param(signature(what=claim(name="registry.example/app:2")), "for the name", id="another tag"),
        pytest.param(
            replace(
                signature(),
                data=WRONG_TYPE,
                annotations={cosign.SIGNATURE: base64.b64encode(ecdsa().sign_bytes(WRONG_TYPE)).decode()},
            ),
            "type",
            id="a claim of another kind",
        ),
    ],
)
def test_a_bad_signature_and_why(one: Signature, reason: str) -> None:
    with pytest.raises((Untrusted, Invalid), match=reason):
        cosign.verify(one, subject(), trusted(ecdsa()))


def test_an_image_without_a_name_wants_one() -> None:
    with pytest.raises(Untrusted, match="--identity"):
        cosign.verify(signature(), subject(name=None), trusted(ecdsa()))


def certified(chain: Chain, **annotations: str) -> Signature:
    more = {cosign.CERTIFICATE: pem(chain.leaf).decode(), cosign.CHAIN: pem(chain.middle, chain.root).decode()}
    return signature(chain.key, more={**more, **annotations})


def test_a_certificate_under_a_given_root() -> None:
    chain = Chain(email="me@example.org")
    verdict = cosign.verify(certified(chain), subject(), trusted(roots=[Roots.load(pem(chain.root), source="chain")]))
    assert (verdict.ok, verdict.signer, verdict.key) == (True, "me@example.org", "chain")


@pytest.mark.parametrize(
    "roots, reason",
    [
        pytest.param(None, "--certificate-chain", id="no root given"),
        pytest.param(Roots.load(pem(Chain(ecdsa(50)).leaf)), "not signed by a trusted root", id="another root"),
        pytest.param(Roots.load(pem(Chain().root), "you@example.org"), 'expected one of "you@', id="somebody else"),
    ],
)
def test_a_certificate_nobody_vouches_for(roots: Roots | None, reason: str) -> None:
    with pytest.raises(Untrusted, match=reason):
        cosign.verify(certified(Chain()), subject(), trusted(roots=[roots] if roots else []))


def test_a_certificate_of_another_key() -> None:
    chain, other = Chain(), Chain(ecdsa(60))
    one = certified(chain, **{cosign.CERTIFICATE: pem(other.leaf).decode()})
    with pytest.raises(Untrusted, match="was not made by"):
        cosign.verify(one, subject(), trusted(roots=[Roots.load(pem(chain.root))]))


def test_a_certificate_holds_at_its_time_alone() -> None:
    chain = Chain(days=2)
    roots = [Roots.load(pem(chain.root))]
    cosign.verify(certified(chain), subject(), trusted(roots=roots))
    with pytest.raises(Untrusted, match="valid from"):
        cosign.verify(certified(chain), subject(), trusted(roots=roots, at=NOW + timedelta(days=3)))


def test_a_certificate_that_is_none() -> None:
    chain = Chain()
    with pytest.raises(ConverterError, match="no valid certificate"):
        cosign.verify(certified(chain, **{cosign.CERTIFICATE: "no"}), subject(), trusted(roots=[]))


def test_two_certificates_of_one_signer() -> None:
    chain = Chain()
    two = pem(chain.leaf, chain.middle).decode()
    with pytest.raises(Invalid, match="2 certificates"):
        cosign.verify(certified(chain, **{cosign.CERTIFICATE: two}), subject(), trusted(roots=[]))


def test_a_signature_whose_line_has_an_end() -> None:
    """As ``openssl base64`` writes it, and cosign attaches it."""
    one = signature()
    lines = "\n".join(textwrap.wrap(one.annotations[cosign.SIGNATURE], 64)) + "\r\n"
    assert cosign.verify(replace(one, annotations={cosign.SIGNATURE: lines}), subject(), trusted(ecdsa())).ok
