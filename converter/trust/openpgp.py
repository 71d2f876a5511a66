"""OpenPGP signatures: detached ones over a file, and messages that contain what they sign (RFC 9580).

The library judges the signature and the key at the time of the signature, and refuses digests that can be forged; the
key is judged here once more, at the time that the caller asks about. For digests that the library refuses, and for
times other than now, ``gpg`` is asked. It runs in an empty home directory of its own: none of the user's keys, settings
or agents is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from converter.errors import Invalid, Untrusted
from converter.model.limits import current_limits
from converter.trust.keys import format_time, require_unexpired
from converter.trust.libraries import pgp, pysequoia
from converter.trust.openpgp_keys import (
    check_key,
    contains_key,
    has_unknown_curve,
    issuer_of,
    known,
    was_renewed,
    weak_digest,
    weakness,
)
from converter.trust.openpgp_message import (
    content_after_signatures,
    decode_armour,
    signature_packets,
    unwrapped_message,
)
from converter.trust.signature import Signature, SignatureVerdict, Subject, Trusted, Unchecked, require_at_most

_STRONG = ("--weak-digest", "SHA1", "--weak-digest", "RIPEMD160")
_BAD = frozenset(("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"))

_Maker = tuple[str, str]
"""Who made a good signature: the fingerprints of a certificate and of the key in it."""


def verify_detached(signature: Signature, found: Subject, trusted: Trusted) -> tuple[SignatureVerdict, ...]:
    """The verdict on each signature of a file, in order; raises Invalid if there is none, Untrusted without a file."""
    if found.file is None:
        raise Untrusted("the signature covers a file, and this image is not one (only aci: is)")
    path, verdicts = found.file(), []
    for issuer, packet in _signatures(signature.data):
        try:
            fingerprint, source = _detached(packet, path, trusted)
            verdicts.append(SignatureVerdict(signature=signature, ok=True, signer=fingerprint, key=source))
        except Untrusted as error:
            verdicts.append(SignatureVerdict(signature=signature, ok=False, signer=issuer, reason=str(error)))
    return tuple(verdicts)


def verify_inline(signature: Signature, trusted: Trusted) -> tuple[bytes, tuple[SignatureVerdict, ...]]:
    """A signed message's content and the verdict on each of its signers, at least one of them good.

    Raises Untrusted if no signature is good, with the reason of the last; Invalid if it is not a signed message.
    """
    plain = unwrapped_message(signature.data)
    packets = _packets(plain)
    for found in packets:
        require_unexpired("signature", found.expiration, trusted.at)
    certificates = [
        one for found in packets for one in _issuer_certificates(found, trusted, missing_ok=len(packets) > 1)
    ]
    content, makers = _inline(plain, packets, certificates, trusted)
    verdicts = []
    for fingerprint, key in makers:
        made = [one for one in packets if issuer_of(one) and key.endswith(issuer_of(one))]
        try:
            source = _source_of(certificates, fingerprint, key, made, trusted)
            verdicts.append(SignatureVerdict(signature=signature, ok=True, signer=fingerprint, key=source))
        except Untrusted as error:
            verdicts.append(SignatureVerdict(signature=signature, ok=False, signer=fingerprint, reason=str(error)))
    if not any(one.ok for one in verdicts):
        raise Untrusted(verdicts[-1].reason)
    return content, tuple(verdicts)


def add_signatures(signature: bytes, before: bytes) -> bytes:
    """Detached signatures, followed by those in ``before`` that other keys made; raises Invalid for anything else.

    All are in one armour, because gpg and rkt read no second one.
    """
    new = _signatures(signature)
    issuers = {issuer for issuer, _ in new}
    others = [one for one in _signatures(before) if one[0] not in issuers]
    packets = b"".join(packet for _, packet in (*new, *others))
    return pysequoia.armor(packets, pysequoia.ArmorKind.Signature).encode()


def signatures_in(message: bytes) -> int:
    """The number of signatures of a signed message, good or not; raises Invalid if it is not one."""
    return len(_packets(unwrapped_message(message)))


def _detached(packet: bytes, path: str, trusted: Trusted) -> tuple[str, str]:
    """Who made a signature of a file: the fingerprint of a certificate, and its source. Raises Untrusted."""
    try:
        found = pysequoia.Sig.from_bytes(packet)
    except RuntimeError:
        raise Untrusted("unsupported form of OpenPGP signature") from None
    kind = known(found, "signature_type")
    if kind is None:
        raise Untrusted("signature of a type that is not known here")
    if kind != pgp.SignatureType.Binary:
        # One of text does not say which ends of lines the file has: carriage returns may be line feeds.
        raise Untrusted("signature of text, which does not cover every byte of the file: expected one of binary data")
    require_unexpired("signature", found.expiration, trusted.at)
    certificates = _issuer_certificates(found, trusted)
    _, makers = _verify(certificates, file=path, signature=found)
    if not makers:
        _, makers = _second_opinion([found], certificates, trusted, packet, path)
    fingerprint, key = makers[0]
    return fingerprint, _source_of(certificates, fingerprint, key, [found], trusted)


def _inline(
    plain: bytes, packets: Sequence[pysequoia.Sig], certificates: Sequence[pysequoia.Cert], trusted: Trusted
) -> tuple[bytes, list[_Maker]]:
    """A message's content, and who made its good signatures. Raises Untrusted if there is none."""
    content = content_after_signatures(plain)
    if content is None:
        content, makers = _verify(certificates, bytes=plain)
    else:
        # The library verifies a whole message only if one-pass packets announce its signatures.
        makers = [one for found in packets for one in _verify(certificates, bytes=content, signature=found)[1]]
    if not makers:
        content, makers = _second_opinion(packets, certificates, trusted, plain)
    if content is None:
        raise Untrusted("gpg finds more or less than one message")
    return content, makers


