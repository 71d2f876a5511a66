"""Makes signatures: cosign's with a private key, OpenPGP's with a key file or with ``gpg`` and the user's own keys.

Private keys are ordinary PEM, or password-protected ones from ``cosign generate-key-pair``.
"""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from converter.errors import Invalid, Untrusted
from converter.model.document import decode_base64, load_object, required_member
from converter.model.frozen import frozen
from converter.model.limits import MIB
from converter.trust.cosign import SIGNATURE, pae
from converter.trust.identity import ATOMIC, COSIGN, Claim
from converter.trust.keys import Key, require_strong
from converter.trust.libraries import ec, ed25519, exceptions, hashes, padding, pysequoia, rsa, serialization
from converter.trust.stored_signatures import CosignPayload, SimpleSignature
from converter.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CREATOR = f"transship {__version__}"
_COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([^-]+)-----END ")


@frozen(kw_only=False)
class CosignKey:
    """A private key, which signs as cosign does."""

    private: PrivateKeyTypes

    @classmethod
    def load(cls, data: bytes, password: bytes = b"", source: str = "the key") -> Self:
        """Read a key in PEM, which may be encrypted as cosign does; ``source`` names it in messages.

        Raises Invalid, or Untrusted if the password is wrong.
        """
        box = _COSIGN.search(data)
        locked = b"ENCRYPTED" in data
        try:
            if box is not None:
                found = serialization.load_der_private_key(_unlocked(base64.b64decode(box[1]), password), None)
            else:
                found = serialization.load_pem_private_key(data, password if locked else None)
        except (ValueError, TypeError, exceptions.UnsupportedAlgorithm, Untrusted):
            if locked:
                fact = "wrong password for" if password else "a password is needed for"
                raise Untrusted(f"{fact} {source} (COSIGN_PASSWORD)") from None
            if b"PUBLIC KEY-----" in data:
                raise Invalid(f"a public key in {source}: expected the private one that belongs to it") from None
            raise Invalid(f"no private key in {source}: expected PEM") from None
        require_strong(found.public_key())
        return cls(found)

    @property
    def public(self) -> Key:
        """The public key."""
        return Key(self.private.public_key())

    def sign(self, claim: Claim, time: int) -> CosignPayload:
        """Sign a claim; ``time`` is in seconds since 1970."""
        payload = claim.render(COSIGN, CREATOR, time)
        return CosignPayload(payload, {SIGNATURE: base64.b64encode(self.sign_bytes(payload)).decode()})

    def envelope(self, kind: str, payload: bytes) -> dict[str, Any]:
        """A DSSE envelope of a payload of the type ``kind``."""
        made = base64.b64encode(self.sign_bytes(pae(kind, payload))).decode()
        return {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": "", "sig": made}],
        }

    def sign_bytes(self, data: bytes) -> bytes:
        """Sign as cosign does: ECDSA in DER or RSA PKCS #1 v1.5, with SHA-256, or Ed25519."""
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        assert isinstance(self.private, ed25519.Ed25519PrivateKey), "load() takes no other"
        return self.private.sign(data)


