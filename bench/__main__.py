"""``bin/bench``: makes its inputs, runs every route beside its peer, prints ratios, and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, keep
from bench.inputs import SHAPES, TITLES, archive_of, sizes
from bench.measure import interleaved, median
from bench.report import page, plot
from bench.routes import OURS, ROOT, Images, Route, routes
from bench.trees import TREES

GENERATED = {shape.title for shape in SHAPES.values()}


def main() -> int:
    """Exit 1 where the peer is not there to be measured."""
    options = _arguments()
    if shutil.which("skopeo") is None:
        print("bench: skopeo is not on PATH: it is the peer (apt-get install skopeo)", file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    for shape in options.images:
        for figure in _figures(shape, options):
            _print(figure)
            if options.write:  # at once: what was measured stays if the rest is not
                _write(keep(figure))
    return 0


def _write(figures: list[Figure]) -> None:
    (ROOT / "docs" / "benchmarks.md").write_text(page(figures))
    (ROOT / "docs" / "benchmarks.svg").write_text(plot([figure for figure in figures if figure.shape in GENERATED]))


def _figures(shape: str, options: argparse.Namespace) -> Iterator[Figure]:
    archive = archive_of(shape, options.folder)
    if not archive.exists() and shape in TREES and (missing := TREES[shape].missing):
        print(f"bench: {TITLES[shape]} is left out: {', '.join(missing)} is not installed", file=sys.stderr)
        return
    _program("bench.inputs", shape, str(options.folder))
    layers = sizes(archive)
    images = Images(shape=shape, archive=archive, layout=_layout(archive))
    seconds: dict[str, float] = {} if shape in TREES else json.loads(_program("bench.kernels", str(archive)))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for route in routes(images, Path(folder)):
            if options.only in route.name:
                yield _figure(shape, route, seconds, options.runs, layers)


def _program(module: str, *arguments: str) -> str:
    words = [sys.executable, "-m", module, *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _figure(shape: str, route: Route, seconds: dict[str, float], runs: int, layers: list[int]) -> Figure:
    ours, peers = interleaved(route.ours, route.peer, runs)
    cores = len(os.sched_getaffinity(0))
    return Figure(
        shape=TITLES[shape],
        route=route.name,
        peer_name=route.peer_name,
        ratio=median([our.wall / peer.wall for our, peer in zip(ours, peers, strict=True)]),
        goal=route.goal,
        ours=median([run.wall for run in ours]),
        peer=median([run.wall for run in peers]),
        cpu=median([run.cpu for run in ours]),
        peer_cpu=median([run.cpu for run in peers]),
        rss=max(run.rss for run in ours),
        peer_rss=max(run.rss for run in peers),
        size_ratio=ours[-1].size / peers[-1].size,
        floor=route.floor(seconds, cores, max(layers) / sum(layers)) if seconds else 0,
        unpacked=sum(layers),
        layers=len(layers),
        load=os.getloadavg()[0],
        conditions=_conditions(runs, cores),
    )


def _conditions(runs: int, cores: int) -> str:
    peer = subprocess.run(["skopeo", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    counted = "one counted run" if runs == 1 else f"{runs} counted runs"
    python = platform.python_version()
    day = time.strftime("%Y-%m-%d")
    return f"{day}: {counted} of each, {peer}, {platform.machine()}, {cores} cores, Python {python}"


def _layout(archive: Path) -> Path:
    """The image as an OCI layout of gzip layers, as the peer writes it: what a registry would hold."""
    layout = archive.with_suffix(".oci")
    if not layout.exists():
        words = ["skopeo", "copy", "--quiet", f"docker-archive:{archive}", f"oci:{layout}:latest"]
        subprocess.run(words, check=True)
    return layout


def _print(figure: Figure) -> None:
    print(
        f"{figure.shape:>13} {figure.route:36} ratio {figure.ratio:5.2f} (goal {figure.aim})  "
        f"{figure.ours:6.2f} s / {figure.peer:6.2f} s ({figure.peer_name})  cpu {figure.cpu / figure.peer_cpu:.2f}  "
        f"size {figure.size_ratio:.3f}  rss {figure.rss // 2**20} MiB  "
        f"{figure.of_floor} of the floor ({figure.floor:.2f} s)",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=", ".join(TITLES))
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each command (default 3)")
    parser.add_argument("--only", default="", help="just the routes whose name has this text")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md and its plot, which the whole bench does unasked"
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--folder", type=Path, default=cache / "transship-bench", help="where the inputs are kept")
    options = parser.parse_args()
    options.write |= not options.images and not options.only
    options.images = options.images or list(TITLES)
    unknown = set(options.images) - set(TITLES)
    if unknown:
        parser.error(f"unknown image {unknown.pop()!r} (one of: {', '.join(TITLES)})")
    return options


if __name__ == "__main__":
    subprocess.run([OURS, "--version"], check=True, stdout=subprocess.DEVNULL)
    sys.exit(main())
