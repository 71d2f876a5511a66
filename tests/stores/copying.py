"""One image from memory into a store, blob by blob, as execution does it; and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.ports import Sink, Source
from converter.stores import StoreOptions, open_sink, open_source
from tests.builders.memory import MemorySource, MemoryStore

DOCUMENTS = types.MANIFESTS | types.INDEXES


def sink_at(transport: str, path: Path) -> Sink:
    """A sink that may replace what is there."""
    return open_sink(Location(transport=transport, path=str(path)), StoreOptions(overwrite=True))


def source_at(transport: str, path: Path) -> Source:
    return open_source(Location(transport=transport, path=str(path)))


def tree(source: Source, root: Descriptor) -> Iterator[Descriptor]:
    """Everything below a root, leaves first, and the root."""
    if root.media_type in DOCUMENTS:
        document = json.loads(source.fetch(root).read())
        config = [document["config"]] if "config" in document else []
        for child in [*document.get("layers", ()), *config, *document.get("manifests", ())]:
            yield from tree(source, Descriptor.from_json(child))
    yield root


def put_tree(store: MemoryStore, root: Descriptor, sink: Sink) -> Descriptor:
    """Copy what is below a root, and the root; gives what the sink calls it."""
    source = MemorySource(store)
    made = root
    for descriptor in tree(source, root):
        if not sink.has(descriptor):
            made = sink.put(source.fetch(descriptor).blocks(), descriptor.media_type, descriptor)
    return made if made.digest == root.digest else root


def copy(store: MemoryStore, root: Descriptor, sink: Sink, name: str = "") -> None:
    """Write one image under a name."""
    with sink:
        put_tree(store, root, sink)
        sink.name(name, root.bare())


def contents(source: Source, name: str = "") -> dict[str, bytes]:
    """Every blob of an image by digest."""
    root = source.resolve(name)
    return {str(one.digest): b"".join(source.fetch(one).blocks()) for one in tree(source, root)}


def files(path: Path) -> dict[str, bytes]:
    """A file, or every file below a directory, hidden ones too."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
