"""Public keys that the caller trusts, and whether one of them signed something (RFC 5280, 8017, 8032, FIPS 186-5).

A signer's certificate is validated up to a root that the caller trusts (RFC 5280, section 6). This is built for code
signing: a host name is checked only if the caller requires one, revocation lists never. A certificate with a critical
extension that is not understood here is refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from converter.errors import Invalid, Untrusted
from converter.model.document import decode_base64
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.trust.libraries import ec, ed25519, exceptions, hashes, padding, rsa, serialization, x509

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    T = TypeVar("T", bound=x509.ExtensionType)

RSA_BITS = 2048
"""The least size of an RSA key, in bits."""


@frozen(kw_only=False)
class Key:
    """A public key and its source as the caller names it (``--key cosign.pub``).

    ``owner`` is the signer's name for display: that in the certificate that vouches for the key, or its ID in libtrust.
    None: the fingerprint.
    """

    public: PublicKeyTypes
    source: str = ""
    owner: str | None = None

    @property
    def signer(self) -> str:
        """Who signs with it, for display."""
        return self.fingerprint if self.owner is None else self.owner

    @property
    def der(self) -> bytes:
        """The key as a SubjectPublicKeyInfo in DER."""
        return self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """The fingerprint to display: ``SHA256:`` and the hash of the key in base64, as ssh writes it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.der).digest()).decode().rstrip("=")

    @property
    def libtrust_id(self) -> str:
        """The key ID in libtrust: 240 bits of the key's SHA-256 in base32, in groups of four."""
        text = base64.b32encode(hashlib.sha256(self.der).digest()[:30]).decode()
        return ":".join(re.findall("....", text))


def load_key(data: bytes, source: str = "") -> Key:
    """Read a key in PEM or DER, alone or in a certificate; raises Invalid, also for one that is too weak."""
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            public: Any = x509.load_pem_x509_certificate(data).public_key()
        elif b"-----BEGIN " in data:
            public = serialization.load_pem_public_key(data)
        else:
            try:
                public = serialization.load_der_public_key(data)
            except ValueError:
                public = x509.load_der_x509_certificate(data).public_key()
    except malformed_errors():
        where = f" in {source}" if source else ""
        if b"PRIVATE KEY-----" in data:
            raise Invalid(f"a private key{where}: expected the public one that belongs to it") from None
        kinds = f"ECDSA ({', '.join(CURVE_HASHES)}), RSA or Ed25519"
        raise Invalid(
            f"no public key{where}: expected {kinds}, or a certificate, in PEM (OpenPGP keys: --keyring)"
        ) from None
    return Key(require_strong(public), source)


def malformed_errors() -> tuple[type[Exception], ...]:
    """What the library raises for malformed keys and certificates."""
    return (
        ValueError,
        TypeError,
        exceptions.UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    )


def require_strong(public: PublicKeyTypes) -> PublicKeyTypes:
    """The key; raises Invalid if it is of a kind or size that cannot be trusted."""
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < RSA_BITS:
            raise Invalid(f"RSA key of {public.key_size} bits: at least {RSA_BITS} are required")
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in CURVE_HASHES:
            raise Invalid(f"unsupported curve {public.curve.name} (one of: {', '.join(CURVE_HASHES)})")
    elif not isinstance(public, ed25519.Ed25519PublicKey):
        raise Invalid("unsupported kind of key: expected ECDSA, RSA or Ed25519")
    return public


def signature_matches(key: Key, signature: bytes, data: bytes) -> bool:
    """Whether the key signed the bytes, as cosign, in-toto and TUF sign: ECDSA in DER, RSA PKCS #1 v1.5, Ed25519.

    The hash is SHA-256 or, for a larger curve, also the hash of that curve's size.
    """
    sizes = {"256"}
    if isinstance(key.public, ec.EllipticCurvePublicKey):
        sizes.add(CURVE_HASHES[key.public.curve.name])
    return any(_matches_key(key.public, signature, data, size) for size in sizes)


