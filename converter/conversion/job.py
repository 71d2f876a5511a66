"""A job: one image, where it comes from and where it goes, its options, and how to access both ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from converter import stores
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location
from converter.model.settings import Settings
from converter.stores import StoreOptions
from converter.stores.hosts import Hosts
from converter.stores.overwriting import Inputs
from converter.system import cores

if TYPE_CHECKING:
    from converter.signing import Signing
    from converter.verification.wanted import Wanted


@frozen
class Options(Settings):
    """Options of a conversion: its settings, and what its result does not depend on.

    ``called`` is the name of the image where a format has one in it, in place of its name at the source;
    ``overwrite`` lets a file that exists be replaced, unless it is read; ``jobs`` 0 means one thread per processor;
    ``cache`` is the folder that remembers what was verified, or None, and ``cache_blobs`` how many bytes of made or
    fetched blobs it may hold; ``link`` lets unchanged blobs share the source's files; ``origin`` is when to write an
    origin record: ``always`` when the digest changes, ``signed`` when the digest of a signed image does, or ``never``;
    ``content_trust`` holds Docker Content Trust documents, by name, to carry along; ``target_store`` is how to access
    destinations, None for the same as the source.
    """

    all_images: bool = False
    called: str = ""
    aci_paths: tuple[Path, ...] = ()
    preserve_digests: bool = False
    strict: bool = False
    dry_run: bool = False
    overwrite: bool = False
    jobs: int = 0
    attachments: bool = True
    remove_signatures: bool = False
    wanted: Wanted | None = None
    signing: Signing | None = None
    origin: str = "signed"
    content_trust: Mapping[str, bytes] = field(default_factory=dict)
    download_foreign: bool = False
    cache: Path | None = None
    cache_blobs: int = 0
    link: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)
    target_store: StoreOptions | None = None

    @property
    def settings(self) -> Settings:
        """The settings alone."""
        return Settings(**{one.name: getattr(self, one.name) for one in fields(Settings)})

    @property
    def keeps_origin(self) -> bool:
        """Whether what refers to the image may go along in an origin record."""
        return self.attachments and not self.remove_signatures

    @property
    def writing(self) -> StoreOptions:
        """How to access destinations."""
        return self.target_store or self.store

    @property
    def threads(self) -> int:
        """How many threads to use."""
        return self.jobs or cores()


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
    yield from stores.files_read(source)