def _unlocked(data: bytes, password: bytes) -> bytes:
    """The PKCS #8 key in cosign's box, a JSON document with the key derivation's parameters and the ciphertext."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    box = load_object(data)
    stretch, lock = required_member(box, "kdf", dict), required_member(box, "cipher", dict)
    if (stretch.get("name"), lock.get("name")) != ("scrypt", "nacl/secretbox"):
        raise Invalid("unsupported encryption of the key: expected scrypt and nacl/secretbox")
    numbers: dict[str, Any] = required_member(stretch, "params", dict)
    n, r, p = (required_member(numbers, name, int) for name in ("N", "r", "p"))
    if not (1 < n <= 1 << 20 and 0 < r <= 64 and 0 < p <= 16 and 128 * n * r <= 256 * MIB):
        raise Invalid("unsupported parameters of scrypt: at most 256 MiB are allowed")
    salt = decode_base64(required_member(stretch, "salt", str), "the salt")
    key = Scrypt(salt, 32, n, r, p).derive(password)
    nonce = decode_base64(required_member(lock, "nonce", str), "the nonce")
    ciphertext = decode_base64(required_member(box, "ciphertext", str), "the ciphertext")
    try:
        return SecretBox(key).decrypt(ciphertext, nonce)
    except (CryptoError, ValueError):
        raise Untrusted("wrong password for the key") from None


@frozen(kw_only=False)
class GpgFile:
    """An OpenPGP secret key from a file; ``password`` decrypts it, None if it is not encrypted; ``source`` names it in
    messages.
    """

    data: bytes
    password: str | None = None
    source: str = "the key"

    def certificate(self) -> bytes:
        """The certificate, without secrets; raises Invalid."""
        return bytes(self._secret().extract_certificate())

    def sign(self, claim: Claim, time: int) -> SimpleSignature:
        """Sign a claim; ``time`` is in seconds since 1970."""
        text = claim.render(ATOMIC, CREATOR, time)
        try:
            return SimpleSignature(
                pysequoia.sign(self._signer(), text, mode=pysequoia.SignatureMode.INLINE, armor=False)
            )
        except RuntimeError:
            raise Untrusted("the OpenPGP key cannot sign") from None

    def detached(self, path: str) -> bytes:
        """An armoured signature of a file."""
        with TemporaryDirectory(prefix="transship-") as folder:
            out = Path(folder, "signature")
            try:
                pysequoia.sign_file(self._signer(), path, str(out), mode=pysequoia.SignatureMode.DETACHED)
            except RuntimeError:
                raise Untrusted("the OpenPGP key cannot sign") from None
            return out.read_bytes()

    def _secret(self) -> pysequoia.Tsk:
        try:
            return pysequoia.Tsk.from_bytes(self.data)
        except (RuntimeError, ValueError):
            raise Invalid(f"no secret key in {self.source}: expected one of OpenPGP, or a private key in PEM") from None

    def _signer(self) -> pysequoia.PySigner:
        secret = self._secret()
        try:
            return secret.signer(self.password)
        except (RuntimeError, ValueError):
            fact = f"{'wrong password' if self.password else 'a password is needed'} for {self.source}"
            raise Untrusted(f"{fact} (TRANSSHIP_GPG_PASSWORD), or it has no key to sign with") from None


@frozen(kw_only=False)
class GpgUser:
    """One of the user's own keys, named as for ``gpg --local-user``; gpg may ask for its passphrase."""

    name: str

    def certificate(self) -> bytes:
        """The certificates, without secrets, of all keys that match the name; empty if gpg knows none."""
        return self._gpg(["--export", "--", self.name], b"")

    def sign(self, claim: Claim, time: int) -> SimpleSignature:
        """Sign a claim; ``time`` is in seconds since 1970."""
        return SimpleSignature(self._run(["--sign"], claim.render(ATOMIC, CREATOR, time)))

    def detached(self, path: str) -> bytes:
        """An armoured signature of a file."""
        return self._run(["--armor", "--output", "-", "--detach-sign", "--", path], b"")

    def _run(self, options: list[str], data: bytes) -> bytes:
        digests = ["--personal-digest-preferences", "SHA256 SHA384 SHA512"]  # the first strong enough for the key
        return self._gpg([*digests, "--no-textmode", "--local-user", self.name, *options], data)

    def _gpg(self, options: list[str], data: bytes) -> bytes:
        try:
            done = subprocess.run(
                ["gpg", "--batch", "--quiet", *options], input=data, capture_output=True, timeout=300, check=False
            )
        except FileNotFoundError:
            raise Invalid(f'cannot sign with "{self.name}": gpg is not installed; a key file works without') from None
        except subprocess.TimeoutExpired:
            raise Untrusted("gpg did not sign in time") from None
        if done.returncode:
            output = done.stderr.decode(errors="replace").strip().splitlines()
            why = output[-1].removeprefix("gpg: ") if output else f"exit status {done.returncode}"
            raise Untrusted(f'gpg cannot sign with "{self.name}": {why}')
        return done.stdout


Maker = CosignKey | GpgFile | GpgUser
