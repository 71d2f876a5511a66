"""Where conversions of disks that fail write to, and what may be there afterwards."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import converter
from tests.builders import add_image, tar
from tests.builders.memory import MemoryStore
from tests.stores.copying import copy, sink_at
from tests.stores.unpacking import Seen, hard, link, listed
from tests.strategies.tar import File, archive

Tree = dict[bytes, Seen]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a conversion writes; ``layered`` makes one ACI a layer."""

    transport: str
    suffix: str = ""
    layered: bool = False

    def __str__(self) -> str:
        return f"{self.transport}{self.suffix}{' --layered' if self.layered else ''}"

    @property
    def unpacked(self) -> bool:
        """Whether it only ever takes an empty place."""
        return self.transport in {"rootfs", "bundle"} and not self.suffix

    def write(self, image: Path, folder: Path, cache: Path | None = None) -> None:
        place = f"{self.transport}:{folder}/x{self.suffix}"
        converter.convert(
            f"oci:{image}:app", place, layered=self.layered, jobs=1, cache=cache, cache_blobs=1_000_000, overwrite=True
        )


TARGETS = (
    Target("oci"),
    Target("oci-archive"),
    Target("docker-archive", ":app"),
    Target("dir"),
    Target("aci", ".aci"),
    Target("aci", ".aci", layered=True),
    Target("rootfs", ".tar"),
    Target("rootfs"),
    Target("bundle"),
)
CASES = [pytest.param(target, False, id=f"{target}, new") for target in TARGETS] + [
    pytest.param(target, True, id=f"{target}, in place of another") for target in TARGETS if not target.unpacked
]


def make_image(number: int, path: Path) -> None:
    """One of several images, in a layout."""
    store = MemoryStore()
    files = [File("d", "dir", mode=0o750), File(f"d/f{number}", data=b"x" * 3000, mode=0o4755)]
    files += [link("d/l", "f"), hard("d/h", f"d/f{number}"), File("p", "fifo")]
    root = add_image(store, tars=(archive(files), tar({"etc/x": b"%d" % number})), name="")
    copy(store, root, sink_at("oci", path), "app")


def before_and_after(
    target: Target, there: bool, images: tuple[Path, Path], initial: Path, out: Path
) -> tuple[Tree, Tree]:
    """What is in ``initial``, the first image or nothing, and in ``out`` once the second takes its place there."""
    initial.mkdir()
    if there:
        target.write(images[0], initial)
    shutil.copytree(initial, out, symlinks=True)
    target.write(images[1], out)
    return listed(initial), listed(out)


def temporaries(found: Tree) -> list[bytes]:
    """Names of what somebody has begun to write."""
    return [name for name in found if b".transship-" in name]


def is_whole(found: Tree, before: Tree, complete: Tree) -> bool:
    """Whether a target is as before or complete.

    A layout may also have blobs that nothing names yet, and an ACI's folder dependencies.
    """
    if found in (before, complete):
        return True
    folders = {b"", b"x", b"x/blobs", b"x/blobs/sha256"}
    new = found.keys() - before.keys()
    return all(name in folders or found.get(name) == before[name] for name in before) and all(
        found[name] == complete[name] and (name.startswith(b"x/blobs/") or re.fullmatch(rb"x-[0-9a-f]{12}\.aci", name))
        for name in new
    )
