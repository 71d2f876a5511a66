"""A source that wraps another and only obtains its blobs differently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment, Loss
from converter.ports import Source


class WrappedSource(ABC):
    """Wraps a source, which it opens and closes. Subclasses define where a blob's bytes come from."""

    def __init__(self, source: Source) -> None:
        self.local = source.local
        self.unpacked = source.unpacked
        self._source = source

    @abstractmethod
    def _blocks(self, known: Known) -> Blocks:
        """The bytes of a blob of the wrapped source, from their start."""

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

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
