"""OpenPGP signatures: the key must be valid when it signed, and when it is verified."""

from __future__ import annotations

import base64
import bz2
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pysequoia import ArmorKind, Cert, CipherSuite, SignatureMode, Tsk, armor, sign
from pysequoia.packet import PacketPile, Tag

from converter.errors import Invalid, LimitExceeded, Untrusted
from converter.model import media_types as types
from converter.model.limits import DEFAULT
from converter.trust import openpgp, signature as kinds
from converter.trust.identity import ATOMIC, Claim
from converter.trust.openpgp_keys import Keyring, check_key
from converter.trust.openpgp_message import (
    decode_armour,
    hashed_subpackets,
    is_detached,
    is_signed_message,
    unwrapped_message,
)
from converter.trust.signature import Signature, Subject, Trusted
from converter.trust.verify_signatures import check_one
from tests.trust.making import NOW, claim, keyring, openpgp as key, subject, trusted

LATER = NOW + timedelta(minutes=5)


def detached(signer: Tsk, data: bytes = b"data", *, armoured: bool = True) -> bytes:
    return sign(signer.signer(), data, mode=SignatureMode.DETACHED, armor=armoured)


def of_text(signer: Tsk) -> bytes:
    """What is said to be a signature of text, the second byte of whose packet says so."""
    packet = detached(signer, armoured=False)
    place = packet.index(b"\x04\x00")
    return packet[: place + 1] + b"\x01" + packet[place + 2 :]


def unknown(packet: bytes, place: int) -> bytes:
    """A signature's packet with a type (place 1 of its body) or a digest (place 3) that nobody knows."""
    place += 2 if packet[1] < 192 else 3
    return packet[:place] + b"\x7f" + packet[place + 1 :]


def message(signer: Tsk, what: Claim | None = None) -> bytes:
    data = (what or claim()).render(ATOMIC, "test", 1)
    return sign(signer.signer(), data, mode=SignatureMode.INLINE, armor=False)


def in_message(data: bytes, place: int) -> bytes:
    """A message with an unknown signature in place of its own."""
    packets = ((bytes(one), one.tag == Tag.Signature) for one in PacketPile.from_bytes(data))
    return b"".join(unknown(packet, place) if signs else packet for packet, signs in packets)


def about(data: bytes) -> Signature:
    return Signature(kind=kinds.SIMPLE_SIGNING, location="", covers="", data=data, media_type=types.DIR_SIGNATURE)


def beside(data: bytes) -> Signature:
    return Signature(kind=kinds.DETACHED, location="", covers="", data=data, media_type=types.PGP_SIGNATURE)


def asking(*keys: Tsk, **more: object) -> Trusted:
    rings = [keyring(*keys)] if keys else []
    return trusted(keyrings=rings, **{"at": LATER, **more})


def at(path: str) -> Subject:
    """The image that is a file."""
    return replace(subject(media_type=types.ACI), file=lambda: path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "file").write_bytes(b"data")
    return str(tmp_path / "file")


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(CipherSuite.Cv25519, id="Ed25519"),
        pytest.param(CipherSuite.RSA2k, id="RSA"),
        pytest.param(CipherSuite.P256, id="ECDSA"),
    ],
)
def test_a_good_signature_of_a_file(suite: CipherSuite, path: str) -> None:
    signer = Tsk.generate("a", cipher_suite=suite)
    (found,) = openpgp.verify_detached(beside(detached(signer)), at(path), asking(signer))
    assert (found.ok, found.signer) == (True, signer.extract_certificate().fingerprint)
    assert found.key == "--keyring keys"
    (again,) = openpgp.verify_detached(beside(detached(signer, armoured=False)), at(path), asking(signer))
    assert (again.ok, again.signer, again.key) == (found.ok, found.signer, found.key)


