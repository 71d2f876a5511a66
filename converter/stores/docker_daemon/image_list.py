"""The images of a Docker Engine, by name. Each is a place of its own, ``docker-daemon:NAME``."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from converter.errors import NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment


class ImageList:
    """A source of names alone: nothing is fetched before it is known which image is wanted."""

    local = True
    unpacked = True

    def __init__(self, host: str, names: tuple[str, ...]) -> None:
        self._host = host
        self._names = names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close nothing."""

    def names(self) -> tuple[str, ...]:
        return self._names

    def resolve(self, name: str) -> Descriptor:
        """Raise NotFound, always: an image is named in the reference."""
        del name
        images = "one image" if len(self._names) == 1 else f"{len(self._names)} images"
        raise NotFound(
            f"got no name for {images} in the Docker Engine at {self._host}, want docker-daemon:NAME "
            f"(transship tags docker-daemon: lists the names)"
        )

    def fetch(self, descriptor: Descriptor) -> Known:
        """Raise NotFound, always."""
        raise NotFound(f"got {descriptor.digest}, which no image is known to have, want docker-daemon:NAME")

    def attachments(self, subject: Digest) -> tuple[Attachment, ...]:
        """None: an Engine keeps nothing but images."""
        del subject
        return ()