def _second_opinion(
    found: Sequence[pysequoia.Sig], certificates: Sequence[pysequoia.Cert], trusted: Trusted, data: bytes, *file: str
) -> tuple[bytes | None, list[_Maker]]:
    """What gpg finds, if it may decide. Raises Untrusted, with the reason of the last signature, if none is good."""
    if any(_may_ask_gpg(one, certificates, trusted) for one in found):
        content, makers = _verify_with_gpg(certificates, trusted, data, *file)
        if makers:
            return content, makers
    raise Untrusted(_reason(found[-1], certificates, trusted.at))


def _verify(certificates: Sequence[pysequoia.Cert], **message: Any) -> tuple[bytes | None, list[_Maker]]:
    """What the library finds: the content of a message, and who made its good signatures."""
    try:
        done = pysequoia.verify(store=lambda _: certificates, **message)
    except RuntimeError:
        # The library's message holds a stack trace, which helps nobody.
        return None, []
    return done.bytes, [(one.certificate, one.signing_key) for one in done.valid_sigs]


def _source_of(
    certificates: Iterable[pysequoia.Cert], fingerprint: str, key: str, made: Iterable[pysequoia.Sig], trusted: Trusted
) -> str:
    """The source of the certificate that made the good signatures ``made``; raises Untrusted if its key is not one of
    those given, weak, not valid at the time in question, or was used only after it.
    """
    certificate = next((one for one in certificates if one.fingerprint == fingerprint), None)
    if certificate is None:
        raise Untrusted(f"signature by {fingerprint}, a key that was not given")
    for one in made:
        _require_made_before(one, trusted.at)
    if not trusted.weak and (why := weakness(certificate, key)):
        # gpg does not refuse it.
        raise Untrusted(why)
    check_key(certificate, key, trusted.at)
    return next(ring.source for ring in trusted.keyrings for one in ring.certificates if one.fingerprint == fingerprint)


def _issuer_certificates(found: pysequoia.Sig, trusted: Trusted, *, missing_ok: bool = False) -> list[pysequoia.Cert]:
    """The certificates that contain the key which, according to the signature, made it."""
    issuer = issuer_of(found)
    maker = issuer or "an unnamed key"
    if not trusted.keyrings:
        raise Unchecked(f"no key for the OpenPGP signature by {maker} (--keyring)")
    several = [one for keyring in trusted.keyrings for one in keyring.certificates if contains_key(one, issuer)]
    if not several and not missing_ok:
        names = ", ".join(one.source or "the keyring" for one in trusted.keyrings)
        raise Untrusted(f"signature by {maker}, which is not in {names}")
    return several


