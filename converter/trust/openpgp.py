"""OpenPGP signatures: detached ones over a file, and messages that contain what they sign (RFC 9580).

The library judges the signature and the key at the time of the signature, and refuses digests that can be forged; the
key is judged here once more, at the time that the caller asks about.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from converter.errors import Invalid, Untrusted
from converter.model.frozen import frozen
from converter.trust import gpg, openpgp_keys
from converter.trust.keys import format_time
from converter.trust.libraries import pgp, pysequoia
from converter.trust.openpgp_message import (
    content_after_signatures,
    decode_armour,
    signature_packets,
    unwrapped_message,
)
from converter.trust.trusted import Trusted, Unchecked, require_at_most

if TYPE_CHECKING:
    from converter.trust.openpgp_keys import Keyring


@frozen
class Signer:
    """Who signed: a certificate's fingerprint (lower-case hex) and its source. ``problem``: why the signature fails."""

    fingerprint: str = ""
    source: str = ""
    problem: str = ""


def verify_detached(signature: bytes, path: str, trusted: Trusted) -> tuple[Signer, ...]:
    """The signer of each signature of the file at ``path``, in order, good or not; raises Invalid if there is none."""
    signers = []
    for packet in _signatures(signature):
        try:
            found = pysequoia.Sig.from_bytes(packet)
        except RuntimeError:
            signers.append(Signer(problem="unsupported form of OpenPGP signature"))
            continue
        try:
            signers.append(_detached(found, packet, path, trusted))
        except Untrusted as error:
            signers.append(Signer(fingerprint=_issuer(found), problem=str(error)))
    return tuple(signers)


def verify_inline(message: bytes, trusted: Trusted) -> tuple[bytes, tuple[Signer, ...]]:
    """A signed message's content and its signers, at least one of them good.

    Raises Untrusted if no signature is good, with the reason of the last; Invalid if it is not a signed message.
    """
    plain = unwrapped_message(message)
    packets = _packets(plain)
    content, makers = _inline(plain, packets, trusted)
    signers = []
    for certificate, key in makers:
        made = [one.created for one in packets if one.created and _is_issuer(one, key)]
        try:
            _check_certificate(certificate, key, made, trusted)
            signers.append(_signer(certificate, trusted))
        except Untrusted as error:
            signers.append(Signer(fingerprint=certificate.fingerprint, problem=str(error)))
    if all(one.problem for one in signers):
        raise Untrusted(signers[-1].problem if signers else "the message is not signed")
    return content, tuple(signers)


def add_signatures(signature: bytes, before: bytes) -> bytes:
    """Detached signatures, followed by those in ``before`` that other keys made; raises Invalid for anything else.

    All are in one armour, because gpg and rkt read no second one.
    """
    new = _signatures(signature)
    makers = [_issuer(pysequoia.Sig.from_bytes(one)) for one in new]
    others = (one for one in _signatures(before) if _issuer(pysequoia.Sig.from_bytes(one)) not in makers)
    return pysequoia.armor(b"".join((*new, *others)), pysequoia.ArmorKind.Signature).encode()


def signatures_in(message: bytes) -> int:
    """The number of signatures of a signed message, good or not; raises Invalid if it is not one."""
    return len(_packets(unwrapped_message(message)))


def _detached(found: pysequoia.Sig, packet: bytes, path: str, trusted: Trusted) -> Signer:

    if found.signature_type != pgp.SignatureType.Binary:
        # One of text does not say which ends of lines the file has: carriage returns may be line feeds.
        raise Untrusted("signature of text, which does not cover every byte of the file: expected one of binary data")
    _check_expiry(found, trusted.at)
    certificates = _issuer_certificates(found, trusted)
    try:
        valid = pysequoia.verify(file=path, store=lambda _: certificates, signature=found).valid_sigs
        makers = [(_certificate_named(certificates, one.certificate), one.signing_key) for one in valid]
    except RuntimeError:
        # The library's message holds a stack trace, which helps nobody.
        if not _may_ask_gpg(found, certificates, trusted):
            raise Untrusted(_reason(found, certificates, trusted.at)) from None
        good = gpg.verify_detached(packet, path, _binary(certificates), trusted.at, weak=trusted.weak)
        makers = [(_certificate_named(certificates, one.certificate), one.key) for one in good]
    if not makers:
        raise Untrusted(_reason(found, certificates, trusted.at))
    certificate, key = makers[0]
    _check_certificate(certificate, key, [found.created] if found.created else [], trusted)
    return _signer(certificate, trusted)