def jws_matches(key: Key, algorithm: str, signature: bytes, data: bytes) -> bool:
    """Whether the key signed the bytes with an algorithm that JOSE names (RFC 7518), which has to fit the key.

    Raises Invalid for an algorithm that is not asymmetric or does not fit the key.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    public, size = key.public, algorithm[2:]
    if isinstance(public, ec.EllipticCurvePublicKey) and algorithm == f"ES{CURVE_HASHES[public.curve.name]}":
        width = (public.key_size + 7) // 8
        if len(signature) != 2 * width:
            return False
        r, s = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
        return _matches_key(public, encode_dss_signature(r, s), data, size)
    if isinstance(public, rsa.RSAPublicKey) and algorithm in _OF_RSA:
        return _matches_key(public, signature, data, size, pss=algorithm.startswith("PS"))
    raise Invalid(f'algorithm "{algorithm[:20]}" does not go with the key')


_OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVE_HASHES = {"secp256r1": "256", "secp384r1": "384", "secp521r1": "512"}
"""For each curve, the size in bits of the hash that goes with it."""


def _matches_key(public: PublicKeyTypes, signature: bytes, data: bytes, size: str, *, pss: bool = False) -> bool:
    """Whether the key signed the bytes, with the SHA-2 of ``size`` bits."""
    algorithm = getattr(hashes, f"SHA{size}")()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(algorithm))
        elif isinstance(public, rsa.RSAPublicKey):
            salt = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            public.verify(signature, data, salt if pss else padding.PKCS1v15(), algorithm)
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, data)
        else:
            return False
    except exceptions.InvalidSignature:
        return False
    return True


_SIGSTORE = "1.3.6.1.4.1.57264.1."
_UNDERSTOOD = ("2.5.29.15", "2.5.29.19", "2.5.29.37", "2.5.29.17", "2.5.29.14", "2.5.29.35", "2.5.29.32")
"""Key usage, basic constraints, extended key usage, alternative names, key identifiers, policies."""


@frozen
class Roots:
    """Certificates that the caller trusts.

    If not empty, ``identity`` is the e-mail address or URI that a signer must have, ``hostname`` the host name, and
    ``issuer`` the identity provider that authenticated the signer to Fulcio.
    """

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    identity: str = ""
    hostname: str = ""
    issuer: str = ""
    source: str = ""

    @classmethod
    def load(cls, data: bytes, identity: str = "", source: str = "") -> Roots:
        """Read a PEM file: self-signed certificates are roots or, if there are none, the last one. Raises Invalid."""
        found = load_pem(data, source)
        roots = tuple(one for one in found if one.issuer == one.subject) or found[-1:]
        return cls(
            roots=roots,
            intermediates=tuple(one for one in found if one not in roots),
            identity=identity,
            source=source,
        )

    def check(self, leaf: x509.Certificate, sent: Sequence[x509.Certificate], at: datetime) -> PublicKeyTypes:
        """The signer's key. ``sent`` are certificates that came with the signature and prove nothing by themselves.

        Raises Untrusted if no path leads to a root, a certificate on it is not valid at the time ``at``, or the signer
        is not the required one.
        """
        self._check_signer(leaf)
        for place, one in enumerate(self._path(leaf, [*self.intermediates, *sent])):
            start, end = one.not_valid_before_utc, one.not_valid_after_utc
            if not start <= at <= end:
                raise Untrusted(
                    f'certificate of "{subject_name(one)}" is valid from {format_time(start)} to {format_time(end)}, '
                    f"not at {format_time(at)}"
                )
            if place:
                _check_issuer(one, below=place - 1)
        return require_strong(public_key(leaf))

    def _check_signer(self, leaf: x509.Certificate) -> None:
        """Raises Untrusted if the certificate is not for signing code, or does not name the required signer."""
        _check_critical(leaf)
        who = subject_name(leaf)
        usage = extension_of(leaf, x509.KeyUsage)
        if usage is not None and not usage.digital_signature:
            raise Untrusted(f'certificate of "{who}": its key must not be used for signatures')
        if not _may_sign_code(leaf):
            raise Untrusted(f'certificate of "{who}" is for another purpose: expected code signing')
        if self.identity and self.identity not in _signer_names(leaf):
            raise Untrusted(f'certificate of "{who}": expected one of "{self.identity}"')
        hosts = _alternative_names(leaf, x509.DNSName)
        if self.hostname and not any(_matches_host(name, self.hostname) for name in hosts):
            raise Untrusted(f'certificate of "{who}": expected one of the host "{self.hostname}"')
        if self.issuer and not _names_issuer(leaf, self.issuer):
            raise Untrusted(f'certificate of "{who}" names another identity provider: expected "{self.issuer}"')
        if not self.identity and any(one.oid.dotted_string.startswith(_SIGSTORE) for one in leaf.extensions):
            # Anybody with an e-mail address can get such a certificate.
            raise Untrusted(f'certificate of "{who}" is from Fulcio: say whose it must be (--certificate-identity)')

    def _path(self, leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """The certificates from the signer's to a root, each signed by the next; raises Untrusted if there are none."""
        path = [leaf]
        while path[-1] not in self.roots:
            unused = (one for one in (*self.roots, *others) if one not in path)
            issuer = next((one for one in unused if is_issued_by(path[-1], one)), None)
            if issuer is None or len(path) >= current_limits().certificates:
                raise Untrusted(f'certificate of "{subject_name(leaf)}" is not signed by a trusted root')
            path.append(issuer)
        return path


def load_pem(data: bytes, source: str = "") -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, at least one; raises Invalid, which names the ``source``, if there is one."""
    try:
        return tuple(map(_parse_eagerly, x509.load_pem_x509_certificates(data)))
    except malformed_errors():
        place = f" in {source}" if source else ""
        raise Invalid(f"no valid certificate{place}: expected PEM with at least one") from None


def load_der(data: bytes) -> x509.Certificate:
    """One certificate; raises Invalid."""
    try:
        return _parse_eagerly(x509.load_der_x509_certificate(data))
    except malformed_errors():
        raise Invalid("invalid certificate: expected DER") from None


def load_x5c(texts: Iterable[Any]) -> list[x509.Certificate]:
    """The certificates of a JOSE header, the signer's first (RFC 7515, section 4.1.6); raises Invalid."""
    return [load_der(decode_base64(text if isinstance(text, str) else "", "a certificate")) for text in texts]


