"""The two ends of a conversion: options for each, and which blobs repositories of one registry share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converter.cache import Memory
from converter.conversion.options import Options
from converter.model.digest import Digest
from converter.model.reference import ImageName, Location
from converter.ports import Sink
from converter.stores import StoreOptions, open_sink
from converter.stores.hosts import Hosts


def with_hosts(options: Options, hosts: Hosts) -> Options:
    """The same options, with both ends sharing what is known of hosts."""
    target = options.target_store
    return replace(
        options,
        store=replace(options.store, hosts=hosts),
        target_store=None if target is None else replace(target, hosts=hosts),
    )


def source_store(options: Options) -> StoreOptions:
    """How to access the source."""
    return replace(options.store, download_foreign=options.download_foreign)


def target_store(options: Options, source: Location, destination: Location) -> StoreOptions:
    """How to access a destination; within one registry, blobs of the source's repository need no transfer."""
    store = replace(options.target_store or options.store, epoch=options.epoch or 0)
    if source.transport != "docker" or destination.transport != "docker":
        return store
    ours, theirs = ImageName.parse(destination.path), ImageName.parse(source.path)
    if ours.host != theirs.host:
        return store
    return replace(store, mount_from=(*store.mount_from, theirs.repository))


def open_target(destination: Location, store: StoreOptions, memory: Memory) -> Sink:
    """Open the destination; in a registry, with what is remembered of its other repositories."""
    if destination.transport != "docker":
        return open_sink(destination, store)
    from converter.conversion.noted import NotedSink

    where = ImageName.parse(destination.path)

    def holders(digest: Digest) -> Iterator[str]:
        known = memory.holder(where.host, digest)
        if known is not None:
            yield known
        yield from (other for other in store.mount_from if other != known)

    def heard(digest: Digest, sent: bool) -> None:
        # A repository that the blob could be mounted from will serve the next one as well.
        if sent or memory.holder(where.host, digest) is None:
            memory.learn_holder(where.host, digest, where.repository)

    return NotedSink(open_sink(destination, replace(store, holders=holders)), heard)
