"""Kills conversions at random moments, and looks at what they left: the target is as before or complete.

``python -m tests.zoo.kill [--times N] [--only SINK]`` prints a line for each fault; exit status 1 if there was any.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tests.zoo.heads import END, entry, folder
from tests.zoo.members import layout
from tests.zoo.run import execute, preload, start

SINKS = ("oci", "oci-archive", "docker-archive", "dir", "aci", "rootfs", "bundle")
REPLACED = SINKS[:5]
"""Those that take the place of an older image."""

FILES = 60


def images(where: Path) -> None:
    """Two images, ``old`` and ``new``, large enough that some moments fall within a blob."""
    os.chdir(where)
    for name in ("old", "new"):
        noise = random.Random(name)
        files = [entry(f"{name}/{number}", noise.randbytes(30_000)) for number in range(FILES)]
        layers = [folder(name) + b"".join(files[part::3]) + END for part in range(3)]
        layout([(data, data) for data in layers]).write(name)
    os.chdir("/")


def snapshot(path: Path) -> str:
    """One digest over all that is at a path; empty where nothing is."""
    if not os.path.lexists(path):
        return ""
    found = sha256()
    for directory, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            place = Path(directory, name)
            content = os.fsencode(place.readlink()) if place.is_symlink() else place.read_bytes()
            found.update(f"{place.relative_to(path)}\0{place.lstat().st_mode}\0".encode() + sha256(content).digest())
        found.update("\0".join(below).encode())
    if path.is_file():
        found.update(path.read_bytes())
    return found.hexdigest()


def left(stand: Path) -> list[str]:
    """Temporaries that are still there."""
    return [str(path) for path in stand.rglob(".transship-*")]


def rounds(sink: str, replacing: bool, times: int, folder_: Path, chance: random.Random) -> Iterator[str]:
    """Kill as often as that, each time on a fresh target; yields what was wrong."""

    def command(name: str) -> tuple[str, ...]:
        # An OCI layout keeps what it has, so that both images have the same name there.
        more = ":app" if sink in {"oci", "oci-archive", "docker-archive"} else ""
        return ("convert", "--no-cache", "--overwrite", f"oci:{name}:app", f"{sink}:out/x{more}")

    def prepared() -> Path:
        stand = Path(tempfile.mkdtemp(dir=folder_))
        (stand / "out").mkdir()
        for name in ("old", "new"):
            (stand / name).symlink_to(folder_ / name)
        if replacing:
            assert execute(command("old"), stand).status == 0
        return stand

    whole = prepared()
    before = snapshot(whole / "out/x")
    started = time.monotonic()
    done = execute(command("new"), whole)
    took = time.monotonic() - started
    assert done.status == 0, done.err
    after = snapshot(whole / "out/x")
    for number in range(times):
        stand = prepared()
        child = start(command("new"), stand)
        time.sleep(chance.uniform(0, took * 1.1))
        os.kill(child, signal.SIGKILL if number % 4 else signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        if snapshot(stand / "out/x") not in (before, after):
            # A layout may hold blobs that nothing names yet: its images count.
            images_there = execute(("validate", f"{sink}:out/x"), stand)
            if sink != "oci" or not replacing or images_there.status != 0:
                yield f"{sink}: killed ({status}), neither as before nor complete"
        if os.WIFEXITED(status) and left(stand / "out"):
            yield f"{sink}: stopped, and left {left(stand / 'out')}"
        again = execute(command("new"), stand)
        if again.status != 0 and not (sink in {"rootfs", "bundle"} and b"not empty" in again.err):
            yield f"{sink}: the next run said {again.err!r}"
        if left(stand / "out"):
            yield f"{sink}: the next run left {left(stand / 'out')}"
        if sink != "oci" and snapshot(stand / "out/x") != after:
            yield f"{sink}: the next run made something else"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    preload()
    os.environ.update(HOME="/nonexistent", NO_COLOR="1")
    wrong = count = 0
    with tempfile.TemporaryDirectory(prefix="kill-") as where:
        images(Path(where))
        for sink in SINKS:
            for replacing in (False, True) if sink in REPLACED else (False,):
                if not re.search(chosen.only, sink):
                    continue
                count += chosen.times
                chance = random.Random(f"{sink} {replacing}")
                for fault in rounds(sink, replacing, chosen.times, Path(where), chance):
                    wrong += 1
                    print(fault, flush=True)
    print(f"{count} kills, {wrong} faults", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