def test_every_signer_is_told_of(path: str) -> None:
    one, two, three = key("one"), key("two"), key("three")
    both = b"".join(detached(signer, armoured=False) for signer in (one, two, three))
    for data in (both, armor(both, ArmorKind.Signature).encode(), detached(one) + detached(two) + detached(three)):
        found = openpgp.verify_detached(beside(data), at(path), asking(one, three))
        assert [each.ok for each in found] == [True, False, True]


UNSUPPORTED = b"\xc2\x0c\x04\x00\x01\x08" + bytes(6) + b"\xff\xff"


@pytest.mark.parametrize(
    "data, reason",
    [
        pytest.param(detached(key("other")), "which is not in --keyring keys", id="by another key"),
        pytest.param(detached(key(), b"other"), "does not match this file", id="of another file"),
        pytest.param(of_text(key()), "signature of text", id="of text, which leaves line ends open"),
        pytest.param(unknown(detached(key(), armoured=False), 1), "of a type that is not known", id="of another type"),
        pytest.param(
            unknown(detached(key(), armoured=False), 3), "a digest that is not known", id="with another digest"
        ),
        pytest.param(UNSUPPORTED, "unsupported form", id="longer than its packet"),
    ],
)
def test_a_bad_signature_of_a_file(data: bytes, reason: str, path: str) -> None:
    (found,) = openpgp.verify_detached(beside(data), at(path), asking(key()))
    assert reason in found.reason
    assert "backtrace" not in found.reason


def test_a_signature_is_added_to_one_that_cannot_be_read(path: str) -> None:
    both = openpgp.add_signatures(detached(key()), UNSUPPORTED)
    assert [one.ok for one in openpgp.verify_detached(beside(both), at(path), asking(key()))] == [True, False]


def test_no_key_is_no_proof(path: str) -> None:
    (found,) = openpgp.verify_detached(beside(detached(key())), at(path), asking())
    assert "--keyring" in found.reason


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"text", id="text"),
        pytest.param(bytes(key().extract_certificate()), id="a key"),
        pytest.param(message(key()), id="a message"),
        pytest.param(b"-----BEGIN PGP SIGNATURE-----\n\n?\n-----END PGP SIGNATURE-----\n", id="broken armour"),
    ],
)
def test_what_is_no_signature_of_a_file(data: bytes, path: str) -> None:
    with pytest.raises(Invalid):
        openpgp.verify_detached(beside(data), at(path), asking(key()))


def test_a_key_that_expired_since() -> None:
    signer = Tsk.generate("short", validity_seconds=24 * 3600)
    openpgp.verify_inline(about(message(signer)), asking(signer))
    with pytest.raises(Untrusted, match="expired at"):
        openpgp.verify_inline(about(message(signer)), asking(signer, at=NOW + timedelta(days=1)))


def test_a_key_that_was_revoked_since() -> None:
    signer = Tsk.generate("revoked")
    good = message(signer)
    openpgp.verify_inline(about(good), asking(signer))
    certificate = signer.extract_certificate()
    revoked = Cert.from_bytes(bytes(certificate) + bytes(certificate.revoke(signer.certifier())))
    ring = Keyring((revoked,), "keys")
    with pytest.raises(Untrusted, match="is revoked"):
        openpgp.verify_inline(about(good), trusted(keyrings=[ring], at=LATER))
    with pytest.raises(Untrusted, match="is revoked"):
        openpgp.verify_inline(about(good), trusted(keyrings=[ring], at=NOW + timedelta(days=1)))


def test_a_signature_from_the_future() -> None:
    with pytest.raises(Untrusted, match=r"was made at|did not exist"):
        openpgp.verify_inline(about(message(key())), asking(key(), at=NOW - timedelta(days=1)))


def test_a_simple_signature() -> None:
    (verdict,) = check_one(about(message(key())), subject(), asking(key()))
    assert (verdict.ok, verdict.identity) == (True, claim().identity)
    armoured = armor(message(key()), ArmorKind.Message).encode()
    assert check_one(about(armoured), subject(), asking(key()))[0].ok


