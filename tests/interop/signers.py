"""gpg and cosign with keys of their own, made for one run of the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interop.tools import need, run
from tests.patience import wait_until

#: How cosign takes a registry on the loopback, and does without a log that nobody can ask here.
LOCAL = ("--allow-insecure-registry", "--allow-http-registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpg:
    """GnuPG with a home directory of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes gpg, skopeo and transship use these keys."""
        return {"GNUPGHOME": str(self.home)}

    def run(self, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> str:
        """Run gpg without asking anybody."""
        options = ("--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")
        return run("gpg", *options, *arguments, env=self.environment, stdin=stdin, status=status)

    def key(self, name: str, algorithm: str = "ed25519", expire: str = "0", at: str = "") -> str:
        """Make a key that signs; its fingerprint. ``at`` is the time of making, as gpg writes times."""
        when = ("--faked-system-time", at) if at else ()
        self.run(*when, "--quick-generate-key", f"{name} <{name}@example.org>", algorithm, "sign,cert", expire)
        return self.fingerprints(name)[0]

    def fingerprints(self, name: str) -> list[str]:
        """Those of a key and its subkeys, upper case."""
        listed = self.run("--with-colons", "--list-keys", name).splitlines()
        return [line.split(":")[9] for line in listed if line.startswith("fpr")]

    def export(self, path: Path, *names: str) -> Path:
        """The public keys, in a file."""
        path.write_text(self.run("--armor", "--export", *names))
        return path

    def export_secret(self, path: Path, name: str) -> Path:
        """A secret key, in a file."""
        path.write_text(self.run("--armor", "--export-secret-keys", name))
        return path

    def sign(self, file: Path, *names: str, options: tuple[str, ...] = ()) -> Path:
        """Sign a file, as rkt's users did: its ``.asc``."""
        users = [part for name in names for part in ("--local-user", name)]
        beside = file.with_name(f"{file.name}.asc")
        self.run(*users, *options, "--armor", "--output", beside, "--detach-sign", file)
        return beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosign:
    """cosign with a key pair."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The password of the key, and a home without a cache of others' trust."""
        return {"COSIGN_PASSWORD": "a password", "HOME": str(self.folder)}

    @property
    def secret(self) -> Path:
        """The private key, locked with the password."""
        return self.folder / "cosign.key"

    @property
    def public(self) -> Path:
        """The public key."""
        return self.folder / "cosign.pub"

    def run(self, *arguments: str | Path, experimental: bool = False, status: int = 0) -> str:
        """Run cosign, which says most on standard error."""
        more = {"COSIGN_EXPERIMENTAL": "1"} if experimental else {}
        return run("cosign", *arguments, env=self.environment | more, cwd=self.folder, status=status)

    def sign(self, image: str, *options: str, experimental: bool = False) -> None:
        """Sign an image of a registry, named by its digest."""
        arguments = ("--tlog-upload=false", "--yes", *LOCAL, *options, image)
        self.run("sign", "--key", self.secret, *arguments, experimental=experimental)

    def verify(self, image: str, status: int = 0) -> str:
        """What cosign says of an image."""
        return self.run("verify", "--key", self.public, "--insecure-ignore-tlog", *LOCAL, image, status=status)


@contextmanager
def keyring() -> Iterator[Gpg]:
    """An empty keyring. The folder's name has to be short: the agent's socket lies in it."""
    need("gpg", "gpg-agent")
    with TemporaryDirectory(prefix="ts-") as folder:
        home = Path(folder, "g")
        home.mkdir(mode=0o700)
        try:
            # gpg starts its agent, too, but waits for it for five seconds at the most.
            wait_until(partial(_agent, home), "gpg's agent runs")
            yield Gpg(home=home)
        finally:
            run("gpgconf", "--homedir", home, "--kill", "all")


def _agent(home: Path) -> bool:
    launch = ["gpgconf", "--homedir", str(home), "--launch", "gpg-agent"]
    return subprocess.run(launch, capture_output=True, check=False).returncode == 0


def make_cosign(folder: Path) -> Cosign:
    """A key pair, locked with a password."""
    need("cosign")
    folder.mkdir()
    made = Cosign(folder=folder)
    made.run("generate-key-pair")
    return made


def transship(*arguments: str | Path, env: dict[str, str] | None = None, status: int = 0) -> str:
    """Run this program; its standard output."""
    return run(sys.executable, "-m", "converter", *arguments, env=env, status=status)
