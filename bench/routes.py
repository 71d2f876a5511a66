"""What is measured: each conversion, and the command that does the same work, of another tool or of this one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure import Command
from bench.trees import TARGETS, TREES
from tests.interop.peers import find
from tests.interop.processes import registry

ROOT = Path(__file__).resolve().parent.parent
OURS = str(ROOT / "bin" / "transship")

ACI = "docker-archive → aci"
LARGE = ("500mb", "2gb")
OF_DOCKER2ACI = {"500mb": 0.15 * 3.9, "2gb": 0.15 * 4.1, "files": 0.10 * 18}
"""docker2aci cannot be had any more; it took that many times skopeo's time for docker-archive → oci."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One conversion beside its peer; ``goal`` is the ratio of wall times that the project has set itself, for large
    images: a small one is mostly start-up.

    ``kernels`` are those of ``bench.kernels`` that the work cannot do without, ``chain`` those that go through a layer
    from its first byte to its last and so on one core: together its floor.
    """

    name: str
    ours: Command
    peer: Command
    goal: float | None
    kernels: tuple[str, ...]
    chain: tuple[str, ...] = ()

    def floor(self, seconds: Mapping[str, float], cores: int, largest: float) -> float:
        """The least time this can take, in seconds, where the largest layer is that part of the bytes; 0: none known.

        Neither a start nor a disk is in it.
        """
        work = sum(seconds[name] for name in self.kernels) / cores
        return max(work, largest * sum(seconds[name] for name in self.chain))

    @property
    def peer_name(self) -> str:
        """The program beside which it is measured."""
        return Path(self.peer.words[0]).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """One image in each of the forms that a route starts from."""

    shape: str
    archive: Path
    layout: Path

    @property
    def saved(self) -> str:
        """The ``docker save`` archive of plain layers."""
        return f"docker-archive:{self.archive}"

    @property
    def gzipped(self) -> str:
        """The OCI layout of gzip layers."""
        return f"oci:{self.layout}:latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the commands write, and the cache that ours has to itself."""

    folder: Path

    def ours(self, output: str, *words: str, adds: bool = False) -> Command:
        """A conversion by this program. ``{}`` in a word is the place of the output."""
        path = self.folder / f"ours{output}"
        cache = ("XDG_CACHE_HOME", str(self.folder / "cache"))
        filled = tuple(word.format(path) for word in words)
        return Command(words=(OURS, "convert", "--quiet", *filled), output=path, adds=adds, environment=(cache,))

    def skopeo(self, output: str, *words: str) -> Command:
        """A copy by skopeo."""
        path = self.folder / f"skopeo{output}"
        return Command(words=("skopeo", "copy", "--quiet", *(word.format(path) for word in words)), output=path)


def routes(images: Images, folder: Path) -> Iterator[Route]:
    """Every route for one image whose peer is installed; of real files, those that pack them."""
    out = Outputs(folder=folder)
    if images.shape in TREES:
        for route in _recompressing(images, out):
            if route.name in TARGETS:
                yield replace(route, goal=TARGETS[route.name].time)
        return
    for route in _routes(images, out):
        if shutil.which(route.peer.words[0]):
            yield route if images.shape in LARGE or route.name == ACI else replace(route, goal=None)


def _routes(images: Images, out: Outputs) -> Iterator[Route]:
    yield from _recompressing(images, out)
    yield from _moving(images, out)
    yield from _unpacking(images, out)
    yield from _again(images, out)
    if find("docker-registry"):
        yield from _between_registries(images, out)


def _recompressing(images: Images, out: Outputs) -> Iterator[Route]:
    to_oci = out.skopeo(".oci", images.saved, "oci:{}:latest")
    yield Route(
        name="docker-archive → oci",
        ours=out.ours(".oci", images.saved, "oci:{}:latest"),
        peer=to_oci,
        goal=0.38,
        kernels=("read plain", "sha256 plain", "gzip default", "sha256 packed", "write packed"),
        chain=("sha256 plain",),
    )
    yield Route(
        name="docker-archive → oci, gzip:4",
        ours=out.ours(".oci", "--compress", "gzip:4", images.saved, "oci:{}:latest"),
        peer=to_oci,
        goal=1.15,
        kernels=("read plain", "sha256 plain", "gzip 4", "sha256 packed", "write packed"),
        chain=("sha256 plain",),
    )
    packed = out.folder / "archive.gz"
    yield Route(
        name="docker-archive → oci, gzip:6",
        ours=out.ours(".oci", "--compress", "gzip:6", images.saved, "oci:{}:latest"),
        peer=Command(words=("pigz", "--stdout", "-6", str(images.archive)), output=packed, prints=True),
        goal=1,
        kernels=("read plain", "sha256 plain", "gzip 6", "sha256 packed", "write packed"),
        chain=("sha256 plain",),
    )
    yield Route(
        name="oci gzip → oci zstd",
        ours=out.ours(".oci", "--compress", "zstd", images.gzipped, "oci:{}:latest"),
        peer=out.skopeo(".oci", "--dest-compress-format", "zstd", "--dest-compress", images.gzipped, "oci:{}:latest"),
        goal=0.55,
        kernels=("read packed", "sha256 packed", "gunzip", "sha256 plain", "zstd", "sha256 packed", "write packed"),
        chain=("gunzip",),
    )
    yield Route(
        name=ACI,
        ours=out.ours(".aci", images.saved, "aci:{}"),
        peer=to_oci,
        goal=OF_DOCKER2ACI.get(images.shape),
        kernels=("read plain", "sha256 plain", "sha512 plain", "gzip default", "sha256 packed", "write packed"),
    )


