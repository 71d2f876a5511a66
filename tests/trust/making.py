"""Keys, certificates and images made at run time: what the tests of trust start from."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pysequoia import Tsk

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName
from converter.trust.identity import Claim
from converter.trust.keys import Key
from converter.trust.makers import CosignKey
from converter.trust.openpgp_keys import Keyring
from converter.trust.signature import Subject, Trusted

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
"""When it is asked. Signatures are made while the tests run, however long that is, and none may come of the future."""

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "layers": []}, indent=2).encode()
NAME = "registry.example/app:1"


def subject(manifest: bytes = MANIFEST, name: str | None = NAME, media_type: str = types.OCI_MANIFEST) -> Subject:
    """An image, by default the one that everybody signs here."""
    return Subject(
        manifest=manifest,
        descriptor=Descriptor.of(manifest, media_type),
        name=None if name is None else ImageName.parse(name),
    )


def claim(manifest: bytes = MANIFEST, name: str = NAME) -> Claim:
    """That the manifest goes by the name."""
    return Claim(digest=Descriptor.of(manifest, types.OCI_MANIFEST).digest, identity=name)


def trusted(*keys: CosignKey, **more: Any) -> Trusted:
    """Somebody who trusts these keys, and asks now."""
    public = [Key(key.public.public, f"--key {place}") for place, key in enumerate(keys)]
    return Trusted(**{"at": NOW, "keys": public, **more})


@cache
def ecdsa(number: int = 0) -> CosignKey:
    """One of cosign's kind; another for each number."""
    del number
    return CosignKey(ec.generate_private_key(ec.SECP256R1()))


@cache
def rsa_key() -> CosignKey:
    """An RSA key."""
    return CosignKey(rsa.generate_private_key(65537, 2048))


@cache
def ed25519_key() -> CosignKey:
    """An Ed25519 key."""
    return CosignKey(ed25519.Ed25519PrivateKey.generate())


@cache
def openpgp(name: str = "signer") -> Tsk:
    """An OpenPGP key of that name."""
    return Tsk.generate(f"{name} <{name}@example.org>")


def keyring(*keys: Tsk, source: str = "--keyring keys") -> Keyring:
    """What ``gpg --export`` would give of them."""
    return Keyring.load(b"".join(bytes(key.extract_certificate()) for key in keys), source)


def public_pem(key: CosignKey) -> bytes:
    """The public half as a file."""
    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as a file."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def der(certificate: x509.Certificate) -> str:
    """A certificate as envelopes have it: base64 of DER."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def certificate(
    name: str,
    key: CosignKey,
    issuer: tuple[x509.Certificate, CosignKey] | None = None,
    *,
    ca: bool = False,
    start: datetime = NOW - timedelta(days=1),
    days: int = 30,
    email: str = "",
    hostname: str = "",
    usage: x509.ObjectIdentifier | None = None,
    extra: Mapping[str, bool | bytes] | None = None,
    more_usage: bool = False,
) -> x509.Certificate:
    """A certificate, signed by itself where nobody else does.

    ``usage`` is for code signing, unless it is a CA's; ``more_usage`` lets its key do more than that; ``extra`` maps
    OIDs to whether they are critical, or, where they are not, to what they say.
    """
    subject_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer[0].subject if issuer else subject_name)
        .public_key(key.private.public_key())  # type: ignore[arg-type]  # every key here is of a kind that can be in one
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca=ca, more=more_usage), critical=True)
    )
    usage = usage or (None if ca else ExtendedKeyUsageOID.CODE_SIGNING)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    names = [*([x509.RFC822Name(email)] if email else []), *([x509.DNSName(hostname)] if hostname else [])]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for oid, told in (extra or {}).items():
        value = told if isinstance(told, bytes) else b"\x05\x00"
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unknown, critical=told is True)
    signer = (issuer[1] if issuer else key).private
    assert isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey)
    return builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _usage(*, ca: bool, more: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=more,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


class Chain:
    """A root, an intermediate and a signer, each with a key."""

    def __init__(self, signer: CosignKey | None = None, **leaf: Any) -> None:
        self.root_key, self.middle_key, self.key = ecdsa(100), ecdsa(101), signer or ecdsa(102)
        self.root = certificate("Root", self.root_key, ca=True)
        self.middle = certificate("Middle", self.middle_key, (self.root, self.root_key), ca=True)
        self.leaf = certificate("Signer", self.key, (self.middle, self.middle_key), **leaf)
        self.sent = [self.leaf, self.middle, self.root]
        """In the order in which envelopes have them."""
