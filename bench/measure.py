"""Runs a command and says what it took, by the operating system's own account of the finished process."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: seconds of wall and processor time, peak memory and the output's size in bytes.

    A process begins with the memory of the one that starts it, so no peak below this program's own is ever seen: what
    needs much memory here runs as a program of its own (``bench.inputs``, ``bench.kernels``).
    """

    wall: float
    cpu: float
    rss: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run, and the file or folder that it writes: removed before each run, unless it ``adds`` to it.

    A command that ``prints`` has its standard output for its output. One that ``unpacks`` has its output put aside
    instead of removed: for minutes after many files were deleted, ext4 takes up to ten times as long to create others,
    since it passes over their inodes one by one (``recently_deleted`` in fs/ext4/ialloc.c).
    """

    words: tuple[str, ...]
    output: Path
    adds: bool = False
    prints: bool = False
    unpacks: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def measure(command: Command) -> Run:
    """Run once. Leaves the program, with what the command said, where that fails."""
    if command.unpacks and command.output.exists():
        command.output.rename(tempfile.mkdtemp(dir=command.output.parent))
    elif not command.adds:
        remove(command.output)
    environment = os.environ | dict(command.environment)
    with (command.output if command.prints else Path(os.devnull)).open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command.words, stdout=out, stderr=subprocess.PIPE, env=environment)
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {shlex.join(command.words)}: {errors.decode(errors='replace').strip()}")
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
    """The bytes of a file, or of all files in a folder; links are not followed."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())