@pytest.mark.parametrize(
    "data, reason",
    [
        pytest.param(message(key("other")), "which is not in", id="by another key"),
        pytest.param(message(key(), claim(b"{}")), "another manifest: expected sha256", id="of another image"),
        pytest.param(message(key(), claim(name="registry.example/other:1")), "for the name", id="renamed"),
        pytest.param(message(key(), claim(name="registry.example/app:2")), "for the name", id="another tag"),
        pytest.param(message(key(), claim(name="registry.example/app")), "for the name", id="no tag"),
        pytest.param(sign(key().signer(), b"{}", armor=False), "critical", id="no claim"),
        pytest.param(
            sign(key().signer(), claim().render(ATOMIC, "x", 1).replace(b"{", b'{"optional":{},', 1), armor=False),
            "duplicate key",
            id="a key that stands twice",
        ),
        pytest.param(in_message(message(key()), 1), "does not match", id="of a type that nobody knows"),
        pytest.param(in_message(message(key()), 3), "a digest that is not known", id="with a digest that nobody knows"),
        pytest.param(detached(key()), "no OpenPGP message|without|does not hold|no signed", id="a detached signature"),
    ],
)
def test_a_bad_simple_signature(data: bytes, reason: str) -> None:
    (verdict,) = check_one(about(data), subject(), asking(key()))
    assert not verdict.ok
    assert any(part in verdict.reason for part in reason.split("|"))
    assert "\n" not in verdict.reason


def test_what_is_wrong_is_said_whoever_was_asked() -> None:
    changed = message(key()).replace(b"registry.example/app:1", b"registry.example/app:2")
    (verdict,) = check_one(about(changed), subject(), asking(key(), weak=True))
    assert (verdict.ok, "does not match this file" in verdict.reason) == (False, True)


def packed(body: bytes, kind: int) -> bytes:
    """A compressed packet, in the old form without a length that gpg writes."""
    if kind == 1:
        compressor = zlib.compressobj(wbits=-15)
        return b"\xa3\x01" + compressor.compress(body) + compressor.flush()
    compressed = zlib.compress(body) if kind == 2 else bz2.compress(body) if kind == 3 else body
    return b"\xa3" + bytes([kind]) + compressed


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_a_message_may_be_packed(kind: int) -> None:
    plain = message(key())
    assert unwrapped_message(packed(plain, kind)) == plain
    assert is_signed_message(packed(plain, kind))
    assert openpgp.verify_inline(about(packed(plain, kind)), asking(key()))[0] == claim().render(ATOMIC, "test", 1)


def new_form(body: bytes, parts: bool) -> bytes:
    """A compressed packet in the new form, its length in one piece or in parts."""
    body = b"\x00" + body
    if not parts:
        return b"\xc8\xff" + len(body).to_bytes(4) + body
    cut = 256
    rest = body[cut:]
    assert 192 <= len(rest) < 8384
    return b"\xc8\xe8" + body[:cut] + bytes([192 + ((len(rest) - 192) >> 8), (len(rest) - 192) & 255]) + rest


@pytest.mark.parametrize("parts", [False, True])
def test_the_length_of_a_packet_has_several_forms(parts: bool) -> None:
    plain = message(key())
    assert unwrapped_message(new_form(plain, parts)) == plain
    with pytest.raises(Invalid):
        unwrapped_message(new_form(plain, parts)[:-1])


