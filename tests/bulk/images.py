"""Many images in a registry, most of whose bytes they share."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from converter.bulk.sync_file import Entry
from converter.conversion import Options
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink
from converter.stores.memory import MemoryStore
from tests.builders import add_image, tar
from tests.interop.processes import Registry
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import put

PLAIN = StoreOptions(tls_verify=False)
OPTIONS = Options(store=PLAIN, target_store=PLAIN, jobs=2)


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


def serve(registry: FakeRegistry, store: MemoryStore, roots: list[Descriptor]) -> None:
    """Image N is ``team/app:N``."""
    documents = {root.digest for root in roots}
    for digest, data in store.blobs.items():
        if digest not in documents:
            registry.add_blob("team/app", data)
    for number, root in enumerate(roots):
        registry.add_manifest("team/app", types.OCI_MANIFEST, store.blobs[root.digest], str(number))


def fill(registry: Registry, repository: str, store: MemoryStore, roots: list[Descriptor]) -> int:
    """Push them to a real registry, image N as the tag N; the bytes of all, once."""
    # The manifests among them have places of their own.
    left = store.blobs.keys() - {root.digest for root in roots}
    for number, root in enumerate(roots):
        place = Location.parse(f"docker://{registry.host}/{repository}:{number}")
        manifest = json.loads(store.blobs[root.digest])
        with open_sink(place, PLAIN) as sink:
            for row in (manifest["config"], *manifest["layers"]):
                digest = Digest.parse(row["digest"])
                if digest in left:
                    put(sink, store.blobs[digest], types.OCI_LAYER_GZIP)
                    left.remove(digest)
            sink.name("", put(sink, store.blobs[root.digest], types.OCI_MANIFEST))
    return sum(map(len, store.blobs.values()))


def entry(source: str, to: str, rename: str = "", options: Options = OPTIONS, **more: Any) -> Entry:
    """As the command line would make it of these texts."""
    options = replace(options, **more)
    return Entry(source=Location.parse(source), to=Location.parse(to), rename=rename, options=options)
