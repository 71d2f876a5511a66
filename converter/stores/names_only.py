"""Places of places, which only list names: a Docker Engine, ``docker-daemon:``, and a registry, ``docker://HOST/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from converter.errors import NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment
from converter.stores.disk import shown


class NamesOnly:
    """A source without content: each of its names, after the transport, is a reference of its own."""

    local = False
    unpacked = False
    losses = ()

    def __init__(self, where: str, want: str, listed: Callable[[], tuple[str, ...]]) -> None:
        """``where`` and ``want`` are for people: this place, and the form of the references in it."""
        self._where = where
        self._want = want
        self.names = listed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def resolve(self, name: str) -> Descriptor:
        """Raise NotFound, always."""
        got = f"the name {shown(name)}" if name else "no name"
        raise NotFound(f"got {got} in {self._where}, want {self._want} (transship tags lists the names)")

    def fetch(self, descriptor: Descriptor) -> Known:
        """Raise NotFound, always."""
        raise NotFound(f"got {descriptor.digest} in {self._where}, want {self._want} first")

    def attachments(self, subject: Digest) -> tuple[Attachment, ...]:
        """None."""
        del subject
        return ()