@pytest.mark.parametrize(
    "data, error",
    [
        pytest.param(packed(b"\x88" * (DEFAULT.document + 1), 2), LimitExceeded, id="a bomb of zlib"),
        pytest.param(packed(b"\x88" * (DEFAULT.document + 1), 3), LimitExceeded, id="a bomb of bzip2"),
        pytest.param(b"\x88" * (DEFAULT.document + 1), LimitExceeded, id="too large"),
        pytest.param(packed(packed(message(key()), 2), 2), Invalid, id="packed twice"),
        pytest.param(b"\xa3\x09abc", Invalid, id="packed in another way"),
        pytest.param(b"\xa3\x02abc", Invalid, id="packed and broken"),
        pytest.param(b"\xcb\x05b\0\0\0\0", Invalid, id="a message that nobody signed"),
        pytest.param(b"", Invalid, id="nothing"),
        pytest.param(b"text", Invalid, id="text"),
    ],
)
def test_what_is_no_signed_message(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        unwrapped_message(data)
    # What exceeds a limit is listed, and refused with the limit's name when it is verified.
    assert is_signed_message(data) == (error is LimitExceeded)


@pytest.mark.parametrize(
    "data, looks_signed",
    [
        pytest.param(b"-----BEGIN PGP SIGNATURE-----\n" * 130_000, False, id="beginnings without an end"),
        pytest.param(b"\x88\x00" * 1_000_000, True, id="many empty signatures"),
        pytest.param(b"\xc2\x00" * 1_000_000, True, id="many empty signatures of the new form"),
        pytest.param(b"\xc2" + b"\xe0\x00" * 1_000_000 + b"\x00", True, id="a signature in many parts"),
        pytest.param(b"-----BEGIN PGP X-----" + b" " * 4_000_000, False, id="a beginning that is all blanks"),
    ],
)
def test_what_is_hostile_is_looked_at_in_linear_time(data: bytes, looks_signed: bool) -> None:
    assert not is_detached(data)
    assert is_signed_message(data) is looks_signed


ANNOUNCED = b"\xc4\x0d\x03\x00\x08\x16" + b"\x11" * 8 + b"\x01"


@pytest.mark.parametrize(
    "data, error",
    [
        pytest.param(ANNOUNCED * 200_000, LimitExceeded, id="signatures announced without end"),
        pytest.param(ANNOUNCED + b"\xfc\x01x" * 500_000, LimitExceeded, id="packets without end"),
        pytest.param(ANNOUNCED + packed(ANNOUNCED * 200_000, 2), Invalid, id="packets without end, packed within"),
    ],
)
def test_what_the_library_would_take_hours_or_gigabytes_for(data: bytes, error: type[Exception]) -> None:
    assert is_signed_message(data)
    with pytest.raises(error):
        openpgp.signatures_in(data)


def test_a_bomb_within_its_signatures() -> None:
    bomb = ANNOUNCED + packed(b"\x88" * (100 * DEFAULT.document), 2)
    assert is_signed_message(bomb)
    with pytest.raises(Invalid):
        openpgp.signatures_in(bomb)


def test_what_it_looks_like() -> None:
    assert is_detached(detached(key()))
    assert is_detached(detached(key(), armoured=False))
    assert not is_detached(message(key()))
    assert not is_signed_message(detached(key()))
    assert len(decode_armour(detached(key()) * 2)) == 2


def literal(data: bytes) -> bytes:
    body = b"b\0" + bytes(4) + data
    return b"\xcb\xff" + len(body).to_bytes(4) + body


SAID = claim().render(ATOMIC, "test", 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(detached(key(), SAID, armoured=False) + literal(SAID), id="a signature, then what it signs"),
        pytest.param(
            detached(key(), SAID, armoured=False) + packed(literal(SAID), 2),
            id="a signature, then a packed message",
        ),
        pytest.param(
            b"".join(detached(one, SAID, armoured=False) for one in (key("one"), key())) + literal(SAID),
            id="two signatures",
        ),
    ],
)
def test_a_message_as_pgp_wrote_it(data: bytes) -> None:
    """RFC 9580, section 10.3: a signature may stand before the message, with no packet that announces it."""
    assert (is_signed_message(data), is_detached(data)) == (True, False)
    content, verdicts = openpgp.verify_inline(about(data), asking(key()))
    assert (content, [one.ok for one in verdicts]) == (SAID, [True])


