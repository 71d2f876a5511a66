"""Images on disk: small, whole, and the same each time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import converter
from converter.model.descriptor import Descriptor
from tests.builders import OCI, Dialect, add_image
from tests.builders.memory import MemoryStore
from tests.stores.copying import sink_at

NAME = "registry.example/app:1"


def stored(store: MemoryStore, root: Descriptor, path: Path, name: str = NAME) -> str:
    """All that is in memory as an OCI layout, with one image named; its reference leaves the name to the layout."""
    with sink_at("oci", path) as sink:
        for digest, data in store.blobs.items():
            sink.put((data,), root.media_type if digest == root.digest else "application/octet-stream")
        sink.name(name, root)
    return f"oci:{path}"


def layout(path: Path, name: str = NAME, dialect: Dialect = OCI) -> str:
    """An OCI layout with one image of that name."""
    store = MemoryStore()
    return stored(store, add_image(store, dialect, name=""), path, name)


def directory(path: Path) -> str:
    """The same as ``dir:``, where it has no name."""
    reference = layout(path.with_name(f"{path.name}-layout"))
    converter.convert(reference, f"dir:{path}")
    return f"dir:{path}"


def aci(path: Path, name: str = NAME) -> str:
    """An ACI of an image of that name."""
    reference = layout(path.with_name(f"{path.name}-layout"), name)
    converter.convert(reference, f"aci:{path}")
    return f"aci:{path}"


def write_layout(path: Path, store: MemoryStore, rows: Iterable[Mapping[str, Any]], **index: Any) -> None:
    """A layout with all blobs of a store, whether anything names them or not, and with these rows in its index."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in store.blobs.items():
        (blobs / digest.encoded).write_bytes(data)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, **index, "manifests": list(rows)}))