def _inline(
    plain: bytes, packets: list[pysequoia.Sig], trusted: Trusted
) -> tuple[bytes, list[tuple[pysequoia.Cert, str]]]:
    last = packets[-1]
    for found in packets:
        _check_expiry(found, trusted.at)
    certificates = [
        one for found in packets for one in _issuer_certificates(found, trusted, missing_ok=len(packets) > 1)
    ]
    try:
        content, valid = _verify_packets(plain, packets, certificates)
    except RuntimeError:
        if not any(_may_ask_gpg(found, certificates, trusted) for found in packets):
            raise Untrusted(_reason(last, certificates, trusted.at)) from None
        content, good = gpg.verify_inline(plain, _binary(certificates), trusted.at, weak=trusted.weak)
        return content, [(_certificate_named(certificates, one.certificate), one.key) for one in good]
    if content is None:
        raise Untrusted(_reason(last, certificates, trusted.at))
    return content, [(_certificate_named(certificates, certificate), key) for certificate, key in valid]


def _verify_packets(
    plain: bytes, packets: list[pysequoia.Sig], certificates: list[pysequoia.Cert]
) -> tuple[bytes | None, list[tuple[str, str]]]:
    """A message's content, and certificate and key of each good signature. Raises RuntimeError if there is none."""
    content = content_after_signatures(plain)
    if content is None:
        done = pysequoia.verify(bytes=plain, store=lambda _: certificates)
        return done.bytes, [(one.certificate, one.signing_key) for one in done.valid_sigs]
    # The library verifies a whole message only if one-pass packets announce its signatures.
    valid: list[tuple[str, str]] = []
    problem: RuntimeError | None = None
    for found in packets:
        try:
            done = pysequoia.verify(bytes=content, store=lambda _: certificates, signature=found)
            valid += [(one.certificate, one.signing_key) for one in done.valid_sigs]
        except RuntimeError as error:
            problem = error
    if problem is not None and not valid:
        raise problem
    return content, valid


def _check_certificate(certificate: pysequoia.Cert, key: str, made: Iterable[datetime], trusted: Trusted) -> None:
    """Raises Untrusted if the key is weak, not valid at the time in question, or was used only after it."""
    for time in made:
        if time > trusted.at:
            raise Untrusted(f"signature was made at {format_time(time)}, after {format_time(trusted.at)}")
    weakness = "" if trusted.weak else openpgp_keys.weakness(certificate, key)
    if weakness:
        # gpg does not refuse it.
        raise Untrusted(weakness)
    openpgp_keys.check_key(certificate, key, trusted.at)


def _check_expiry(found: pysequoia.Sig, at: datetime) -> None:
    if found.expiration is not None and found.expiration <= at:
        raise Untrusted(f"signature expired at {format_time(found.expiration)}")


def _issuer_certificates(found: pysequoia.Sig, trusted: Trusted, *, missing_ok: bool = False) -> list[pysequoia.Cert]:
    """The certificates that contain the key which, according to the signature, made it."""
    issuer = _issuer(found)
    if not trusted.keyrings:
        raise Unchecked(f"no key for the OpenPGP signature by {issuer or 'an unnamed key'} (--keyring)")
    several = [one for keyring in trusted.keyrings for one in keyring.certificates if _contains_key(one, issuer)]
    if not several and not missing_ok:
        raise Untrusted(
            f"signature by {issuer or 'an unnamed key'}, which is not in {_keyring_names(trusted.keyrings)}"
        )
    return several


def _contains_key(certificate: pysequoia.Cert, issuer: str) -> bool:

    if not issuer:
        return False
    packets: Iterable[object] = pgp.PacketPile.from_bytes(bytes(certificate))
    return any(str(getattr(one, "fingerprint", None) or "").endswith(issuer) for one in packets)


