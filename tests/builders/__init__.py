"""Images that tests start from: here in memory; beside this on disk, as ACIs, and as ``docker save`` wrote them."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from tests.builders.memory import MemoryStore
from tests.strategies.tar import File, archive

CONFIG: Mapping[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-06T07:08:09Z",
    "docker_version": "26.1.5",
    "config": {
        "Hostname": "builder",
        "Env": ["PATH=/bin"],
        "Entrypoint": ["/bin/app"],
        "Cmd": ["--serve"],
        "Labels": {"org.example.team": "blue"},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "/bin/true"], "Interval": 1000000000},
        "ExposedPorts": {"80/tcp": {}},
        "OnBuild": None,
    },
}


def tar(entries: Mapping[str, bytes | None]) -> bytes:
    """A tar of files (bytes) and directories (None), without a clock."""
    files = (File(name, "dir", mode=0o755) if data is None else File(name, data=data) for name, data in entries.items())
    return archive(tuple(files), "ustar")


def gzipped(data: bytes) -> bytes:
    """As most registries hold layers."""
    return gzip.compress(data, mtime=0)


def sha256(data: bytes) -> str:
    """The digest as documents spell it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Dialect:
    """The media types an image is built with."""

    manifest: str
    config: str
    layer: str
    index: str


OCI = Dialect(types.OCI_MANIFEST, types.OCI_CONFIG, types.OCI_LAYER_GZIP, types.OCI_INDEX)
DOCKER = Dialect(types.DOCKER_MANIFEST, types.DOCKER_CONFIG, types.DOCKER_LAYER_GZIP, types.DOCKER_LIST)

LAYERS = (tar({"etc": None, "etc/hosts": b"one"}), tar({"etc/.wh.hosts": b"", "etc/name": b"two"}))


def add_image(
    store: MemoryStore,
    dialect: Dialect = OCI,
    tars: Iterable[bytes] = LAYERS,
    config: Mapping[str, Any] = CONFIG,
    manifest: Mapping[str, Any] | None = None,
    name: str = "app:1",
) -> Descriptor:
    """Put an image of gzipped layers into a store; its manifest is indented as no program here would write it."""
    tars = list(tars)
    layers = [store.add(gzipped(data), dialect.layer) for data in tars]
    document = {
        **config,
        "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in tars]},
        "history": config.get("history")
        or [{"created_by": f"step {number}"} for number in range(len(tars))]
        + [{"created_by": "ENV", "empty_layer": True}],
    }
    config_row = store.add(json.dumps(document, indent=1).encode(), dialect.config)
    body = {
        "schemaVersion": 2,
        "mediaType": dialect.manifest,
        "config": config_row.to_json(),
        "layers": [layer.to_json() for layer in layers],
        **(manifest or {}),
    }
    root = store.add(json.dumps(body, indent=3).encode(), dialect.manifest)
    if name:
        store.named[name] = root
    return root


def add_index(
    store: MemoryStore, rows: Iterable[Mapping[str, Any]], dialect: Dialect = OCI, name: str = "app:1"
) -> Descriptor:
    """Put an index of these rows into a store."""
    body = {"schemaVersion": 2, "mediaType": dialect.index, "manifests": list(rows)}
    root = store.add(json.dumps(body, indent=3).encode(), dialect.index)
    store.named[name] = root
    return root


def layers(numbers: Iterable[int], size: int = 20_000) -> list[bytes]:
    """A tar for each number, half of it compressible."""
    return [tar({f"file{one}": random.Random(one).randbytes(size // 2) + b"-" * (size // 2)}) for one in numbers]


def many(count: int, *, base: int = 4, own: int = 2, size: int = 20_000) -> tuple[MemoryStore, list[Descriptor]]:
    """Images of ``base`` layers that all have and ``own`` layers each."""
    store = MemoryStore()
    shared = layers(range(base), size)
    roots = []
    for number in range(count):
        unique = layers(range(1000 + number * own, 1000 + (number + 1) * own), size)
        roots.append(add_image(store, tars=[*shared, *unique], name=""))
    return store, roots
