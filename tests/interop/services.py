"""Starts dockerd, podman's service and docker-registry for the tests, on sockets of their own, and stops them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop import processes
from tests.interop.peers import find
from tests.interop.processes import Registry, started
from tests.interop.tools import need, need_root, run, run_bytes


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
            said = stack.enter_context(started(*command, folder=folder, answers=lambda _: answers_ping(service.socket)))
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
    with started(*command, folder=folder, answers=lambda _: answers_ping(service.socket)) as said:
        if said is not None:
            pytest.fail(f"podman's service did not start:\n{said}")
        yield service


@contextlib.contextmanager
def containerd(folder: Path) -> Iterator[Path]:
    """Containerd with everything below `folder`; the path of its socket; stopped at the end."""
    need("containerd", "ctr")
    need_root()
    address = folder / "c.sock"  # short, since it takes no more than 104 bytes with the folder and .ttrpc
    config = folder / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{address}"\n'
    )

    def answers(_process: int) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(address)) == 0

    with started("containerd", "--config", config, folder=folder, answers=answers) as said:
        if said is not None:
            pytest.fail(f"containerd did not start:\n{said}")
        yield address


@contextlib.contextmanager
def registry(
    folder: Path, http: dict[str, Any] | None = None, auth: dict[str, Any] | None = None
) -> Iterator[Registry]:
    """As ``processes.registry``; skips the test where there is none."""
    need("docker-registry")
    with processes.registry(folder, http, auth) as service:
        yield service


def answers_ping(path: Path) -> bool:
    """Whether an engine listens on the socket and answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def write_empty(path: Path) -> Path:
    """An empty configuration: the machine's own must not change a test."""
    path.write_text("{}")
    return path
