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
from converter.ports import Source
from converter.stores import StoreOptions, open_source
from converter.streams.blocks import closing


def open_image(reference: Reference, store: StoreOptions | None = None) -> Item:
    """The neutral model of an image or an index: its documents are read, its layers are not.

    Nothing stays open: reading a layer later opens the source again. Raises what reading raises.
    """
    location, options = Location.parse(reference), store or StoreOptions()
    with enforce_limits(options.limits), open_source(location, options) as source, within(str(reference)):
        lasting = _Lasting(location, options, source)
        try:
            return formats.decode(lasting.fetch(source.resolve(location.name)), lasting.fetch)
        finally:
            lasting.source = None


class _Lasting:
    """Fetches blobs that outlive their source; ``source`` is None once it is closed."""

    def __init__(self, location: Location, options: StoreOptions, source: Source) -> None:
        self._location = location
        self._options = options
        self.source: Source | None = source

    def fetch(self, descriptor: Descriptor) -> Known:
        """As ``Source.fetch``; the source must still be open."""
        if self.source is None:
            raise ValueError("a descriptor was fetched after its source was closed")
        known = self.source.fetch(descriptor)
        return Known(known.descriptor, lambda: self._raw(known), absent=known.absent)

    def _raw(self, known: Known) -> Blocks:
        """The raw blocks, not verified here: the blob built on them verifies."""
        return known.raw() if self.source is not None else self._again(known.descriptor)

    def _again(self, descriptor: Descriptor) -> Iterator[bytes | memoryview]:
        with open_source(self._location, self._options) as source:
            source.resolve(self._location.name)  # a Docker archive learns its blobs' digests here
            with closing(source.fetch(descriptor).raw()) as blocks:
                yield from blocks
