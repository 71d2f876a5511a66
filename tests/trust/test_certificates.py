"""Paths to a root: what each certificate on them may do, and when (RFC 5280, section 6)."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from converter.errors import Invalid, Untrusted
from converter.model.limits import Limits, enforce_limits
from converter.trust.keys import Roots, load_der, load_pem, public_key, subject_name
from tests.trust.making import NOW, Chain, certificate, der, ecdsa, pem

FULCIO, FULCIO_V2 = "1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.8"
ISSUER = "https://issuer.example"
OLDER, NEWER = {FULCIO: ISSUER.encode()}, {FULCIO_V2: b"\x0c\x16" + ISSUER.encode()}
ME = "me@example.org"


def test_a_path_may_use_what_came_along() -> None:
    chain = Chain()
    Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW)
    Roots.load(pem(chain.middle, chain.root)).check(chain.leaf, [], NOW)


def test_a_certificate_that_is_itself_trusted() -> None:
    chain = Chain()
    Roots.load(pem(chain.leaf)).check(chain.leaf, [], NOW)


def test_without_what_lies_between_there_is_no_path() -> None:
    chain = Chain()
    with pytest.raises(Untrusted, match="not signed by a trusted root"):
        Roots.load(pem(chain.root)).check(chain.leaf, [], NOW)


@pytest.mark.parametrize(
    "most, fits",
    [
        pytest.param(3, True, id="as long as the limit, root and signer counted"),
        pytest.param(2, False, id="longer than the limit"),
    ],
)
def test_how_long_a_path_may_be(most: int, fits: bool) -> None:
    chain = Chain()
    with enforce_limits(Limits(certificates=most)):
        if fits:
            Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW)
        else:
            with pytest.raises(Untrusted, match="not signed by a trusted root"):
                Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW)


def test_those_who_vouch_for_each_other_lead_nowhere() -> None:
    one, other = certificate("One", ecdsa(71), ca=True), certificate("Other", ecdsa(72), ca=True)
    circle = [
        certificate("One", ecdsa(71), (other, ecdsa(72)), ca=True),
        certificate("Other", ecdsa(72), (one, ecdsa(71)), ca=True),
    ]
    leaf = certificate("Signer", ecdsa(73), (one, ecdsa(71)))
    with pytest.raises(Untrusted, match="not signed by a trusted root"):
        Roots.load(pem(Chain().root)).check(leaf, [leaf, *circle, *circle], NOW)


def test_a_signer_may_not_certify_others() -> None:
    chain = Chain()
    evil = certificate("Evil", ecdsa(70), (chain.leaf, chain.key))
    with pytest.raises(Untrusted, match="not a CA that may"):
        Roots.load(pem(chain.root)).check(evil, [chain.leaf, chain.middle], NOW)


@pytest.mark.parametrize(
    "leaf, reason",
    [
        pytest.param({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "another purpose", id="for servers"),
        pytest.param({"ca": True}, "must not be used for signatures", id="a CA's own"),
        pytest.param({"start": NOW + timedelta(days=1)}, "valid from", id="not yet"),
        pytest.param({"start": NOW - timedelta(days=60)}, "valid from", id="no longer"),
        pytest.param({"extra": {"1.2.3.4": True}}, "critical extension", id="a critical extension"),
        pytest.param({"extra": {FULCIO: False}}, "--certificate-identity", id="Fulcio's, for whom it may concern"),
    ],
)
def test_a_signer_who_may_not_sign(leaf: dict[str, Any], reason: str) -> None:
    chain = Chain(**leaf)
    with pytest.raises(Untrusted, match=reason):
        Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW)


def test_an_extension_that_is_not_critical_may_be_unknown() -> None:
    chain = Chain(extra={"1.2.3.4": False})
    Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW)


def test_fulcio_with_the_person_named() -> None:
    chain = Chain(extra={FULCIO: False}, email="me@example.org")
    Roots.load(pem(chain.root), "me@example.org").check(chain.leaf, [chain.middle], NOW)


def test_a_root_that_has_expired() -> None:
    chain = Chain()
    with pytest.raises(Untrusted, match="valid from"):
        Roots.load(pem(chain.root)).check(chain.leaf, [chain.middle], NOW + timedelta(days=29, hours=1))


def test_a_name_is_not_a_signature() -> None:
    """A root of the same name as the trusted one, by another key."""
    real, fake = Chain(), Chain()
    fake.root = certificate("Root", ecdsa(80), ca=True)
    middle = certificate("Middle", ecdsa(81), (fake.root, ecdsa(80)), ca=True)
    leaf = certificate("Signer", ecdsa(82), (middle, ecdsa(81)))
    with pytest.raises(Untrusted, match="not signed by a trusted root"):
        Roots.load(pem(real.root)).check(leaf, [middle, fake.root], NOW)


def test_people_see_whose_it_is() -> None:
    assert subject_name(Chain().leaf) == "CN=Signer"
    assert subject_name(Chain(email="me@example.org").leaf) == "me@example.org"


def test_a_file_without_certificates() -> None:
    with pytest.raises(Invalid):
        load_pem(b"nothing")


GOOD = base64.b64decode(der(Chain(email=ME).leaf))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GOOD.replace(b"\x0c\x06Signer", b"\x0c\x06\xff\xffgner"), id="a name that is no text"),
        pytest.param(GOOD.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x63"), id="a version that there is not"),
        pytest.param(GOOD.replace(bytes((6, 3, 85, 29, 17)), bytes((6, 3, 85, 29, 15))), id="an extension twice"),
        pytest.param(GOOD.replace(b"me@", b"\xffe@"), id="an address that is none"),
    ],
)
def test_a_broken_certificate(data: bytes) -> None:
    assert data != GOOD
    with pytest.raises(Invalid):
        load_der(data)


def test_a_key_that_is_none() -> None:
    point = public_key(load_der(GOOD)).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)[-64:]
    with pytest.raises(Invalid, match="a key of an unknown kind"):
        public_key(load_der(GOOD.replace(point, bytes(64))))


def test_a_ca_for_another_purpose() -> None:
    chain = Chain()
    middle = certificate(
        "Middle", chain.middle_key, (chain.root, chain.root_key), ca=True, usage=ExtendedKeyUsageOID.SERVER_AUTH
    )
    with pytest.raises(Untrusted, match="a CA for another purpose"):
        Roots.load(pem(chain.root)).check(chain.leaf, [middle], NOW)


@pytest.mark.parametrize(
    "pattern, hostname, fits",
    [
        pytest.param("host.example", "host.example", True, id="the host"),
        pytest.param("Host.Example", "host.example", True, id="whatever its case"),
        pytest.param("*.example", "host.example", True, id="a star for a label"),
        pytest.param("*.example", "a.host.example", False, id="and not for two"),
        pytest.param("*.example", ".example", False, id="nor for none"),
        pytest.param("h*.example", "host.example", False, id="nor for a part of one"),
        pytest.param("other.example", "host.example", False, id="another host"),
        pytest.param("", "host.example", False, id="no host"),
    ],
)
def test_the_host_that_is_asked_for(pattern: str, hostname: str, fits: bool) -> None:
    chain = Chain(hostname=pattern)
    roots = Roots(roots=(chain.root,), hostname=hostname)
    if fits:
        roots.check(chain.leaf, [chain.middle], NOW)
    else:
        with pytest.raises(Untrusted, match="expected one of the host"):
            roots.check(chain.leaf, [chain.middle], NOW)


@pytest.mark.parametrize(
    "told, fits",
    [
        pytest.param(OLDER, True, id="in the older form"),
        pytest.param(NEWER, True, id="in the newer form"),
        pytest.param(OLDER | NEWER, True, id="in both"),
        pytest.param({**OLDER, FULCIO_V2: b"\x0c\x01x"}, False, id="in both, which do not agree"),
        pytest.param({FULCIO: b"https://other.example"}, False, id="somebody else"),
        pytest.param({FULCIO_V2: ISSUER.encode()}, False, id="in the newer form without its type"),
        pytest.param({FULCIO_V2: b"\x13\x16" + ISSUER.encode()}, False, id="as another type"),
        pytest.param({FULCIO_V2: b"\x0c\x16" + ISSUER.encode() + b"\x0c\x00"}, False, id="with something behind it"),
        pytest.param({}, False, id="nobody"),
    ],
)
def test_who_has_told_fulcio(told: dict[str, bool | bytes], fits: bool) -> None:
    chain = Chain(extra=told, email=ME)
    roots = Roots(roots=(chain.root,), identity=ME, issuer=ISSUER)
    if fits:
        roots.check(chain.leaf, [chain.middle], NOW)
    else:
        with pytest.raises(Untrusted, match="names another identity provider"):
            roots.check(chain.leaf, [chain.middle], NOW)


@pytest.mark.parametrize(
    "length, start",
    [
        pytest.param(127, b"\x0c\x7f", id="in one byte"),
        pytest.param(200, b"\x0c\x81\xc8", id="in two"),
        pytest.param(300, b"\x0c\x82\x01\x2c", id="in three"),
    ],
)
def test_an_issuer_may_be_long(length: int, start: bytes) -> None:
    issuer = "https://".ljust(length, "i")
    chain = Chain(extra={FULCIO_V2: start + issuer.encode()}, email=ME)
    Roots(roots=(chain.root,), identity=ME, issuer=issuer).check(chain.leaf, [chain.middle], NOW)
    with pytest.raises(Untrusted, match="names another identity provider"):
        Roots(roots=(chain.root,), identity=ME, issuer=issuer[:-1]).check(chain.leaf, [chain.middle], NOW)
