"""Opens what a reference names, for the commands that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from converter import formats
from converter.errors import within
from converter.model.descriptor import Descriptor
from converter.model.image import Item
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import open_source
from converter.stores.options import StoreOptions


@dataclass(frozen=True, slots=True)
class Opened:
    """What a reference names, its root, and the source that has its bytes as long as it is open."""

    reference: str
    item: Item
    root: Descriptor
    source: Source

    def read(self, descriptor: Descriptor) -> Item:
        """What a descriptor of the item names."""
        return formats.decode(self.source.fetch(descriptor), self.source.fetch)


@contextmanager
def reading(reference: str, store: StoreOptions) -> Iterator[Opened]:
    """Open a reference; no layer is read. Raises what ``converter.open_image`` raises."""
    location = Location.parse(reference)
    with open_source(location, store) as source:
        with within(reference):
            root = source.resolve(location.name)
            item = formats.decode(source.fetch(root), source.fetch)
        yield Opened(reference, item, root, source)
