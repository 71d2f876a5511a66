"""A job: one image, where it comes from and where it goes, and how to access both ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike

from converter.conversion.options import Options
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location
from converter.stores import StoreOptions, files_beside
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs, Rootfs


@frozen
class Job:
    """An image to convert to every destination; with ``all_images``, all those at its source."""

    source: Location
    destinations: tuple[Location, ...]
    options: Options

    @property
    def destination(self) -> Location:
        """The only destination, as in a run of many images."""
        (destination,) = self.destinations
        return destination

    @property
    def name(self) -> str:
        """A short name for display."""
        return self.destination.name or self.destination.path.rpartition("/")[2]


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
    store = replace(
        options.writing,
        epoch=options.epoch or 0,
        overwrite=options.overwrite or options.writing.overwrite,
        inputs=options.store.inputs,
    )
    if source.kind.access != "registry" or destination.kind.access != "registry":
        return store
    ours, theirs = ImageName.parse(destination.path), ImageName.parse(source.path)
    if ours.host != theirs.host:
        return store
    return replace(store, mount_from=(*store.mount_from, theirs.repository))


def protect_inputs(options: Options, inputs: Inputs) -> Options:
    """The same options, under which none of ``inputs`` is ever replaced."""
    return replace(options, store=replace(options.store, inputs=inputs))


def files_read(options: Options, source: Location) -> Iterator[str | PathLike[str]]:
    """The files and directories that a conversion reads, as far as they are known before the source is opened."""
    for store in (options.store, options.target_store):
        if store is not None:
            yield from store.inputs.paths
            yield from () if store.authfile is None else (store.authfile,)
    if source.kind.access == "path":
        yield Rootfs(source.path) if source.kind.formats == ("runtime",) else source.path
        yield from files_beside(source)
