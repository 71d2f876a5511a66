"""A small tree, keys, and the commands, for the tests of profiles."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from converter.cli.main import main


@dataclass
class Done:
    """What a command did."""

    code: int
    stdout: str
    stderr: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return Done(code, *capsys.readouterr())

    return run


def make_tree(tree: Path) -> Path:
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/app.conf").write_text("on\n")
    (tree / "etc/app-local").write_text("local\n")
    (tree / "bin").mkdir()
    (tree / "bin/app").write_bytes(b"\x7fELF" + bytes(1000))
    (tree / "bin/app").chmod(0o755)
    os.link(tree / "bin/app", tree / "bin/app2")
    (tree / "lib").symlink_to("bin")
    os.mkfifo(tree / "pipe")
    os.setxattr(tree / "etc/app.conf", "user.note", b"yes")
    (tree / "dev").mkdir()
    (tree / "dev/console").touch()
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Makes a private key, and its public one, of some name."""

    def make(name: str) -> tuple[Path, Path]:
        private = ec.generate_private_key(ec.SECP256R1())
        secret, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        secret.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return secret, public

    return make


@pytest.fixture
def keys(pair: Callable[[str], tuple[Path, Path]]) -> tuple[Path, Path]:
    """A private key, and its public one."""
    return pair("key")
