"""Layers of what people have in images: a Debian root, Python and Node packages, large programs in Go and Rust.

Versions are given where the registry keeps them; Debian's are those that the machine's apt offers, so that figures of
different days differ a little. Each needs the tool that fetches it, and the network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

WHEELS = (
    "boto3==1.38.0",
    "cryptography==44.0.2",
    "django==5.2",
    "numpy==2.2.6",
    "pandas==2.2.3",
    "pydantic==2.11.3",
    "sqlalchemy==2.0.40",
)
WHEELS_FOR = ("--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--only-binary", ":all:")

MODULES = ("express@5.1.0", "next@15.3.1", "react@19.1.0", "react-dom@19.1.0", "tailwindcss@4.1.4", "typescript@5.8.3")
MODULES_BEFORE = "2025-05-01"

PYTHON = ("libpython3.13-minimal", "libpython3.13-stdlib", "python3.13-minimal")
TOOLS = ("ca-certificates", "curl", "git", "libcurl4t64", "perl-modules-5.40")
PROGRAMS = ("cargo", "containerd", "docker.io", "gh", "ripgrep")

MTIME = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What packing real files may take: time and size as parts of the peer's."""

    codec: str
    time: float
    size: float


TARGETS = {
    "docker-archive → oci": Target(codec="gzip", time=0.45, size=1.05),
    "oci gzip → oci zstd": Target(codec="zstd", time=0.75, size=1.03),
}
"""For each route that is measured on real files: what they are decides about nothing else."""

MEMORY = 100 * 1024 * 1024
"""Bytes that a conversion may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A real image: ``layers`` writes the tar of each, in turn, into a folder; ``needs`` are the programs for it."""

    title: str
    needs: tuple[str, ...]
    layers: Callable[[Path], Iterator[Path]]

    @property
    def missing(self) -> list[str]:
        """The programs that are not installed."""
        return [program for program in self.needs if shutil.which(program) is None]


def _debian(folder: Path) -> Iterator[Path]:
    """What ``debian:trixie-slim`` is before it is slimmed, and two layers as an image's author adds them."""
    root = folder / "root.tar"
    _run("mmdebstrap", "--quiet", "--variant=minbase", "trixie", str(root))
    yield root
    for name, packages in (("python", PYTHON), ("tools", TOOLS)):
        yield _tar(_unpacked(packages, folder / name))


def _site_packages(folder: Path) -> Iterator[Path]:
    site = folder / "site/usr/local/lib/python3.11/site-packages"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    _run(*pip, *WHEELS_FOR, "--target", str(site), *WHEELS)
    # Compiled, as pip does, but so that no time is written into the files.
    compiled = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(site))
    subprocess.run((sys.executable, *compiled), check=False, stdout=sys.stderr)  # some are for another Python
    yield _tar(folder / "site")


def _node_modules(folder: Path) -> Iterator[Path]:
    app = folder / "node/app"
    app.mkdir(parents=True)
    npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--before", MODULES_BEFORE)
    _run(*npm, "--prefix", str(app), *MODULES)
    yield _tar(app.parent)


def _programs(folder: Path) -> Iterator[Path]:
    yield _tar(_unpacked(PROGRAMS, folder / "programs"))


TREES = {
    "debian": Tree(title="Debian root", needs=("mmdebstrap", "apt-get", "dpkg-deb"), layers=_debian),
    "python": Tree(title="site-packages", needs=(), layers=_site_packages),
    "node": Tree(title="node_modules", needs=("npm",), layers=_node_modules),
    "programs": Tree(title="Go and Rust", needs=("apt-get", "dpkg-deb"), layers=_programs),
}


def _unpacked(packages: tuple[str, ...], folder: Path) -> Path:
    fetched = folder.with_suffix(".debs")
    fetched.mkdir()
    _run("apt-get", "download", "--quiet", *packages, cwd=fetched)
    for package in sorted(fetched.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(package), str(folder))
    return folder


def _tar(tree: Path) -> Path:
    """The tar of a folder, its files in order, owned by root and of one time."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = MTIME
        return info

    path = tree.with_suffix(".layer")
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for entry in sorted(tree.iterdir()):  # a folder's entries are added in the order of their names
            out.add(entry, entry.name, filter=plain)
    shutil.rmtree(tree)
    return path


def _run(*words: str, cwd: Path | None = None) -> None:
    subprocess.run(words, check=True, stdout=sys.stderr, cwd=cwd)