def _moving(images: Images, out: Outputs) -> Iterator[Route]:
    to_archive = out.skopeo(".tar", images.gzipped, "docker-archive:{}:a:1")
    yield Route(
        name="oci → docker-archive, plain",
        ours=out.ours(".tar", "--compress", "none", images.gzipped, "docker-archive:{}:a:1"),
        peer=to_archive,
        goal=0.4,
        kernels=("read packed", "sha256 packed", "gunzip", "sha256 plain", "write plain"),
        chain=("gunzip",),
    )
    yield Route(
        name="oci → docker-archive, layers kept",
        ours=out.ours(".tar", images.gzipped, "docker-archive:{}:a:1"),
        peer=to_archive,
        goal=0.12,
        kernels=("read packed", "sha256 packed", "write packed"),
        chain=("sha256 packed",),
    )
    to_oci = out.skopeo(".oci", images.gzipped, "oci:{}:latest")
    yield Route(
        name="oci → oci",
        ours=out.ours(".oci", images.gzipped, "oci:{}:latest"),
        peer=to_oci,
        goal=0.25,
        kernels=("read packed", "sha256 packed", "write packed"),
        chain=("sha256 packed",),
    )
    yield Route(
        name="oci → oci, --link",
        ours=out.ours(".oci", "--link", images.gzipped, "oci:{}:latest"),
        peer=to_oci,
        goal=0.15,
        kernels=("read packed", "sha256 packed"),
        chain=("sha256 packed",),
    )
    yield Route(
        name="oci → oci, diff_ids not seen before",
        ours=out.ours(".oci", "--no-cache", images.gzipped, "oci:{}:latest"),
        peer=to_oci,
        goal=1,
        kernels=("read packed", "sha256 packed", "gunzip", "sha256 plain", "write packed"),
        chain=("gunzip",),
    )


def _unpacking(images: Images, out: Outputs) -> Iterator[Route]:
    bundle = out.folder / "bundle"
    words = ("umoci", "unpack", "--image", f"{images.layout}:latest", str(bundle))
    yield Route(
        name="oci → bundle",
        ours=replace(out.ours(".bundle", images.gzipped, "bundle:{}"), unpacks=True),
        peer=Command(words=words, output=bundle, unpacks=True),
        goal=0.5,
        kernels=("read packed", "sha256 packed", "gunzip", "sha256 plain", "write plain"),
        chain=("gunzip",),
    )


def _again(images: Images, out: Outputs) -> Iterator[Route]:
    """The same conversion once more; the first one, which has nothing to build on, is its peer."""
    first = out.ours("-first.oci", "--no-cache", images.saved, "oci:{}:latest")
    yield Route(
        name="again, where the layers are",
        ours=out.ours("-again.oci", images.saved, "oci:{}:latest", adds=True),
        peer=first,
        goal=0.1,
        kernels=(),
    )
    yield Route(
        name="again elsewhere, --cache-blobs",
        ours=out.ours(".oci", "--cache-blobs", "8G", images.saved, "oci:{}:latest"),
        peer=first,
        goal=0.5,
        kernels=("read packed", "sha256 packed", "read packed", "sha256 packed", "write packed"),
        chain=("sha256 packed",),
    )


def _between_registries(images: Images, out: Outputs) -> Iterator[Route]:
    """From one that holds the image to an empty one for each program; they run until the last route is measured."""
    with (
        registry(out.folder / "source") as source,
        registry(out.folder / "ours") as ours,
        registry(out.folder / "skopeos") as skopeos,
    ):
        there, to_ours, to_skopeos = (f"docker://{one.host}/bench/app:1" for one in (source, ours, skopeos))
        subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", images.gzipped, there], check=True)
        ends = ("--src-tls-verify=false", "--dest-tls-verify=false", there)
        known = Route(
            name="registry → registry",
            ours=replace(out.ours("", *ends, to_ours), output=ours.folder / "data"),
            peer=replace(out.skopeo("", *ends, to_skopeos), output=skopeos.folder / "data"),
            goal=0.7,
            kernels=("sha256 packed",),
            chain=("sha256 packed",),
        )
        yield known
        yield replace(
            known,
            name="registry → registry, diff_ids not seen before",
            ours=replace(out.ours("", "--no-cache", *ends, to_ours), output=known.ours.output),
            kernels=("sha256 packed", "gunzip", "sha256 plain"),
            chain=("gunzip",),
        )
