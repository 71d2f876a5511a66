"""What a reference names, as far as its profile needs it: the content, the configuration, the names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli.flags import flags
from converter.cli.progress import progress
from converter.errors import Unsupported, within
from converter.events import Finished, Moved, Planned, Report, Started
from converter.model.content import Digest
from converter.model.image import Image
from converter.model.platform import host_platform
from converter.model.reference import Location
from converter.profile.contents import Contents, Scope
from converter.stores import StoreOptions, open_source, recognised
from converter.streams.blocks import Blocks
from converter.system import cores

if TYPE_CHECKING:
    from converter.opened_reference import OpenedReference
    from converter.stores.rootfs.source import RootfsSource
    from converter.verification.unverified import StoredImage


class Profiled:
    """An image, or a deployed tree. Its contents are read once for each scope.

    In a directory, files of the user ``own`` whose owner nobody has recorded count as root's.
    """

    def __init__(
        self,
        reference: str,
        platform: str | None,
        options: StoreOptions,
        aci_paths: tuple[Path, ...],
        files: ExitStack,
    ) -> None:
        self.reference = reference
        self.store = options
        self.own: int | None = None
        self._platform = platform
        self._aci_paths = aci_paths
        self._files = files
        self._read: dict[Scope, Contents] = {}
        location = Location.parse(reference)
        self.source = files.enter_context(open_source(location, options))
        self.location = recognised(location, self.source)

    def contents(self, counted: Scope) -> Contents:
        """The files in that scope, without what is mounted over them. Raises what reading raises."""
        if counted not in self._read:
            self._read[counted] = self._files.enter_context(self._contents(counted))
        return self._read[counted]

    @cached_property
    def opened(self) -> OpenedReference:
        """The image's documents; for a directory, all files are read to know its digest."""
        from converter.opened_reference import opened_from

        return opened_from(self.source, self.reference, self.store, self._files, self._aci_paths)

    @property
    def stored(self) -> StoredImage:
        """The same, as verification takes it."""
        from converter.verification.unverified import StoredImage

        return StoredImage(self.source, self.location, self.opened.root)

    @cached_property
    def image(self) -> Image:
        """The image, or the one of an index for a platform. Raises Unsupported, NotFound."""
        return image_of(self.opened, self._platform)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """How a container of it is started."""
        from converter.compare_images import run_config

        if not self.location.kind.is_tree:
            return run_config(self.image.config)
        from converter.formats.container_config import from_json

        return run_config(from_json(self._tree.members).config)

    def statement(self, counted: Scope) -> dict[str, Any]:
        """The statement about it."""
        from converter.profile import statement

        return statement.make_statement(self.contents(counted), self.config, self._subjects())

    def statement_blocks(self, counted: Scope) -> Blocks:
        """The statement about it, in JSON."""
        from converter.profile import statement

        return statement.write_statement(self.contents(counted), self.config, self._subjects())

    def _contents(self, counted: Scope) -> Contents:
        with progress(quiet=flags().quiet) as report:
            if self.directory is not None:
                with within(self.reference):
                    return _of_directory(self.directory, counted, report, self.own)
            from converter.compare_images import file_tree
            from converter.compare_references import watched
            from converter.profile.contents import of_layers

            with file_tree(self.image, watched(report, self.image)) as listing:
                return of_layers(listing, counted)

    @property
    def directory(self) -> Path | None:
        """Where the files are, if they are in a directory."""
        return self._tree.directory if self.location.kind.is_tree else None

    @property
    def _tree(self) -> RootfsSource:
        from converter.stores.rootfs.source import RootfsSource

        assert isinstance(self.source, RootfsSource)
        return self.source

    def _subjects(self) -> Iterator[tuple[str, Digest]]:
        """The image's current names: the digest of its manifest or ACI, and its image ID if that is another.

        A directory has none: it is no image yet.
        """
        if self.directory is not None:
            return
        original = self.image.original
        if original is None:
            return
        yield "manifest", original.manifest.descriptor.digest
        if original.config is not None:
            yield "image ID", original.config.descriptor.digest
        elif original.format == "aci":
            from converter.formats.aci.archive import image_id

            found = image_id(self.source.fetch(self.opened.root))
            yield "image ID", Digest.parse(found.replace("-", ":", 1))


def image_of(opened: OpenedReference, platform: str | None) -> Image:
    """The image, or the one of an index for a platform. Raises Unsupported; NotFound for an image of another one."""
    from converter.model.image import Index
    from converter.transform import select_platforms

    item = opened.item
    if platform or isinstance(item, Index):
        with within(opened.reference):
            item = select_platforms(item, (platform or str(host_platform()),), opened.read)
    if not isinstance(item, Image):
        with within(opened.reference):
            raise Unsupported(f"{item} has no files that can be read")
    return opened.whole(item)


@contextmanager
def profiled(
    reference: str, platform: str | None, options: StoreOptions, aci_paths: tuple[Path, ...] = ()
) -> Iterator[Profiled]:
    """Open a reference. Raises what ``converter.open_image`` raises."""
    with ExitStack() as files:
        yield Profiled(reference, platform, options, aci_paths, files)


def owner_without_rights(directory: Path | None) -> int | None:
    """The user who reads the directory, if he owns it and, not being root, could give none of its files away."""
    user = os.geteuid()
    with suppress(OSError):
        if directory is not None and user and directory.stat().st_uid == user:
            return user
    return None


def _of_directory(root: Path, counted: Scope, report: Report, own: int | None) -> Contents:
    from converter.profile.directory_contents import of_directory

    report(Planned(0, 1))
    report(Started("files", -1))
    found = of_directory(root, counted, cores(), lambda size: report(Moved("files", size)), own)
    report(Finished("files", -1))
    return found
