"""Passwords and tokens appear in no output and in no file that a run leaves."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Refuse, first
from tests.stores.registry.pushing import seed

USER, PASSWORD = "bob", "open-sesame"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        seed(fake, [])
        fake.basic = (USER, PASSWORD)
        yield fake


def run(folder: Path, *command: str) -> bytes:
    """Everything that a command says, and all that it has left in the folder, but for the auth file."""
    environment = {**os.environ, "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "converter", *command], capture_output=True, cwd=folder, env=environment, check=False
    )
    left = [path for path in folder.rglob("*") if path.is_file() and path.name != "auth.json"]
    return b"\n".join([done.stdout, done.stderr, *(path.read_bytes() for path in left)])


def nothing(_: FakeRegistry) -> None:
    """All goes well."""


def refusing(fault: Fault) -> Callable[[FakeRegistry], None]:
    def spoil(registry: FakeRegistry) -> None:
        registry.fault = first(100, fault, path="/blobs/")

    return spoil


def changed(registry: FakeRegistry) -> None:
    registry.basic = (USER, "another")


@pytest.mark.parametrize("token", [False, True], ids=["a password", "a token for it"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(nothing, id="it works"),
        pytest.param(changed, id="the password is wrong"),
        pytest.param(refusing(Refuse(status=500)), id="the registry is broken"),
        pytest.param(refusing(Cut(after=10)), id="the connection breaks"),
    ],
)
def test_secrets_stay_secret(
    spoil: Callable[[FakeRegistry], None], token: bool, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.token_life = 60 if token else None
    spoil(registry)
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"auth": BASIC}}}))
    place = f"docker://{registry.host}/app:1"
    more = ("--tls-verify=false", "--retries", "0", "--debug")
    said = run(tmp_path, "convert", place, "oci:a", *more, "--creds", f"{USER}:{PASSWORD}")
    said += run(tmp_path, "sync", place, "oci:b", *more, "--authfile", "auth.json", "--report", "report.html")
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "a").exists() == (tmp_path / "b").exists() == (spoil is nothing)
    for secret in (PASSWORD, BASIC, *registry.tokens):
        assert secret.encode() not in said
    assert json.loads((tmp_path / "auth.json").read_text())["auths"].keys() == {registry.host}