def _parse_eagerly(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate; raises now what the library would otherwise raise when one of these is first accessed."""
    _ = certificate.subject, certificate.issuer, certificate.extensions
    return certificate


def public_key(certificate: x509.Certificate) -> PublicKeyTypes:
    """The certificate's key; raises Invalid if it cannot be read."""
    try:
        return certificate.public_key()
    except malformed_errors():
        raise Invalid(f'certificate of "{subject_name(certificate)}" has a key of an unknown kind') from None


def subject_name(certificate: x509.Certificate) -> str:
    """The name to display: the certificate's first e-mail address or URI, or else its distinguished name."""
    return next(iter(_signer_names(certificate)), certificate.subject.rfc4514_string())


def extension_of(certificate: x509.Certificate, kind: type[T], *, critical: bool = False) -> T | None:
    """What the certificate's extension of that kind says; None if it has none or, on request, none that is critical."""
    try:
        found = certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
    return None if critical and not found.critical else found.value


def _signer_names(certificate: x509.Certificate) -> list[str]:
    return _alternative_names(certificate, x509.RFC822Name, x509.UniformResourceIdentifier)


def _alternative_names(certificate: x509.Certificate, *kinds: Any) -> list[str]:
    found = extension_of(certificate, x509.SubjectAlternativeName)
    return [] if found is None else [name for kind in kinds for name in found.get_values_for_type(kind)]


def _matches_host(pattern: str, hostname: str) -> bool:
    """Whether a name in a certificate matches the host; a star stands for the whole first label (RFC 9525)."""
    pattern, hostname = pattern.lower().rstrip("."), hostname.lower().rstrip(".")
    if pattern.startswith("*."):
        label, _, hostname = hostname.partition(".")
        return bool(label) and hostname == pattern.removeprefix("*.")
    return pattern == hostname


def _names_issuer(certificate: x509.Certificate, issuer: str) -> bool:
    """Whether Fulcio recorded that issuer in its older extension, the newer one, or both, without contradiction."""
    expected = {_SIGSTORE + "1": issuer.encode(), _SIGSTORE + "8": _utf8_string(issuer)}
    values = {one.oid.dotted_string: one.value for one in certificate.extensions}
    found = {name: values[name].public_bytes() for name in expected if name in values}
    return bool(found) and found.items() <= expected.items()


def _utf8_string(text: str) -> bytes:
    """The text as a UTF8String in DER (X.690, section 8.1)."""
    data = text.encode()
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8 or 1)
    form = b"" if len(data) < 128 else bytes((0x80 | len(length),))
    return b"\x0c" + form + length + data


def is_issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    """Whether the child names the parent as its issuer and the parent's key signed it; SHA-1 does not count."""
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm):
        return False
    return True


def _check_issuer(certificate: x509.Certificate, below: int) -> None:
    """Raises Untrusted if a certificate may not sign others; ``below`` counts the CAs between it and the signer."""
    _check_critical(certificate)
    if not _may_sign_code(certificate):
        raise Untrusted(f'certificate signed by "{subject_name(certificate)}", a CA for another purpose')
    constraints = extension_of(certificate, x509.BasicConstraints)
    length = None if constraints is None else constraints.path_length
    if constraints is None or not constraints.ca or (length is not None and length < below):
        raise Untrusted(f'certificate signed by "{subject_name(certificate)}", which is not a CA that may do this')
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Untrusted(f'certificate signed by "{subject_name(certificate)}", whose key must not sign certificates')


def _may_sign_code(certificate: x509.Certificate) -> bool:
    """Whether code signing is among the purposes of a certificate; one that states none may be used for any."""
    purposes = extension_of(certificate, x509.ExtendedKeyUsage)
    signing = {x509.oid.ExtendedKeyUsageOID.CODE_SIGNING, x509.oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return purposes is None or not signing.isdisjoint(purposes)


def _check_critical(certificate: x509.Certificate) -> None:
    for one in certificate.extensions:
        if one.critical and one.oid.dotted_string not in _UNDERSTOOD:
            who, extension = subject_name(certificate), one.oid.dotted_string
            raise Untrusted(f'certificate of "{who}" has a critical extension that is not known here: {extension}')


def expiry_of(value: Any) -> datetime:
    """An expiry in UTC, from text or, in CBOR, from a datetime already; raises Invalid for anything without a zone."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise Invalid(f'invalid expiry "{str(value)[:40]}": expected a time with its zone (RFC 3339)')
    return found.astimezone(UTC)


def require_unexpired(what: str, end: datetime | None, at: datetime) -> None:
    """Raises Untrusted if something has expired; None: it never does."""
    if end is not None and end <= at:
        raise Untrusted(f"{what} expired at {format_time(end)}")


def format_time(time: datetime) -> str:
    """The time in UTC, for display."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
