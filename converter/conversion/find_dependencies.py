"""Finds the dependencies of an ACI: in given folders, next to it or, for a discovered image, by discovery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from converter import formats
from converter.conversion.attachments import require_signed
from converter.errors import Invalid, NotFound, Unsupported
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment, Dependency
from converter.model.reference import Location
from converter.ports import Finder, Source
from converter.stores import StoreOptions, open_source
from converter.stores.disk import disk_errors

if TYPE_CHECKING:
    from converter.verification.wanted import Wanted

Named = dict[str, list[Path]]
"""Files that may be ACIs, by the names in their manifests."""


class Library:
    """Finds ACIs by the criteria of a dependency; those found stay open until ``files`` is closed."""

    def __init__(
        self,
        folders: Sequence[Path],
        files: ExitStack,
        options: StoreOptions,
        *,
        image: Location,
        wanted: Wanted | None = None,
    ) -> None:
        """``image`` is the ACI that has the dependencies. Each ACI found must be signed as ``wanted``, under its own
        name, unless a signed document pins it by image ID.
        """
        self._folders = folders
        self.files = files
        self._options = options
        self._image = image
        self._wanted = wanted
        self._opened: list[tuple[Location, Source]] = []
        self._finders: dict[tuple[Path, ...], Finder] = {}

    def find(self, dependency: Dependency) -> Known | None:
        """The ACI with the dependency's name, chosen by its image ID if given, else by its labels; None if there is
        none.
        """
        found = self._fitting(dependency, self._given)
        if found is None and dependency.pinned:
            found = self._fitting(dependency, self._beside)
        if found is None and self._image.kind.access == "discovery":
            with suppress(NotFound):
                found = self._open(Location(transport="appc", path=str(dependency)))
        if found is not None and self._wanted is not None and not dependency.pinned:
            wanted = replace(self._wanted, identity="", require=frozenset())
            root = found.descriptor
            location, source = next(one for one in self._opened if one[1].resolve("").digest == root.digest)
            require_signed(source, location, root, wanted, "")
        return found

    def attachments(self, subject: Digest) -> Iterator[Attachment]:
        """What refers to the ACIs found."""
        for _, source in self._opened:
            yield from source.attachments(subject)

    def fetch(self, descriptor: Descriptor) -> Known:
        """An ACI found, or an attachment of one; raises NotFound."""
        for _, source in self._opened:
            with suppress(NotFound):
                return source.fetch(descriptor)
        raise NotFound(f"blob unknown: {descriptor.digest}, in the ACIs that others depend on")

    @cached_property
    def _given(self) -> Named:
        for folder in self._folders:
            if not folder.is_dir():
                raise NotFound(f"{folder}: no such directory (--aci-path)")
        from converter.stores.aci_file import acis_below

        return self._by_name(path for folder in self._folders for path in acis_below(folder))

    @cached_property
    def _beside(self) -> Named:
        """The ACIs that a layered image was written with: the user did not choose these files, so only a pinned image
        ID may select one.
        """
        if self._image.transport and self._image.kind.attached != "beside":
            return {}
        from converter.stores.aci_file import paths_below

        return self._by_name(paths_below(Path(self._image.path)))

    def _by_name(self, paths: Iterable[Path]) -> Named:
        """The files by the names in their manifests: there may be hundreds, so none is read further, or kept open."""
        named: Named = {}
        for path in paths:
            with suppress(Invalid, Unsupported):  # not every such file need be a valid image
                named.setdefault(names_in(path)[0], []).append(path)
        return named

    def _fitting(self, dependency: Dependency, named: Named) -> Known | None:
        """The ACI that fits, of those that have its name; each is opened once."""
        paths = tuple(named.get(dependency.name, ()))
        if paths not in self._finders:
            opened = (self._open(Location(transport="aci", path=str(path))) for path in paths)
            self._finders[paths] = formats.finder_among(opened)
        return self._finders[paths](dependency)

    def _open(self, location: Location) -> Known:
        if location.kind.on_disk:
            self._options.inputs.add(location.path)
        source = self.files.enter_context(open_source(location, self._options))
        self._opened.append((location, source))
        return source.fetch(source.resolve(""))


def names_in(path: Path) -> tuple[str, str]:
    """The name in the manifest of an ACI, and the Docker reference for it; raises ConverterError.

    Neither is verified: this is to find files, and to say where they go. A file is read again only if it changes, since
    many have their manifest at the end, and a run asks for each image, and for each of its dependencies.
    """
    with disk_errors(path, "read"):
        stat = path.stat()
    return _names_in(path.absolute(), (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=4096)
def _names_in(path: Path, _stamp: tuple[int, ...]) -> tuple[str, str]:
    from converter.formats.aci.reading import parse_manifest, reference_to
    from converter.stores.aci_file import AciFile
    from converter.streams.tar.aci import manifest_in

    with AciFile(path) as file:
        manifest = parse_manifest(manifest_in(file.unverified()))
    return manifest.name, reference_to(manifest)
