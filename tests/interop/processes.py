"""Services that run while they are needed, by tests or by a benchmark: standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.peers import find

#: Seconds a service may take to answer first, and to stop before it is made to.
START, STOP = 300, 60


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
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", **(http or {})},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # which is YAML too
    ports: list[int] = []

    def answers(process: int) -> bool:
        ports.extend(listening(process))
        return bool(ports)

    with started("docker-registry", "serve", path, folder=folder, answers=answers) as log:
        if log is not None:
            raise RuntimeError(f"docker-registry did not start:\n{log}")
        yield Registry(port=ports[0], folder=folder)


@contextlib.contextmanager
def started(program: str, *arguments: str | Path, folder: Path, answers: Callable[[int], bool]) -> Iterator[str | None]:
    """Start a service in a group of its own; yield None once it answers, else what it said before it ended.

    ``answers`` is called with the number of its process. At the end it is asked to stop, and after a while made to,
    with the processes that it started.
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
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(process: subprocess.Popen[bytes], answers: Callable[[int], bool]) -> bool:
    """Whether the service answers before it ends or the time is over."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        if answers(process.pid):
            return True
        time.sleep(0.05)
    return False


def listening(process: int) -> list[int]:
    """The ports of IPv4 on which a process listens (proc(5)).

    A service takes the port that the system gives it: another program may have one that was free a moment ago.
    """
    place = Path(f"/proc/{process}")
    held = set()
    for file in (place / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed by now
            held.add(file.readlink().name)
    rows = map(str.split, (place / "net/tcp").read_text().splitlines()[1:])
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held]
