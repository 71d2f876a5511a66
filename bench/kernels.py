"""The unavoidable work of a conversion, measured alone: seconds of one core for the bytes of a route.

Run as a program of its own, ``python -m bench.kernels ARCHIVE``, which prints JSON: its memory must not be the bench's.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from converter.model.content import GZIP, ZSTD, Compression
from converter.streams.compress import compress
from converter.streams.decompress import decompress
from converter.streams.workers import Workers

BLOCK = 1024 * 1024
SAMPLE = 128 * BLOCK
"""How many bytes of an image are measured; the rest is taken to cost the same."""


def measure(archive: Path) -> dict[str, float]:
    """Seconds on one core for each kernel, for all plain layers of a ``docker save`` archive."""
    sample, total = _sample(archive)
    packed = b"".join(_packed(sample, GZIP))
    scale = total / max(1, sum(map(len, sample)))
    seconds = {
        "sha256 plain": _seconds(lambda: _hash("sha256", sample)),
        "sha512 plain": _seconds(lambda: _hash("sha512", sample)),
        "sha256 packed": _seconds(lambda: _hash("sha256", [packed])),
        "gunzip": _seconds(lambda: _drain(decompress([packed], "gzip"))),
        "gzip default": _seconds(lambda: _drain(_packed(sample, GZIP))),
        "gzip 4": _seconds(lambda: _drain(_packed(sample, Compression("gzip", 4)))),
        "gzip 6": _seconds(lambda: _drain(_packed(sample, Compression("gzip", 6)))),
        "zstd": _seconds(lambda: _drain(_packed(sample, ZSTD))),
    }
    with tempfile.TemporaryFile(dir=archive.parent, buffering=0) as file:
        for name, blocks in (("plain", sample), ("packed", _cut(packed))):
            seconds[f"write {name}"] = _seconds(partial(_write, file, blocks))
            seconds[f"read {name}"] = _seconds(partial(_read, file))
    return {name: value * scale for name, value in seconds.items()}


def _sample(archive: Path) -> tuple[list[bytes], int]:
    blocks: list[bytes] = []
    total = 0
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.endswith("layer.tar"):
                total += member.size
                file = members.extractfile(member)
                while file is not None and len(blocks) * BLOCK < SAMPLE and (block := file.read(BLOCK)):
                    blocks.append(block)
    return blocks, total


def _packed(blocks: list[bytes], compression: Compression) -> Iterator[bytes | memoryview]:
    with Workers(1) as workers:
        yield from compress(blocks, compression, workers)


def _cut(data: bytes) -> list[bytes]:
    return [data[start : start + BLOCK] for start in range(0, len(data), BLOCK)]


def _write(file: BinaryIO, blocks: list[bytes]) -> None:
    """Into the system's memory, as a new file; the disk works meanwhile."""
    file.truncate(0)
    file.seek(0)
    file.writelines(blocks)


def _read(file: BinaryIO) -> None:
    file.seek(0)
    while file.read(BLOCK):
        pass


def _hash(algorithm: str, blocks: list[bytes]) -> None:
    hasher = hashlib.new(algorithm)
    for block in blocks:
        hasher.update(block)


def _drain(blocks: Iterator[bytes | memoryview]) -> None:
    for _ in blocks:
        pass


def _seconds(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
