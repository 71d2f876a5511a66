"""Lists the names of all images of a Docker Engine (``docker-daemon:``), and all repositories of a registry."""

from __future__ import annotations

from collections.abc import Callable

from converter.errors import NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.stores.source import BaseSource


class NameListing(BaseSource):
    """A source without content: each of its names, after the transport, is a reference of its own."""

    local = False

    def __init__(self, where: str, form: str, listed: Callable[[], tuple[str, ...]]) -> None:
        """``where`` and ``form`` are for messages: this place, and the form of a reference to one image in it."""
        self._where = where
        self._form = form
        self.names = listed

    def resolve(self, name: str) -> Descriptor:
        """Raise NotFound, always."""
        del name
        raise NotFound(f"{self._where} holds many images: choose one, as {self._form} (`transship tags` lists them)")

    def fetch(self, descriptor: Descriptor) -> Known:
        """Raise NotFound, always."""
        raise NotFound(f"blob unknown: {descriptor.digest} in {self._where}, which only lists images ({self._form})")
