"""Runs a real program for a test, and says which one is missing, or what it said, where it does not go well."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.interop.peers import PEERS, find, is_root_on_debian

#: Seconds after which a program is taken to hang.
PATIENCE = 300


def need(*programs: str) -> None:
    """Skip the test where a program is missing, by name; on CI, where `bin/test` installs them all, fail it.

    A program that is not among the peers fails the test everywhere: nobody would install it on a new machine.
    """
    for program in programs:
        if "/" not in program and program not in PEERS:
            pytest.fail(f"{program} is not listed in tests/interop/peers.py")
        if find(program) is None:
            give_up(f"needs the program {program} (Debian: apt-get install {PEERS[program][0]})")


def need_root() -> None:
    """Skip, or on CI fail, a test that only root can run: a daemon, or files with owners."""
    if os.geteuid() != 0:
        give_up("needs to be root")


def need_network(url: str) -> None:
    """Skip, or on CI fail, a test whose input comes from a mirror that does not answer, however often it is asked."""
    failed: list[OSError] = []
    for pause in (1, 10, 0):
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except OSError as error:
            failed.append(error)
        time.sleep(pause)
    give_up(f"needs {url}: {failed}")


def give_up(reason: str) -> None:
    """Skip the test; fail it on CI where it could have run."""
    if os.environ.get("CI") and is_root_on_debian():
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    program: str,
    *arguments: str | Path,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    status: int = 0,
) -> str:
    """Run a program and return what it wrote on standard output.

    `env` adds to the test's own environment. Fails the test, with all that the program said, where it ends with another
    status than `status`.
    """
    return run_bytes(program, *arguments, stdin=stdin, cwd=cwd, env=env, status=status).decode()


def run_bytes(
    program: str,
    *arguments: str | Path,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    status: int = 0,
) -> bytes:
    """`run` for a program that writes an archive to standard output."""
    need(program)
    command = [find(program) or program, *map(str, arguments)]
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != status:
        said = (done.stdout[-4000:] + done.stderr[-8000:]).decode(errors="replace")
        pytest.fail(f"{' '.join(command)}: exit status {done.returncode}, expected {status}\n{said}")
    return done.stdout
