"""Many images put into a registry, and the entries that bring them somewhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from converter.conversion import Options
from converter.conversion.sync.sync_file import SyncEntry
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink
from tests.builders.memory import MemoryStore
from tests.interop.processes import Registry
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import put

PLAIN = StoreOptions(tls_verify=False)
OPTIONS = Options(store=PLAIN, target_store=PLAIN, jobs=2)


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


def entry(source: str, to: str, rename: str = "", options: Options = OPTIONS, **more: Any) -> SyncEntry:
    """As the command line would make it of these texts."""
    options = replace(options, **more)
    return SyncEntry(source=Location.parse(source), to=Location.parse(to), rename=rename, options=options)
