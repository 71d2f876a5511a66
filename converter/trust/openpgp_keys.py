"""OpenPGP certificates that the caller trusts, and whether a key is valid at a given time (RFC 9580, section 5.2).

The library judges a key at the time of the signature; here it also has to be valid at the time in question. A key that
was compromised (or revoked without a reason) was never valid; one that was retired was valid until then.

A keystore is rkt's (rkt, Documentation/signing-and-verification-guide.md): ``root.d/FINGERPRINT`` may sign everything,
``prefix.d/NAME/FINGERPRINT`` the images at or below that name. An empty file revokes the key for those images. Later
folders override earlier ones, and ``prefix.d`` overrides ``root.d``. rkt compares prefixes as raw strings, so that a
key for ``example.com/foo`` also signs ``example.com/foobar``; here a prefix consists of whole components.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

from converter.errors import Invalid, Untrusted, within
from converter.model.frozen import frozen
from converter.trust.keys import RSA_BITS, format_time, require_unexpired
from converter.trust.libraries import pgp, pysequoia
from converter.trust.openpgp_message import hashed_subpackets

_WEAK = "(--allow-weak-digest takes it)"
_OF_NUMBERS = (1, 2, 3, 17)
"""RSA and DSA, whose strength depends on the length of the key (RFC 9580, 9.1)."""

_OF_CURVES = (19, 22)
"""ECDSA and EdDSA, whose key starts with the object identifier of a curve (RFC 9580, 9.2)."""

_CURVES = {bytes.fromhex(one) for one in ("2a8648ce3d030107", "2b81040022", "2b81040023", "2b06010401da470f01")}
"""NIST's P-256, P-384 and P-521, and Ed25519."""

_REASON = 29
_SOFT_REASONS = (b"\x01", b"\x03", b"\x20")
"""Superseded, retired, no longer valid (RFC 9580, 5.2.3.31): the key was valid before."""


@frozen(kw_only=False)
class Keyring:
    """Certificates from one source, as the caller names it (``--keyring keys.gpg``)."""

    certificates: tuple[pysequoia.Cert, ...]
    source: str = ""

    @classmethod
    def load(cls, data: bytes, source: str = "") -> Keyring:
        """Read certificates, armoured or not, one or many; raises Invalid if there is none."""
        try:
            found = pysequoia.Cert.split_bytes(data)
        except (RuntimeError, ValueError):
            found = []
        if not found:
            raise Invalid(f"no OpenPGP certificate{f' in {source}' if source else ''}")
        return cls(tuple(found), source)


def contains_key(certificate: pysequoia.Cert, key: str) -> bool:
    """Whether the certificate has the key of that fingerprint or ID; none has one without either."""
    return bool(key) and any((known(one, "fingerprint") or "").endswith(key) for one in packets_of(certificate))


def check_key(certificate: pysequoia.Cert, key: str, at: datetime) -> None:
    """Raises Untrusted if the certificate, or its key of that fingerprint or ID, is revoked or expired at ``at``."""
    for one in _used(certificate, key):
        one.check(at)


def was_renewed(certificate: pysequoia.Cert, key: str, made: datetime) -> bool:
    """Whether the owner has replaced all binding signatures of the key since it was used, at the time ``made``.

    gpg does so when a key's validity is extended: the certificate then says nothing about the time before.
    """
    return any(one.created <= made and one.bindings and one.bindings[0][0] > made for one in _used(certificate, key))


def weakness(certificate: pysequoia.Cert, key: str) -> str:
    """Why a signature by the certificate's key of that fingerprint or ID can be forged; empty if it cannot."""
    keys = _used(certificate, key)
    bits = keys[-1].bits
    if 0 < bits < RSA_BITS:
        return f"signature by a key of {bits} bits: at least {RSA_BITS} are required {_WEAK}"
    for one in keys:
        if one.bindings and all(weak_digest(packet) for _, packet in one.bindings):
            return f"key {one.fingerprint} is certified with SHA-1, which can be forged {_WEAK}"
    return ""


def weak_digest(packet: pgp.Packet | pysequoia.Sig) -> str:
    """The name of a signature's digest if it can be forged, else empty."""
    weak = (
        (pgp.HashAlgorithm.MD5, "MD5"),
        (pgp.HashAlgorithm.SHA1, "SHA-1"),
        (pgp.HashAlgorithm.RipeMD, "RIPEMD-160"),
    )
    return next((name for algorithm, name in weak if packet.hash_algorithm == algorithm), "")


def has_unknown_curve(certificate: pysequoia.Cert, key: str) -> bool:
    """Whether the certificate's key of that fingerprint or ID, or the primary key, is on a curve new to the library.

    Then the library verifies neither that key's signatures nor what binds it: brainpool's curves, secp256k1.
    """
    return any(one.curve and one.curve not in _CURVES for one in _used(certificate, key))


def _used(certificate: pysequoia.Cert, key: str) -> list[_Key]:
    """The primary key and, if it is another, the key of that fingerprint or ID."""
    primary, *subkeys = _keys_of(certificate)
    return [primary, *(one for one in subkeys if key and one.fingerprint.endswith(key))]


