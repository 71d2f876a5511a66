"""A program that writes one image as soon as a file appears: ``python -m tests.stores.writing KIND TARGET N START``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.stores.kinds import ON_DISK
from tests.stores.test_contract import write


def main(name: str, target: Path, number: int, start: Path) -> None:
    kind = next(kind for kind in ON_DISK if kind.name == name)
    while not start.exists():
        time.sleep(0.001)
    write(kind, target, number, f"app:{number}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
