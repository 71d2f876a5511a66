"""The images that are converted: what people have (``bench.trees``), and generated ones, alike on every machine.

The generated ones are about as compressible as a distribution's files, but repeat themselves over shorter distances:
they show how time grows with size and with the number of files, and nothing about sizes.

Run as a program of its own, ``python -m bench.inputs IMAGE FOLDER``: its memory must not be the bench's.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.trees import TREES

MIB = 1024 * 1024
PAGE = 256 * 1024
CONFIG = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an image is made of: for each layer, how many files of how many bytes; ``title`` is for people."""

    name: str
    title: str
    layers: tuple[tuple[int, int], ...]


SHAPES = {
    "small": Shape(name="small", title="small", layers=((40, MIB), (200, 32 * 1024), (10, 400 * 1024))),
    "500mb": Shape(name="500mb", title="500 MB", layers=((260, MIB), (4000, 32 * 1024), (40, 3 * MIB))),
    "2gb": Shape(name="2gb", title="2 GB", layers=((1400, MIB), (10000, 32 * 1024), (100, 3 * MIB))),
    "files": Shape(name="files", title="100,000 files", layers=((60000, 1200), (30000, 900), (10000, 2000))),
}


TITLES = {name: tree.title for name, tree in TREES.items()} | {name: shape.title for name, shape in SHAPES.items()}
"""Every image, those of real files first."""


def archive_of(name: str, folder: Path) -> Path:
    """Where the archive of an image lies; another name for other contents."""
    return folder / f"{name}-3.tar"


def archive(name: str, folder: Path) -> Path:
    """A ``docker save`` archive of plain layers, made unless it is there."""
    path = archive_of(name, folder)
    if path.exists():
        return path
    made = path.with_suffix(".making")
    with (
        tarfile.open(made, "w", format=tarfile.USTAR_FORMAT) as out,
        tempfile.TemporaryDirectory(dir=folder) as temporary,
    ):
        names, diff_ids = [], []
        place = Path(temporary)
        for layer in TREES[name].layers(place) if name in TREES else _layers(SHAPES[name], place):
            diff_ids.append(_sha256(layer))
            names.append(f"{diff_ids[-1]}/layer.tar")
            out.add(layer, names[-1], filter=_plain)
            layer.unlink()
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}" for diff_id in diff_ids]}
        config = json.dumps({**CONFIG, "rootfs": rootfs}).encode()
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        row = {"Config": config_name, "RepoTags": [f"bench/{name}:1"], "Layers": names}
        for member, data in ((config_name, config), ("manifest.json", json.dumps([row]).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    made.rename(path)
    return path


def sizes(path: Path) -> list[int]:
    """The bytes of each layer of an archive."""
    with tarfile.open(path) as members:
        return [member.size for member in members if member.name.endswith("layer.tar")]


def _layers(shape: Shape, folder: Path) -> Iterator[Path]:
    pages = _pages()
    for number, (count, size) in enumerate(shape.layers):
        yield _layer(folder / f"{number}.layer", number, count, size, pages)


def _layer(path: Path, number: int, count: int, size: int, pages: list[bytes]) -> Path:
    """Write the tar of a layer; every layer but the first removes and replaces files of the one below."""
    chance = random.Random(number)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as out:
        for index in range(count):
            folder = f"srv/{number}/{index // 500:03}"
            data = b"".join(_content(chance, size, pages))
            _add(out, f"{folder}/file-{index:06}.dat", data)
            if number and index % 100 == 0:
                _add(out, f"srv/{number - 1}/000/.wh.file-{index // 100:06}.dat", b"")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = 1_700_000_000
    out.addfile(info, io.BytesIO(data))


def _content(chance: random.Random, size: int, pages: list[bytes]) -> Iterator[bytes]:
    alphabet = list(range(256))
    while size > 0:
        page = chance.choice(pages)
        start = chance.randrange(PAGE // 2)
        piece = page[start : start + min(size, PAGE)]
        size -= len(piece)
        # Each in an alphabet of its own: files of a distribution seldom repeat each other.
        chance.shuffle(alphabet)
        yield piece.translate(bytes(alphabet))


def _pages() -> list[bytes]:
    """Pages of text, of tables and of noise; together they pack as a Debian root does, in size and in time."""
    chance = random.Random(1)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(3000)]
    common = [1 / (rank + 3) for rank in range(len(words))]

    def phrase() -> bytes:
        return b" ".join(chance.choices(words, common, k=chance.randint(3, 9)))

    phrases = [phrase() for _ in range(3000)]
    usual = list(itertools.accumulate(1 / (rank + 20) for rank in range(len(phrases))))

    def text() -> bytes:
        lines = chance.choices(phrases, cum_weights=usual, k=PAGE // 24)
        return b"\n".join(phrase() if chance.random() < 0.1 else line for line in lines)[:PAGE].ljust(PAGE)

    def row(number: int) -> bytes:
        return number.to_bytes(4, "little") + (number * 37 % 65536).to_bytes(2, "little") + chance.randbytes(2)

    texts = [text() for _ in range(60)]
    tables = [b"".join(row(number).ljust(16, b"\0") for number in range(PAGE // 16)) for _ in range(26)]
    noise = [chance.randbytes(PAGE) for _ in range(6)]
    return texts + tables + noise


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    archive(sys.argv[1], Path(sys.argv[2]))
