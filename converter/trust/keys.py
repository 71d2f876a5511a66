"""Public keys that the caller trusts, and whether one of them signed something (RFC 5280, 8017, 8032, FIPS 186-5)."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid
from converter.model.frozen import frozen
from converter.trust.libraries import ec, ed25519, exceptions, hashes, padding, rsa, serialization, x509

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

RSA_BITS = 2048
"""The least size of an RSA key, in bits."""


@frozen(kw_only=False)
class Key:
    """A public key and its source as the caller names it (``--key cosign.pub``)."""

    public: PublicKeyTypes
    source: str = ""

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
        return ":".join(text[place : place + 4] for place in range(0, len(text), 4))


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
        kinds = f"ECDSA ({', '.join(_CURVES)}), RSA or Ed25519"
        fact = f"no public key{where}: expected {kinds}, or a certificate, in PEM"
        raise Invalid(f"{fact} (OpenPGP keys: --keyring)") from None
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
        if public.curve.name not in _CURVES:
            raise Invalid(f"unsupported curve {public.curve.name} (one of: {', '.join(_CURVES)})")
    elif not isinstance(public, ed25519.Ed25519PublicKey):
        raise Invalid("unsupported kind of key: expected ECDSA, RSA or Ed25519")
    return public


def signature_matches(key: Key, signature: bytes, data: bytes) -> bool:
    """Whether the key signed the bytes, as cosign, in-toto and TUF sign: ECDSA in DER, RSA PKCS #1 v1.5, Ed25519.

    The hash is SHA-256 or, for a larger curve, also the hash of that curve's size.
    """
    algorithms: list[HashAlgorithm] = [hashes.SHA256()]
    if isinstance(key.public, ec.EllipticCurvePublicKey) and key.public.curve.name != "secp256r1":
        algorithms.append(_hash_algorithm(_CURVES[key.public.curve.name][0]))
    return any(_matches_key(key.public, signature, data, algorithm) for algorithm in algorithms)


def jws_matches(key: Key, algorithm: str, signature: bytes, data: bytes) -> bool:
    """Whether the key signed the bytes with an algorithm that JOSE names (RFC 7518), which has to fit the key.

    Raises Invalid for an algorithm that is not asymmetric or does not fit the key.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    family, size = algorithm[:2], algorithm[2:]
    public = key.public
    if size in ("256", "384", "512"):
        if family == "ES" and isinstance(public, ec.EllipticCurvePublicKey) and _CURVES[public.curve.name][0] == size:
            width = _CURVES[public.curve.name][1]
            if len(signature) != 2 * width:
                return False
            r, s = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
            return _matches_key(public, encode_dss_signature(r, s), data, _hash_algorithm(size))
        if family in ("RS", "PS") and isinstance(public, rsa.RSAPublicKey):
            return _matches_key(public, signature, data, _hash_algorithm(size), pss=family == "PS")
    raise Invalid(f'algorithm "{algorithm[:20]}" does not go with the key')


_CURVES = {"secp256r1": ("256", 32), "secp384r1": ("384", 48), "secp521r1": ("512", 66)}
"""For each curve, the size of its hash in bits and of its numbers in bytes."""


def _hash_algorithm(size: str) -> HashAlgorithm:

    kinds: dict[str, type[HashAlgorithm]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    return kinds[size]()


def _matches_key(
    public: PublicKeyTypes, signature: bytes, data: bytes, algorithm: HashAlgorithm, *, pss: bool = False
) -> bool:

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
