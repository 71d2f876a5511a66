"""Starts dockerd, podman's service and docker-registry for the tests, on sockets of their own, and stops them."""

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

import pytest

from tests.interop.peers import find
from tests.interop.tools import need, need_root, run, run_bytes

#: Seconds a service may take to answer first.
START = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerd:
    """A Docker Engine that this run started."""

    socket: Path
    folder: Path

    @property
    def host(self) -> str:
        """As ``DOCKER_HOST`` has it."""
        return f"unix://{self.socket}"

    def docker(self, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> str:
        """Run the client against this engine; its standard output."""
        return run("docker", *arguments, stdin=stdin, env=self.environment(), status=status)

    def save(self, *names: str) -> bytes:
        """What ``docker save`` writes."""
        return run_bytes("docker", "save", *names, env=self.environment())

    def load(self, archive: Path) -> str:
        """Load an archive, and return the name or the ID that the engine gave what it loaded."""
        said = self.docker("load", "--quiet", "--input", archive)
        return said.strip().splitlines()[-1].partition(": ")[2]

    def environment(self) -> dict[str, str]:
        """What makes the client, or transship, speak to this engine."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder / "client")}


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
def dockerd(folder: Path) -> Iterator[Dockerd]:
    """A Docker Engine with everything below `folder`, without network; stopped at the end."""
    need("dockerd", "docker", "containerd", "runc")
    need_root()
    service = Dockerd(socket=folder / "docker.sock", folder=folder)
    said: str | None = None
    for driver in ("overlay2", "vfs"):  # vfs works on any file system, also on overlayfs within a container
        options = (
            *("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", driver),
            *("--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"),
            *("--config-file", write_empty(folder / "daemon.json"), "--host", service.host),
        )
        # In a mount namespace of its own: the engine leaves mounts behind, which then end with it.
        command = ("unshare", "--mount", find("dockerd") or "dockerd", *options)
        with contextlib.ExitStack() as stack:
            said = stack.enter_context(started(*command, folder=folder, answers=lambda: answers_ping(service.socket)))
            if said is None:
                yield service
                return
    pytest.fail(f"dockerd did not start:\n{said}")


@contextlib.contextmanager
def podman(folder: Path) -> Iterator[Dockerd]:
    """Podman's service, which speaks the Engine's API, with everything below `folder`; stopped at the end."""
    need("podman", "conmon", "crun", "docker")
    need_root()
    service = Dockerd(socket=folder / "podman.sock", folder=folder)
    places = ("--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs")
    command = ("podman", *places, "system", "service", "--time", "0", service.host)
    with started(*command, folder=folder, answers=lambda: answers_ping(service.socket)) as said:
        if said is not None:
            pytest.fail(f"podman's service did not start:\n{said}")
        yield service


@contextlib.contextmanager
def registry(
    folder: Path, http: dict[str, Any] | None = None, auth: dict[str, Any] | None = None
) -> Iterator[Registry]:
    """A registry that stores below `folder`, with these parts of its configuration; stopped at the end."""
    need("docker-registry")
    service = Registry(port=free_port(), folder=folder)
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": service.host, **(http or {})},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # which is YAML too
    with started("docker-registry", "serve", path, folder=folder, answers=lambda: listens(service.port)) as log:
        if log is not None:
            pytest.fail(f"docker-registry did not start:\n{log}")
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


def answers_ping(path: Path) -> bool:
    """Whether an engine listens on the socket and answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
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


def write_empty(path: Path) -> Path:
    """An empty configuration: the machine's own must not change a test."""
    path.write_text("{}")
    return path
