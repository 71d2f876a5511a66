"""Every command of the examples of the README and of their page is run, in its order, on a small archive."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.builders import CONFIG
from tests.builders.saved import classic, config, write_tar
from tests.trust.making import ecdsa, public_pem

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parent.parent


def examples(page: str) -> Iterator[str]:
    """The command lines between the markers of a page."""
    text = (ROOT / page).read_text()
    marked = re.search(r"<!-- examples: begin -->\n```sh\n(.*?)```\n<!-- examples: end -->", text, re.DOTALL)
    assert marked is not None
    return (line for line in marked.group(1).splitlines() if not line.startswith("#"))


def saved(path: Path) -> None:
    """An archive as ``docker save`` of Docker 1.10 to 24 writes it."""
    write_tar(path, classic(tags=["example/app:1"], data=config(**CONFIG)))


def keys(folder: Path) -> None:
    """A key pair of cosign's kind, with no password."""
    made = ecdsa()
    private = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "cosign.key").write_bytes(private)
    (folder / "cosign.pub").write_bytes(public_pem(made))


def run(line: str, program: str, folder: Path, cache: Path) -> str:
    """What a command line of this program says; it fails if "!" is in front of it, as in a shell."""
    fails = line.startswith("! ")
    first, *words = shlex.split(line.removeprefix("! "))
    assert first == program
    command = [sys.executable, "-P", "-m", "converter", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == int(fails), f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_first_command_runs_in_a_fresh_clone(tmp_path: Path) -> None:
    first = re.search(r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text())
    assert first is not None
    assert "sha256:" in run(first.group(1).replace("/tmp/", f"{tmp_path}/"), "bin/transship", ROOT, tmp_path / "cache")


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    saved(tmp_path / "app.tar")
    keys(tmp_path)
    for line in examples("README.md"):
        run(line, "transship", tmp_path, tmp_path / "cache")
    assert (tmp_path / "mirror/index.json").exists()


def test_all_examples_run(tmp_path: Path) -> None:
    saved(tmp_path / "app.tar")
    keys(tmp_path)
    shown = {line: run(line, "transship", tmp_path, tmp_path / "cache") for line in examples("docs/examples.md")}
    acis = (text for line, text in shown.items() if "aci:" in text and "signed" not in line)
    ids = [found.group() for found in (re.search(r"sha512-[0-9a-f]{128}", text) for text in acis) if found is not None]
    made, *_, again = ids
    assert made == again, "an ACI that went to OCI comes back with its image ID"
    assert not (tmp_path / "other").exists(), "a dry run writes nothing"
