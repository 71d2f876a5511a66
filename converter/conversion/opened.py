"""Opens an image for inspection: its documents are read now, its layers on demand."""

from __future__ import annotations

from collections.abc import Iterator

from converter import formats
from converter.errors import within
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor
from converter.model.image import Item
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.stores import StoreOptions, open_source
from converter.stores.source import WrappedSource
from converter.streams.blocks import closing


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
    """A source whose blobs outlive it: once it is ``closed``, each is read from the place opened anew."""

    def __init__(self, location: Location, options: StoreOptions) -> None:
        super().__init__(open_source(location, options))
        self._location = location
        self._options = options
        self.closed = False

    def _blocks(self, known: Known) -> Blocks:
        return self._again(known.descriptor) if self.closed else known.raw()

    def _again(self, descriptor: Descriptor) -> Iterator[bytes | memoryview]:
        with open_source(self._location, self._options) as source:
            source.resolve(self._location.name)  # a Docker archive learns its blobs' digests here
            with closing(source.fetch(descriptor).raw()) as blocks:
                yield from blocks
