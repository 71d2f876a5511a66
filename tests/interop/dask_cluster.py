"""Starts a Dask scheduler and workers for the tests, each in a process of its own on the loopback, and stops them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from distributed import Client

from tests.interop.processes import wait
from tests.patience import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class DaskCluster:
    """A scheduler, and the workers that were added to it."""

    port: int
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """As ``--scheduler`` has it."""
        return f"tcp://127.0.0.1:{self.port}"

    def add_worker(self, env: Mapping[str, str] | None = None) -> Self:
        """One more, with one thread, and variables of its own."""
        options = [*("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")]
        options += ["--local-directory", str(self.folder / "scratch")]
        number = len(self.workers)
        self.workers.append(start(self.folder / f"worker{number}.log", "worker", self.address, *options, env=env))
        return self

    def wait_for_workers(self, number: int) -> None:
        """Wait until the scheduler knows of so many."""
        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            wait_until(lambda: len(client.nthreads()) == number, f"the scheduler has {number} workers")

    def kill_worker(self, number: int) -> None:
        """As ``kill -9`` does."""
        self.workers[number].kill()


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int, env: Mapping[str, str] | None = None) -> Iterator[DaskCluster]:
    """A scheduler, with variables of its own, and so many workers that have joined; all are stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(0, folder)
    told = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told), "--no-dashboard", "--no-show")
    log = folder / "scheduler.log"

    def answers(_process: int) -> bool:
        with contextlib.suppress(OSError, ValueError):  # it is not there, or half of it
            cluster.port = int(json.loads(told.read_text())["address"].rpartition(":")[2])
        return cluster.port > 0

    scheduler = start(log, "scheduler", *options, env=env)
    try:
        if not wait(scheduler, answers):
            pytest.fail(f"dask scheduler did not start:\n{log.read_text(errors='replace')[-4000:]}")
        for _ in range(workers):
            cluster.add_worker()
        cluster.wait_for_workers(workers)
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.send_signal(signal.SIGKILL)
            process.wait()


def start(log: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A program of Dask's; it finds this checkout, and nothing of who runs the tests."""
    home = log.with_suffix(".home")
    home.mkdir()
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **(env or {})}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=variables,
        )
