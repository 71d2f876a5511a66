"""Services that run while they are needed, by tests or by a benchmark: standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.peers import find

#: Seconds a service may take to answer first.
START = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Docker's registry (distribution 2.8), over plain HTTP on the loopback."""

    port: int
    folder: Path

    @property
    def host(self) -> str:
        """As a reference has it: ``docker://HOST/REPO``."""
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def registry(
    folder: Path, http: dict[str, Any] | None = None, auth: dict[str, Any] | None = None
) -> Iterator[Registry]:
    """A registry that stores in `folder`/data, with these parts of its configuration; stopped at the end."""
    folder.mkdir(exist_ok=True)
    service = Registry(port=free_port(), folder=folder)
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": service.host, **(http or {})},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # which is YAML too
    with started("docker-registry", "serve", path, folder=folder, answers=lambda: listens(service.port)) as log:
        if log is not None:
            raise RuntimeError(f"docker-registry did not start:\n{log}")
        yield service


@contextlib.contextmanager
def started(program: str, *arguments: str | Path, folder: Path, answers: Callable[[], bool]) -> Iterator[str | None]:
    """Start a service in a group of its own; yield None once it answers, else what it said before it ended.

    At the end it is asked to stop, and after ten seconds made to, with the processes that it started.
    """
    log = folder / f"{program}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [find(program) or program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield None if wait(process, answers) else log.read_text(errors="replace")[-4000:]
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> bool:
    """Whether the service answers before it ends or the time is over."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        if answers():
            return True
        time.sleep(0.05)
    return False


def listens(port: int) -> bool:
    """Whether somebody accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of the loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
