"""Archives as the older generations of ``docker save`` wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.builders import LAYERS, sha256
from tests.strategies.tar import File, archive


@dataclass(frozen=True, slots=True)
class Link:
    """An entry that is another one: by a symlink, or by a hard link."""

    target: str
    hard: bool = False


Files = Mapping[str, bytes | Link]


def write_tar(path: Path, files: Files | Sequence[tuple[str, bytes | Link]], prefix: str = "") -> Path:
    """A tar of these files in this order."""
    rows = files.items() if isinstance(files, Mapping) else files
    path.write_bytes(archive([_entry(prefix + name, content) for name, content in rows]))
    return path


def _entry(name: str, content: bytes | Link) -> File:
    if isinstance(content, Link):
        return File(name, "link" if content.hard else "symlink", target=content.target)
    return File(name, data=content)


def config(tars: Sequence[bytes] = LAYERS, **more: Any) -> bytes:
    """An image's config, as the Engine names its layers."""
    document = {"architecture": "amd64", "os": "linux", **more}
    document["rootfs"] = {"type": "layers", "diff_ids": [sha256(data) for data in tars]}
    return json.dumps(document).encode()


def classic(
    layers: Sequence[bytes | Link] = LAYERS,
    tags: Sequence[str] | None = ("app:1",),
    data: bytes | None = None,
    config_name: str = "config.json",
) -> dict[str, bytes | Link]:
    """The files of an archive of Docker 1.10 to 24, with one image."""
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    row = {"Config": config_name, "RepoTags": tags, "Layers": names}
    return {
        **dict(zip(names, layers, strict=True)),
        config_name: config() if data is None else data,
        "manifest.json": json.dumps([row]).encode(),
    }


BASE, TOP = "a" * 64, "b" * 64


def old(layers: Sequence[bytes] = LAYERS, named: bool = True, **top: Any) -> dict[str, bytes | Link]:
    """The files of an archive from before Docker 1.10, with one image of two layers."""
    steps = {
        BASE: {"id": BASE, "created": "2014-01-01T00:00:00Z", "os": "linux", "architecture": "amd64"},
        TOP: {"id": TOP, "parent": BASE, "os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]}, **top},
    }
    files: dict[str, bytes | Link] = {}
    for (layer, step), data in zip(steps.items(), layers, strict=True):
        files[f"{layer}/VERSION"] = b"1.0"
        files[f"{layer}/json"] = json.dumps(step, indent=2).encode()
        files[f"{layer}/layer.tar"] = data
    if named:
        files["repositories"] = json.dumps({"example.com/app": {"1": TOP}}).encode()
    return files
