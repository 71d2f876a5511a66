"""The two ends of a conversion: each is spoken to in its own way, and registries are told what they share."""

from __future__ import annotations

from dataclasses import replace

from converter.conversion.options import Options
from converter.model.reference import ImageName, Location
from converter.stores import StoreOptions


def source_store(options: Options) -> StoreOptions:
    """How the source is spoken to."""
    return replace(options.store, download_foreign=options.download_foreign)


def target_store(options: Options, source: Location, destination: Location) -> StoreOptions:
    """How a destination is spoken to; within one registry, blobs of the source's repository need no transfer."""
    store = replace(options.target_store or options.store, epoch=options.epoch or 0)
    if source.transport != "docker" or destination.transport != "docker":
        return store
    ours, theirs = ImageName.parse(destination.path), ImageName.parse(source.path)
    if ours.host != theirs.host:
        return store
    return replace(store, mount_from=(*store.mount_from, theirs.repository))