@frozen
class _Key:
    """A key, and the binding and revocation signatures about it: bindings with their times, the oldest first.

    ``curve`` is empty for a key that names none, ``bits`` 0 for one whose strength does not depend on its length.
    """

    fingerprint: str
    created: datetime
    curve: bytes
    bits: int
    bindings: list[tuple[datetime, pgp.Packet]]
    revocations: list[pgp.Packet]

    def check(self, at: datetime) -> None:
        for one in self.revocations:
            made = one.signature_created
            reason = hashed_subpackets(one.body).get(_REASON, b"")
            if reason[:1] not in _SOFT_REASONS or made is None or made <= at:
                raise Untrusted(f"signature by {self.fingerprint}, a key that is revoked")
        if self.created > at:
            raise Untrusted(f"signature by {self.fingerprint}, a key that did not exist at {format_time(at)}")
        if not self.bindings:
            raise Untrusted(f"signature by {self.fingerprint}, a key that its owner has not certified")
        # A renewal that replaces all earlier bindings also speaks for the time before it.
        until = [packet for made, packet in self.bindings if made <= at] or [self.bindings[0][1]]
        binding = until[-1]
        if binding.key_validity_period is not None:
            end = self.created + binding.key_validity_period
            require_unexpired(f"signature by {self.fingerprint}, a key that", end, at)


def _keys_of(certificate: pysequoia.Cert) -> list[_Key]:
    """The keys of a certificate, the primary key first."""
    about = (
        pgp.SignatureType.DirectKey,
        pgp.SignatureType.GenericCertification,
        pgp.SignatureType.PersonaCertification,
        pgp.SignatureType.CasualCertification,
        pgp.SignatureType.PositiveCertification,
        pgp.SignatureType.SubkeyBinding,
    )
    revoking = (pgp.SignatureType.KeyRevocation, pgp.SignatureType.SubkeyRevocation)
    found: list[_Key] = []
    for packet in packets_of(certificate):
        kind = known(packet, "signature_type") if packet.tag == pgp.Tag.Signature else None
        made = packet.signature_created
        if packet.tag in (pgp.Tag.PublicKey, pgp.Tag.PublicSubkey) and packet.fingerprint and packet.key_created:
            found.append(
                _Key(
                    fingerprint=packet.fingerprint,
                    created=packet.key_created,
                    curve=_curve(packet.body),
                    bits=_bits(packet.body),
                    bindings=[],
                    revocations=[],
                )
            )
        elif kind in revoking:
            found[-1].revocations.append(packet)
        elif kind in about and made is not None and _own(packet, certificate):
            insort(found[-1].bindings, (made, packet), key=itemgetter(0))
    return found


def packets_of(certificate: pysequoia.Cert) -> list[pgp.Packet]:
    """The packets of a certificate of which the library knows what they are; none if it cannot take it apart."""
    try:
        packets: Iterable[pgp.Packet] = pgp.PacketPile.from_bytes(bytes(certificate))
    except RuntimeError:
        return []
    return [packet for packet in packets if known(packet, "tag") is not None]


def issuer_of(packet: pgp.Packet | pysequoia.Sig) -> str:
    """The fingerprint or ID of the key that, according to a signature, made it; empty if it states none."""
    return packet.issuer_fingerprint or packet.issuer_key_id or ""


def known(packet: pgp.Packet | pysequoia.Sig, name: str) -> Any:
    """What a packet states under that name; None for a value that the library does not know."""
    try:
        return getattr(packet, name)
    except RuntimeError:
        return None


def _curve(body: bytes) -> bytes:
    """The object identifier of the curve in a key's body, version 4 or 6 (RFC 9580, 5.5.2)."""
    if len(body) < 12 or body[5] not in _OF_CURVES:
        return b""
    place = 10 if body[0] == 6 else 6
    return body[place + 1 : place + 1 + body[place]]


def _bits(body: bytes) -> int:
    """The size of the first number in a key's body, the modulus of RSA or DSA, version 4."""
    return int.from_bytes(body[6:8]) if body[0] == 4 and body[5] in _OF_NUMBERS else 0


def _own(packet: pgp.Packet, certificate: pysequoia.Cert) -> bool:
    """Whether the signature names the owner as its issuer; the library has verified those that it uses."""
    issuer = issuer_of(packet)
    return known(packet, "hash_algorithm") is not None and bool(issuer) and certificate.fingerprint.endswith(issuer)


_PLACE = re.compile(r"(?:root\.d/|prefix\.d/(.+/))([0-9a-f]{40})", re.DOTALL)
"""The prefix, with a slash, and the fingerprint in the path of a key."""


def keyrings_for(name: str, folders: Iterable[tuple[str, Mapping[str, bytes]]]) -> tuple[Keyring, ...]:
    """The keys in rkt's keystore that may sign the image of that name (an AC Identifier, without a version).

    ``folders`` are those called ``trustedkeys``, each with its name for messages and its files by path. Raises Invalid
    for a file whose name is not the fingerprint of its key.
    """
    rows: list[tuple[str, str, Keyring | None]] = []
    for source, files in folders:
        for path, data in sorted(files.items()):
            if place := _PLACE.fullmatch(str(PurePosixPath(path))):
                with within(source), within(path):
                    ring = _load_key(data, place[2], source) if data else None
                rows.append((place[1] or "", place[2], ring))
    rows.sort(key=lambda one: one[0] != "")
    trusted = {fingerprint: ring for prefix, fingerprint, ring in rows if f"{name}/".startswith(prefix)}
    return tuple(ring for ring in trusted.values() if ring is not None)


def _load_key(data: bytes, fingerprint: str, source: str) -> Keyring:
    ring = Keyring.load(data, source)
    found = ring.certificates[0].fingerprint
    if len(ring.certificates) != 1 or found != fingerprint:
        raise Invalid(f"the file is named {fingerprint} and must hold that key alone: found {found}")
    return ring
