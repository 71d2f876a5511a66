"""What most sources do alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment, Loss
from converter.stores.catalogue import Catalogue, CatalogueEntry


class BaseSource:
    """A source on this machine that holds nothing open, and that loses nothing."""

    local: bool = True
    unpacked: bool = False

    @property
    def losses(self) -> tuple[Loss, ...]:
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; may be called again."""

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """None, unless the store has a place for them."""
        del subject
        return ()


class SingleSource(BaseSource, ABC):
    """A source of one image, which has no name of its own; ``where`` is the source's, for people."""

    where: str

    @property
    @abstractmethod
    def root(self) -> Descriptor:
        """The image."""

    def names(self) -> tuple[str, ...]:
        return ("@0",)

    def resolve(self, name: str) -> Descriptor:
        return Catalogue(where=self.where, offers=(CatalogueEntry(root=self.root),), positions=(self.root,)).resolve(
            name
        )