def test_a_message_that_the_signature_before_it_is_not_about() -> None:
    with pytest.raises(Untrusted, match="does not match this file"):
        openpgp.verify_inline(about(detached(key(), armoured=False) + literal(SAID)), asking(key()))


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(literal(SAID) * 2, id="two messages"),
        pytest.param(literal(SAID)[:-1], id="a message that is cut"),
        pytest.param(b"\xcb\x03b\x09x", id="a name that is cut"),
        pytest.param(bytes(key().extract_certificate()), id="a key"),
        pytest.param(message(key()), id="a message with signatures of its own"),
        pytest.param(literal(SAID) + detached(key(), armoured=False), id="a message, and another signature"),
    ],
)
def test_a_signature_before_anything_else(behind: bytes) -> None:
    with pytest.raises(Invalid):
        openpgp.verify_inline(about(detached(key(), SAID, armoured=False) + behind), asking(key()))


def test_subpackets_are_read_from_what_is_signed() -> None:
    (packet,) = PacketPile.from_bytes(detached(key(), armoured=False))
    found = hashed_subpackets(packet.body)
    # The time of signing, and who signed.
    assert int.from_bytes(found[2]) == int(packet.signature_created.timestamp())
    assert found[33][1:].hex() == packet.issuer_fingerprint
    assert hashed_subpackets(b"\x03old") == {}


def test_keys_come_one_or_many_armoured_or_not() -> None:
    one, two = (key(name).extract_certificate() for name in ("one", "two"))
    for data in (bytes(one) + bytes(two), (str(one) + str(two)).encode()):
        assert [each.fingerprint for each in Keyring.load(data).certificates] == [one.fingerprint, two.fingerprint]


@pytest.mark.parametrize("place", [pytest.param(1, id="a type"), pytest.param(3, id="a digest")])
def test_a_key_may_bear_signatures_that_nobody_knows(place: int, path: str) -> None:
    packets = [
        (bytes(one), one.tag == Tag.Signature) for one in PacketPile.from_bytes(bytes(key().extract_certificate()))
    ]
    ring = b"".join((unknown(packet, place) if signs else b"") + packet for packet, signs in packets)
    (found,) = openpgp.verify_detached(
        beside(detached(key())), at(path), trusted(keyrings=[Keyring.load(ring)], at=LATER)
    )
    assert found.ok


def test_a_key_may_bear_a_packet_that_nobody_knows(path: str) -> None:
    ring = bytes(key().extract_certificate()) + b"\xe2\x01\x00"
    (found,) = openpgp.verify_detached(
        beside(detached(key())), at(path), trusted(keyrings=[Keyring.load(ring)], at=LATER)
    )
    assert found.ok


BY_GPG = base64.b64decode(
    "mDMEawsFShYJKwYBBAHaRw8BAQdADyMeApgNW4SU0yt7GWiaR8MNgzJxpGW/VPLuZqZhmFa0D3R3b0BleGFtcGxlLmNvbYiQBBMWCgA4FiEEKnJ4"
    "AlWr/QFaUGP1eijX5wKHWmgFAmsLBUoCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQeijX5wKHWmjQRAEA1/GAUWpGtZ1WD9PzJsb4rkJp"
    "mCmLrdQbPDAQgxzd5qIBAL62AklpBPI1USDTmA521I3bzSiMoMWeqGongpvf404I"
)
"""A certificate that has its issuer where the signature does not cover it, too, as all of gpg's have."""


def test_a_key_whose_owner_does_not_say_when_he_certified_it() -> None:
    time = BY_GPG.index(b"\x05\x02")
    (altered,) = Keyring.load(BY_GPG[: time + 1] + b"\x65" + BY_GPG[time + 2 :]).certificates
    with pytest.raises(Untrusted, match="a key that its owner has not certified"):
        check_key(altered, altered.fingerprint, LATER)


@pytest.mark.parametrize("data", [b"", b"text", message(key())])
def test_no_keys(data: bytes) -> None:
    with pytest.raises(Invalid):
        Keyring.load(data, "--keyring file")
