"""An image of the tests' own, put into registries and got out of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.ports import Sink, Source
from converter.stores.options import StoreOptions
from converter.stores.registry import open_sink, open_source
from tests.stores.registry.fake import FakeRegistry

PLAIN = StoreOptions(tls_verify=False)
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
"""That of an image without a layer; where layers matter, nobody reads the config."""


def data(size: int, seed: int = 1) -> bytes:
    """Bytes that differ from block to block, and from seed to seed."""
    return b"".join(b"%7d\n" % ((seed + 1) * number) for number in range(size // 8 + 1))[:size]


def manifest(layers: list[bytes], **more: Any) -> bytes:
    return manifest_of([Descriptor.of(layer, types.OCI_LAYER) for layer in layers], **more)


def manifest_of(layers: list[Descriptor], **more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": Descriptor.of(CONFIG, types.OCI_CONFIG).to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return json.dumps(document | more).encode()


def sink_of(registry: FakeRegistry, name: str = "app:1", options: StoreOptions = PLAIN) -> Sink:
    return open_sink(Location(transport="docker", path=f"{registry.host}/{name}"), options)


def source_of(registry: FakeRegistry, name: str = "app:1", options: StoreOptions = PLAIN) -> Source:
    return open_source(Location(transport="docker", path=f"{registry.host}/{name}"), options)


def push(registry: FakeRegistry, layers: list[bytes], name: str = "app:1", options: StoreOptions = PLAIN) -> Descriptor:
    """Put an image as a conversion would."""
    root = manifest(layers)
    with sink_of(registry, name, options) as sink:
        for blob, media_type in ((CONFIG, types.OCI_CONFIG), *((layer, types.OCI_LAYER) for layer in layers)):
            put(sink, blob, media_type)
        made = put(sink, root, types.OCI_MANIFEST)
        sink.name("", made)
    return made


def put(sink: Sink, blob: bytes, media_type: str) -> Descriptor:
    descriptor = Descriptor.of(blob, media_type)
    if not sink.has(descriptor):
        assert sink.put(known_bytes(blob, media_type).blocks(), media_type, descriptor) == descriptor
    return descriptor


def seed(registry: FakeRegistry, layers: list[bytes], repository: str = "app", tag: str = "1") -> Descriptor:
    """Put an image there without asking the API."""
    for blob in (CONFIG, *layers):
        registry.add_blob(repository, blob)
    root = manifest(layers)
    registry.add_manifest(repository, types.OCI_MANIFEST, root, tag)
    return Descriptor.of(root, types.OCI_MANIFEST)


def pull(registry: FakeRegistry, name: str = "app:1", options: StoreOptions = PLAIN) -> list[bytes]:
    """Every layer of an image, read through."""
    with source_of(registry, name, options) as source:
        root = source.fetch(source.resolve("")).read()
        named = [Descriptor.from_json(one) for one in json.loads(root)["layers"]]
        return [b"".join(source.fetch(one).blocks()) for one in named]


def in_pieces(blob: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(blob), size):
        yield blob[start : start + size]
