"""Runs a command and says what it took, by the operating system's own account of the finished process."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: seconds of wall and processor time, peak memory and the output's size in bytes."""

    wall: float
    cpu: float
    rss: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run, and the file or folder that it writes: removed before each run."""

    words: tuple[str, ...]
    output: Path


def measure(command: Command) -> Run:
    """Run once. Raises CalledProcessError where the command fails."""
    remove(command.output)
    started = time.perf_counter()
    process = subprocess.Popen(command.words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command.words, stderr=errors)
    cpu = usage.ru_utime + usage.ru_stime
    return Run(wall=wall, cpu=cpu, rss=usage.ru_maxrss * 1024, size=size_of(command.output))


def interleaved(ours: Command, peer: Command, runs: int) -> tuple[list[Run], list[Run]]:
    """Both commands in turn, after one run of each that does not count."""
    measure(ours)
    measure(peer)
    pairs = [(measure(ours), measure(peer)) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
