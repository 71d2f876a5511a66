"""Opens what a reference names, for the commands that only read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converter import formats
from converter.errors import within
from converter.keyword_names import naming_keywords
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Image, Item
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.ports import Source
from converter.stores import StoreOptions, open_source
from converter.stores.base_source import WrappedSource
from converter.streams.blocks import closing


@frozen(kw_only=False)
class OpenedReference:
    """What a reference names, its root, and its source, which is open until ``reading`` is left."""

    reference: str
    location: Location
    item: Item
    root: Descriptor
    source: Source
    store: StoreOptions
    files: ExitStack
    aci_paths: Sequence[Path] = ()

    def read(self, descriptor: Descriptor) -> Item:
        """Read what a descriptor of the item names."""
        return formats.item_reader(self.source.fetch)(descriptor)

    def whole(self, image: Image) -> Image:
        """The image, with the layers of its dependencies if it is an ACI; raises NotFound if one is missing."""
        from converter.conversion.find_dependencies import Library

        library = Library(self.aci_paths, self.files, self.store, image=self.location)
        return formats.resolve_dependencies(image, library.find)


@contextmanager
def reading(reference: Reference, store: StoreOptions, aci_paths: Sequence[Path] = ()) -> Iterator[OpenedReference]:
    """Open a reference; no layer is read. Raises what ``converter.open_image`` raises."""
    with ExitStack() as files:
        source = files.enter_context(open_source(Location.parse(reference), store))
        yield opened_from(source, reference, store, files, aci_paths)


def opened_from(
    source: Source, reference: Reference, store: StoreOptions, files: ExitStack, aci_paths: Sequence[Path]
) -> OpenedReference:
    """What a reference names in a source that is open."""
    location = Location.parse(reference)
    with within(str(reference)):
        root = source.resolve(location.name)
        item = formats.decode(source.fetch(root), source.fetch)
    return OpenedReference(str(reference), location, item, root, source, store, files, aci_paths)


def open_image(reference: Reference, store: StoreOptions | None = None) -> Item:
    """The neutral model of an image or an index: its documents are read, its layers are not.

    Nothing stays open: reading a layer later opens the source again. Raises what reading raises.
    """
    location, options = Location.parse(reference), store or StoreOptions()
    with enforce_limits(options.limits), _Reopened(location, options) as source, within(str(reference)):
        try:
            return formats.decode(source.fetch(source.resolve(location.name)), source.fetch)
        finally:
            source.closed = True


class _Reopened(WrappedSource):
    """A source whose blobs outlive it: once it is ``closed``, each is read from the place opened anew.

    Only callers from Python read them then, so errors name keywords.
    """

    def __init__(self, location: Location, options: StoreOptions) -> None:
        super().__init__(open_source(location, options), self._blocks)
        self._location = location
        self._options = options
        self.closed = False

    def _blocks(self, known: Known) -> Blocks:
        return self._again(known.descriptor) if self.closed else known.raw()

    def _again(self, descriptor: Descriptor) -> Iterator[bytes | memoryview]:
        with naming_keywords(), ExitStack() as files:
            with enforce_limits(self._options.limits):
                source = files.enter_context(open_source(self._location, self._options))
                source.resolve(self._location.name)  # a Docker archive learns its blobs' digests here
                blocks = files.enter_context(closing(source.fetch(descriptor).raw()))
            yield from blocks