def _may_ask_gpg(found: pysequoia.Sig, certificates: Iterable[pysequoia.Cert], trusted: Trusted) -> bool:
    """Whether gpg may decide: weak digests are allowed, the library does not know the key's curve, or judges at a time
    other than the one in question.

    The last is so if the signature has expired by now, or the key's owner has renewed the key since.
    """
    if not gpg_available():
        return False
    made, issuer = found.created, issuer_of(found)
    expired = found.expiration is not None and found.expiration <= datetime.now(UTC)
    if trusted.weak or expired or any(has_unknown_curve(one, issuer) for one in certificates):
        return True
    return made is not None and any(was_renewed(one, issuer, made) for one in certificates)


def _signatures(data: bytes) -> list[tuple[str, bytes]]:
    """The packets of detached signatures, each with its issuer; raises Invalid for anything else."""
    found: list[tuple[str, bytes]] = []
    try:
        for block in decode_armour(data) or [data]:
            for packet in pgp.PacketPile.from_bytes(block):
                if packet.tag != pgp.Tag.Signature:
                    raise Invalid("OpenPGP packets other than signatures")
                found.append((issuer_of(packet), bytes(packet)))
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


def _reason(found: pysequoia.Sig, certificates: Iterable[pysequoia.Cert], at: datetime) -> str:
    """The most likely reason why the library refuses a signature; raises Untrusted if it is its key or its time."""
    issuer = issuer_of(found)
    for certificate in certificates:
        check_key(certificate, issuer, at)
    _require_made_before(found, min(at, datetime.now(UTC)))
    if known(found, "hash_algorithm") is None:
        return f"signature by {issuer} with a digest that is not known here"
    if digest := weak_digest(found):
        return f"signature with {digest}, which can be forged (--allow-weak-digest accepts it)"
    if not gpg_available() and any(has_unknown_curve(one, issuer) for one in certificates):
        return f"signature by {issuer}, a key on a curve that needs gpg, which is not installed"
    for certificate in certificates:
        if why := weakness(certificate, issuer):
            return why
    return f"signature by {issuer} does not match this file: the file or the signature was changed"


def _require_made_before(found: pysequoia.Sig, latest: datetime) -> None:
    if found.created is not None and found.created > latest:
        raise Untrusted(f"signature was made at {format_time(found.created)}, after {format_time(latest)}")


def gpg_available() -> bool:
    """Whether ``gpg`` is installed."""
    from shutil import which

    return which("gpg") is not None


def _verify_with_gpg(
    certificates: Iterable[pysequoia.Cert], trusted: Trusted, data: bytes, *file: str
) -> tuple[bytes | None, list[_Maker]]:
    """What gpg finds in a message, as in ``_verify``, or in signatures of a file; raises Untrusted if it fails."""
    import subprocess
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="transship-gpg-") as folder:
        keys, given, out = (Path(folder, name) for name in ("keys.gpg", "given", "content"))
        keys.write_bytes(b"".join(map(bytes, certificates)))
        given.write_bytes(data)
        command = [
            *("gpg", "--homedir", folder, "--no-options", "--batch", "--no-tty", "--no-autostart", "--status-fd", "1"),
            *("--no-default-keyring", "--keyring", str(keys), "--trust-model", "always", "--no-auto-key-retrieve"),
            *("--faked-system-time", f"{trusted.at.astimezone(UTC):%Y%m%dT%H%M%S}!"),
            *(("--allow-weak-digest-algos", "--allow-weak-key-signatures") if trusted.weak else _STRONG),
            *("--max-output", str(current_limits().document), "--output", str(out), "--verify", str(given), *file),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired):
            raise Untrusted("gpg did not answer") from None
        lines = done.stdout.decode(errors="replace").splitlines()
        status = [line.removeprefix("[GNUPG:] ") for line in lines if line.startswith("[GNUPG:] ")]
        one_content = sum(line.startswith("PLAINTEXT ") for line in status) == 1 and out.exists()
        return out.read_bytes() if one_content else None, _good_makers(status)


def _good_makers(status: Iterable[str]) -> list[_Maker]:
    """Who made the good signatures; what gpg says of each starts with NEWSIG."""
    signatures: list[dict[str, list[str]]] = [{}]
    for line in status:
        word, *rest = line.split(" ")
        if word == "NEWSIG":
            signatures.append({})
        signatures[-1][word] = rest
    makers = []
    for one in signatures:
        valid = one.get("VALIDSIG", [])
        if "GOODSIG" in one and len(valid) >= 10 and not _BAD & one.keys():
            makers.append((valid[9].lower(), valid[0].lower()))
    return makers
