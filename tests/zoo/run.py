"""Runs command lines over every animal, each in a process of its own, and checks what no command may do.

``python -m tests.zoo.run [--only REGEX] [--every N [--offset N]]`` prints a line for each fault; exit status 1 if any.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converter.cli.run import run
from converter.stores.media.temporary import remove_leftovers
from tests.zoo.members import Command, Member, as_aci, as_documents, in_layers
from tests.zoo.places import as_arguments, as_places
from tests.zoo.saved import as_saved

SECONDS = float(os.environ.get("ZOO_SECONDS", "10"))
"""That a command may take. A busy machine needs more."""

RSS = 200 * 1024
"""KiB that a command may hold."""

ELSEWHERE = (Path("/zoo-evil"), Path("/tmp/zoo-evil"), Path("/evil"), Path("/tmp/evil"))
STEERING = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]")
"""What a terminal would obey; colours are off, for no terminal is there."""
ASIDE = re.compile(rb"transship: (warning:|[0-9]+ % of )")
"""Lines that are no errors: losses, and how far a conversion is that takes its time on a busy machine."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: ``status`` as a shell says it, what it wrote, seconds, KiB."""

    status: int
    out: bytes
    err: bytes
    seconds: float
    rss: int


def every() -> Iterator[Member]:
    """All animals."""
    for group in (in_layers, as_aci, as_saved, as_documents, as_places, as_arguments):
        yield from group()


def preload() -> None:
    """Import what commands import, once for all children."""
    from importlib import import_module

    from converter.cli.commands import COMMANDS

    for module, _ in COMMANDS.values():
        import_module(module.partition(":")[0])
    for name in (
        "conversion",
        "validate",
        "compare_images",
        "stores.rootfs",
        "stores.docker_archive",
        "stores.oci_layout",
        "streams.decompress",
        "stores.aci_file",
        "stores.directory",
        "stores.recognise",
        "formats.aci",
        "formats.runtime",
    ):
        import_module(f"converter.{name}")


def start(command: Command, folder: Path) -> int:
    """The child that runs one command line in ``folder``; what it says is in ``stdout`` and ``stderr`` beside that."""
    child = os.fork()
    if child == 0:
        _child(command, folder, folder.parent / "stdout", folder.parent / "stderr")
    return child


def execute(command: Command, folder: Path) -> Done:
    """Run one command line in a child that stands in ``folder``, to its end."""
    out, err = folder.parent / "stdout", folder.parent / "stderr"
    started = time.monotonic()
    child = start(command, folder)
    status, usage = 0, None
    while usage is None:
        found, status, rest = os.wait4(child, os.WNOHANG)
        if found:
            usage = rest
        elif time.monotonic() - started > SECONDS:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
        else:
            time.sleep(0.002)
    return Done(
        os.waitstatus_to_exitcode(status),
        out.read_bytes(),
        err.read_bytes(),
        time.monotonic() - started,
        usage.ru_maxrss,
    )


def _child(command: Command, folder: Path, out: Path, err: Path) -> None:
    status = 99
    try:
        os.chdir(folder)
        for path, number in ((out, 1), (err, 2)):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(fd, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        status = run(command)
        sys.stdout.flush()
        sys.stderr.flush()
        remove_leftovers()  # as the interpreter does at the end of a program, but not of a fork
    finally:
        os._exit(status)


def faults(command: Command, done: Done) -> Iterator[str]:
    """What was wrong with the way a command ended."""
    if done.seconds > SECONDS:
        yield f"took over {SECONDS:.0f} s"
    elif done.status not in (0, 1, 2):
        yield f"ended with {done.status}"
    if done.rss > RSS:
        yield f"held {done.rss // 1024} MiB"
    if b"Traceback" in done.err or b"internal error" in done.err:
        yield "did not expect that"
    if STEERING.search(done.out) or STEERING.search(done.err):
        yield "wrote what steers a terminal"
    lines = [line for line in done.err.splitlines() if not ASIDE.match(line)]
    if done.status in (1, 2) and command[0] in ("convert", "inspect", "tags"):
        if len(lines) != 1 or not lines[0].startswith(b"transship: "):
            yield f"said {len(lines)} lines"
        if len(done.err) > 3000:
            yield f"said {len(done.err)} bytes"


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every name below, with what would change if somebody wrote there."""
    found = {}
    for directory, below, names, fd in os.fwalk(folder):
        for name in (*below, *names):
            status = os.lstat(name, dir_fd=fd)
            found[f"{directory}/{name}"] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def visit(member: Member, folder: Path) -> Iterator[tuple[Command, str, Done]]:
    """Run a member's commands; every fault, with what ended so."""
    stand = folder / "stand"
    for command in member.commands:
        home = stand / "in"
        if not home.exists():
            home.mkdir(parents=True)
            (stand / "out").mkdir()
            os.chdir(home)
            member.make()
            os.chdir("/")
        before, there = state(home), state(stand / "out")
        done = execute(command, stand)
        for fault in faults(command, done):
            yield command, fault, done
        if done.status == 2 and command[0] not in ("diff", "verify") and not member.name.startswith("argument: "):
            yield command, "called it wrong usage", done
        if state(home) != before and "oci:in/layout:new" not in command:
            yield command, "changed its source", done
        if {path.name for path in stand.iterdir()} != {"in", "out"}:
            yield command, f"left {sorted(path.name for path in stand.iterdir())}", done
        if any(os.path.lexists(path) for path in ELSEWHERE):
            yield command, "escaped", done
        after = state(stand / "out")
        if done.status != 0 and after != there and done.seconds < SECONDS:
            yield command, f"left {sorted(after)[:3]} behind", done
        if any(".transship-" in name for name in after):
            yield command, "left a temporary", done
        if after or there:
            shutil.rmtree(stand)
    shutil.rmtree(stand, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    chosen = parser.parse_args()
    preload()
    os.environ.update(HOME="/nonexistent", NO_COLOR="1")
    os.environ.pop("XDG_CACHE_HOME", None)
    count = commands = wrong = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zoo-") as where:
        for number, member in enumerate(every()):
            if number % chosen.every != chosen.offset or not re.search(chosen.only, member.name):
                continue
            count += 1
            commands += len(member.commands)
            for command, fault, done in visit(member, Path(where)):
                wrong += 1
                said = done.err[:300].decode("utf-8", "backslashreplace")
                print(f"{member.name} | {' '.join(command)!r} | {fault} | {done.status} {said!r}", flush=True)
    print(f"{count} animals, {commands} commands, {wrong} faults, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
