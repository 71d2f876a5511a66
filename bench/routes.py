"""What is measured: each conversion, and the command of another tool that does the same work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Command

ROOT = Path(__file__).resolve().parent.parent
OURS = str(ROOT / "bin" / "transship")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One conversion beside its peer; ``goal`` is the ratio of wall times that the project has set itself.

    ``kernels`` are those of ``bench.kernels`` that the work cannot do without: its floor.
    """

    name: str
    ours: Command
    peer: Command
    goal: float
    kernels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """One image in each of the forms that a route starts from."""

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


def routes(images: Images, folder: Path) -> Iterator[Route]:
    """Every route for one image."""
    a, b = folder / "ours", folder / "peer"
    tar_a, tar_b = folder / "ours.tar", folder / "peer.tar"

    def ours(output: Path, *words: str) -> Command:
        return Command(words=(OURS, "convert", "--quiet", *words), output=output)

    def skopeo(output: Path, *words: str) -> Command:
        return Command(words=("skopeo", "copy", "--quiet", *words), output=output)

    to_oci = skopeo(b, images.saved, f"oci:{b}:latest")
    yield Route(
        name="docker-archive → oci",
        ours=ours(a, images.saved, f"oci:{a}:latest"),
        peer=to_oci,
        goal=0.5,
        kernels=("sha256 plain", "gzip default", "sha256 packed"),
    )
    yield Route(
        name="docker-archive → oci, gzip:4",
        ours=ours(a, "--compress", "gzip:4", images.saved, f"oci:{a}:latest"),
        peer=to_oci,
        goal=1.15,
        kernels=("sha256 plain", "gzip 4", "sha256 packed"),
    )
    yield Route(
        name="oci → docker-archive, plain",
        ours=ours(tar_a, "--compress", "none", images.gzipped, f"docker-archive:{tar_a}:a:1"),
        peer=skopeo(tar_b, images.gzipped, f"docker-archive:{tar_b}:a:1"),
        goal=0.5,
        kernels=("sha256 packed", "gunzip", "sha256 plain"),
    )
    yield Route(
        name="oci → docker-archive, layers kept",
        ours=ours(tar_a, images.gzipped, f"docker-archive:{tar_a}:a:1"),
        peer=skopeo(tar_b, images.gzipped, f"docker-archive:{tar_b}:a:1"),
        goal=0.2,
        kernels=("sha256 packed",),
    )
    yield Route(
        name="oci gzip → oci zstd",
        ours=ours(a, "--compress", "zstd", images.gzipped, f"oci:{a}:latest"),
        peer=skopeo(b, "--dest-compress-format", "zstd", "--dest-compress", images.gzipped, f"oci:{b}:latest"),
        goal=0.65,
        kernels=("sha256 packed", "gunzip", "sha256 plain", "zstd"),
    )
    yield Route(
        name="oci → oci",
        ours=ours(a, images.gzipped, f"oci:{a}:latest"),
        peer=skopeo(b, images.gzipped, f"oci:{b}:latest"),
        goal=0.33,
        kernels=("sha256 packed",),
    )
    aci = folder / "ours.aci"
    yield Route(
        name="docker-archive → aci",
        ours=ours(aci, images.saved, f"aci:{aci}"),
        peer=to_oci,
        goal=0.8,
        kernels=("sha256 plain", "sha512 plain", "gzip default", "sha256 packed"),
    )
