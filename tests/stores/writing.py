"""Processes that write an image each into one target, at once: ``python -m tests.stores.writing KIND TARGET COUNT``."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests.stores.kinds import ON_DISK, Kind
from tests.stores.test_contract import write

FORK = multiprocessing.get_context("fork")
"""What they import takes longer than what they do."""


def main(name: str, target: Path, count: int) -> int:
    kind = next(kind for kind in ON_DISK if kind.name == name)
    start = FORK.Barrier(count)
    writers = [FORK.Process(target=work, args=(kind, target, number, start)) for number in range(count)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return int(any(writer.exitcode for writer in writers))


def work(kind: Kind, target: Path, number: int, start: Barrier) -> None:
    start.wait()
    write(kind, target, number, f"app:{number}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
