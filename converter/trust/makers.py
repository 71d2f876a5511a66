"""Makes signatures: cosign's with a private key, OpenPGP's with a key file or with ``gpg`` and the user's own keys."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from converter.errors import Invalid, Untrusted
from converter.model.frozen import frozen
from converter.trust.claim import ATOMIC, COSIGN, Claim
from converter.trust.cosign import SIGNATURE
from converter.trust.dsse import pae
from converter.trust.libraries import pysequoia
from converter.trust.private_keys import PrivateKey
from converter.version import __version__

CREATOR = f"transship {__version__}"
_TIMEOUT = 300


@frozen(kw_only=False)
class CosignKey:
    """Signs as cosign does."""

    key: PrivateKey

    @classmethod
    def load(cls, data: bytes, password: bytes = b"", source: str = "the key") -> Self:
        """Sign with a private key in PEM, which may be encrypted as cosign does; ``source`` names it in messages.

        Raises Invalid, or Untrusted if the password is wrong.
        """
        return cls(PrivateKey.load(data, password, source))

    def sign(self, claim: Claim, time: int) -> tuple[bytes, dict[str, str]]:
        """The payload and its annotations; ``time`` is in seconds since 1970."""
        payload = claim.render(COSIGN, CREATOR, time)
        return payload, {SIGNATURE: base64.b64encode(self.key.sign(payload)).decode()}

    def envelope(self, kind: str, payload: bytes) -> dict[str, Any]:
        """A DSSE envelope of a payload of the type ``kind``."""
        made = base64.b64encode(self.key.sign(pae(kind, payload))).decode()
        return {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": "", "sig": made}],
        }


@frozen(kw_only=False)
class GpgFile:
    """An OpenPGP secret key from a file; ``password`` decrypts it, None if it is not encrypted."""

    data: bytes
    password: str | None = None

    def certificate(self) -> bytes:
        """The certificate, without secrets; raises Invalid."""
        return bytes(self._secret().extract_certificate())

    def message(self, claim: Claim, time: int) -> bytes:
        """A simple signature: the claim, signed."""
        try:
            return pysequoia.sign(
                self._signer(), claim.render(ATOMIC, CREATOR, time), mode=pysequoia.SignatureMode.INLINE, armor=False
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
            raise Invalid("no secret key: expected an OpenPGP one") from None

    def _signer(self) -> pysequoia.PySigner:
        secret = self._secret()
        try:
            return secret.signer(self.password)
        except (RuntimeError, ValueError):
            fact = "wrong password for the key" if self.password else "a password is needed for the key"
            raise Untrusted(f"{fact} (TRANSSHIP_GPG_PASSWORD), or it has no key to sign with") from None


@frozen(kw_only=False)
class GpgUser:
    """One of the user's own keys, named as for ``gpg --local-user``; gpg may ask for its passphrase."""

    name: str

    def certificate(self) -> bytes:
        """The certificates, without secrets, of all keys that match the name; empty if gpg knows none."""
        return self._gpg(["--export", "--", self.name], b"")

    def message(self, claim: Claim, time: int) -> bytes:
        """A simple signature: the claim, signed."""
        return self._run(["--sign"], claim.render(ATOMIC, CREATOR, time))

    def detached(self, path: str) -> bytes:
        """An armoured signature of a file."""
        return self._run(["--armor", "--output", "-", "--detach-sign", "--", path], b"")

    def _run(self, options: list[str], data: bytes) -> bytes:
        digests = ["--personal-digest-preferences", "SHA256 SHA384 SHA512"]  # the first strong enough for the key
        return self._gpg([*digests, "--no-textmode", "--local-user", self.name, *options], data)

    def _gpg(self, options: list[str], data: bytes) -> bytes:
        command = ["gpg", "--batch", "--quiet", *options]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT, check=False)
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
