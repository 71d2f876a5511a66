"""Docker's registry (distribution 2.8) on the loopback, for the routes that need one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "docker-registry"
PATIENCE = 10
"""Seconds until one that has started answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """One that runs. It knows nothing but its files: without ``data`` it is as new."""

    host: str
    data: Path

    @property
    def image(self) -> str:
        """The place of an image in it."""
        return f"docker://{self.host}/bench/app:1"


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry whose files are below ``folder``; stopped at the end. Leaves the program where it does not start."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    made = Registry(host=host, data=folder / "data")
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(made.data)}},
        "http": {"addr": host},
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # which is YAML too
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([PROGRAM, "serve", str(path)], stdout=quiet, stderr=quiet)
    try:
        _wait(host)
        yield made
    finally:
        process.terminate()
        process.wait()


def _wait(host: str) -> None:
    address, _, port = host.partition(":")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((address, int(port))) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"bench: {PROGRAM} did not start at {host}")
