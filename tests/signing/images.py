"""Images on disk to be signed: small, whole, and the same each time."""

from __future__ import annotations

from pathlib import Path

import converter
from converter.model.reference import Location
from converter.stores import open_sink
from converter.stores.memory import MemoryStore
from tests.builders import DOCKER, OCI, Dialect, add_image

NAME = "registry.example/app:1"


def layout(path: Path, name: str = NAME, dialect: Dialect = OCI) -> str:
    """An OCI layout with one image of that name; its reference, which leaves the name to the layout."""
    store = MemoryStore()
    root = add_image(store, dialect, name="")
    with open_sink(Location(transport="oci", path=str(path))) as sink:
        for digest, data in store.blobs.items():
            media_type = root.media_type if digest == root.digest else "application/octet-stream"
            sink.put((data,), media_type)
        sink.name(name, root)
    return f"oci:{path}"


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


__all__ = ["DOCKER", "NAME", "aci", "directory", "layout"]