def _certificate_named(certificates: Iterable[pysequoia.Cert], fingerprint: str) -> pysequoia.Cert:
    found = next((one for one in certificates if one.fingerprint == fingerprint), None)
    if found is None:
        raise Untrusted(f"signature by {fingerprint}, a key that was not given")
    return found


def _signer(certificate: pysequoia.Cert, trusted: Trusted) -> Signer:
    source = next(one.source for one in trusted.keyrings if one.find(certificate.fingerprint) is not None)
    return Signer(fingerprint=certificate.fingerprint, source=source)


def _may_ask_gpg(found: pysequoia.Sig, certificates: Iterable[pysequoia.Cert], trusted: Trusted) -> bool:
    """Whether gpg may decide: weak digests are allowed, the library does not know the key's curve, or judges at a time
    other than the one in question.

    The last is so if the signature has expired by now, or the key's owner has renewed the key since.
    """
    if not gpg.available():
        return False
    made, issuer = found.created, _issuer(found)
    return (
        trusted.weak
        or (found.expiration is not None and found.expiration <= datetime.now(UTC))
        or any(openpgp_keys.has_unknown_curve(one, issuer) for one in certificates)
        or (made is not None and any(openpgp_keys.was_renewed(one, issuer, made) for one in certificates))
    )


def _signatures(data: bytes) -> list[bytes]:
    """The packets of detached signatures; raises Invalid for anything else."""
    found: list[bytes] = []
    try:
        for block in decode_armour(data) or [data]:
            for packet in pgp.PacketPile.from_bytes(block):
                if packet.tag != pgp.Tag.Signature:
                    raise Invalid("OpenPGP packets other than signatures")
                found.append(bytes(packet))
    except RuntimeError:
        raise Invalid("not an OpenPGP signature") from None
    if not found:
        raise Invalid("the file has no OpenPGP signature")
    require_at_most(found, "signers", "signatures of one file")
    return found


def _packets(plain: bytes) -> list[pysequoia.Sig]:
    """The signatures of a message without armour and compression."""
    packets = require_at_most(signature_packets(plain), "signers", "signatures of one message")
    try:
        found = [pysequoia.Sig.from_bytes(one) for one in packets]
    except RuntimeError:
        raise Invalid("not an OpenPGP message") from None
    if not found:
        raise Invalid("the OpenPGP message is not signed")
    return found


def _issuer(found: pysequoia.Sig) -> str:
    return found.issuer_fingerprint or found.issuer_key_id or ""


def _is_issuer(found: pysequoia.Sig, key: str) -> bool:
    issuer = _issuer(found)
    return bool(issuer) and key.endswith(issuer)


def _reason(found: pysequoia.Sig, certificates: Iterable[pysequoia.Cert], at: datetime) -> str:
    """The most likely reason why the library refuses a signature."""
    latest = min(at, datetime.now(UTC))
    for certificate in certificates:
        try:
            openpgp_keys.check_key(certificate, _issuer(found), at)
        except Untrusted as error:
            return str(error)
    if found.created is not None and found.created > latest:
        return f"signature was made at {format_time(found.created)}, after {format_time(latest)}"
    weak = (
        (pgp.HashAlgorithm.MD5, "MD5"),
        (pgp.HashAlgorithm.SHA1, "SHA-1"),
        (pgp.HashAlgorithm.RipeMD, "RIPEMD-160"),
    )
    name = next((text for algorithm, text in weak if found.hash_algorithm == algorithm), "")
    if name:
        return f"signature with {name}, which can be forged (--allow-weak-digest accepts it)"
    weakness = next(filter(None, (openpgp_keys.weakness(one, _issuer(found)) for one in certificates)), "")
    if not gpg.available() and any(openpgp_keys.has_unknown_curve(one, _issuer(found)) for one in certificates):
        return f"signature by {_issuer(found)}, a key on a curve that needs gpg, which is not installed"
    return weakness or f"signature by {_issuer(found)} does not match this file: the file or the signature was changed"


def _binary(certificates: Iterable[pysequoia.Cert]) -> bytes:
    return b"".join(bytes(one) for one in certificates)


def _keyring_names(keyrings: Iterable[Keyring]) -> str:
    return ", ".join(one.source or "the keyring" for one in keyrings)
