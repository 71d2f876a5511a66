"""Base classes of sources: of one image, of a list of names, and around another source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

from converter.errors import NotFound
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment, Loss
from converter.ports import Source
from converter.stores.image_names import ImageNames, ListedImage


class SingleSource(Source):
    """A source of one image, which has no name of its own; ``where`` is the source's, for people."""

    where: str

    @property
    @abstractmethod
    def root(self) -> Descriptor:
        """The image."""

    def names(self) -> tuple[str, ...]:
        return ("@0",)

    def resolve(self, name: str) -> Descriptor:
        return ImageNames(where=self.where, offers=(ListedImage(root=self.root),), positions=(self.root,)).resolve(name)


class NameListing(Source):
    """The names of an Engine's images, or of a registry's repositories: each of them is a reference of its own."""

    local = False

    def __init__(self, where: str, form: str, listed: Callable[[], tuple[str, ...]]) -> None:
        """``where`` and ``form`` are for messages: this place, and the form of a reference to one image in it."""
        self._where = where
        self._form = form
        self._listed = listed

    def names(self) -> tuple[str, ...]:
        return self._listed()

    def resolve(self, name: str) -> Descriptor:
        """Raise NotFound, always."""
        del name
        raise NotFound(f"{self._where} holds many images: choose one, as {self._form} (`transship tags` lists them)")

    def fetch(self, descriptor: Descriptor) -> Known:
        """Raise NotFound, always."""
        raise NotFound(f"blob unknown: {descriptor.digest} in {self._where}, which only lists images ({self._form})")


class WrappedSource(Source):
    """Wraps a source, which it opens and closes. Subclasses define where a blob's bytes come from."""

    def __init__(self, source: Source) -> None:
        self.local = source.local
        self.unpacked = source.unpacked
        self._source = source

    @abstractmethod
    def _blocks(self, known: Known) -> Blocks:
        """The bytes of a blob of the wrapped source, from their start."""

    def close(self) -> None:
        self._source.close()

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._source.losses

    def names(self) -> tuple[str, ...]:
        return self._source.names()

    def resolve(self, name: str) -> Descriptor:
        return self._source.resolve(name)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        return self._source.attachments(subject)

    def fetch(self, descriptor: Descriptor) -> Known:
        known = self._source.fetch(descriptor)
        return known if known.absent else Known(known.descriptor, lambda: self._blocks(known))
