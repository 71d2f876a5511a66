"""Remembers which repository of a registry has which blob, so that the others can mount it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from converter.cache import VerifiedCache
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment
from converter.model.reference import ImageName, Location
from converter.stores import StoreOptions, open_sink


class HolderSink:
    """Writes to a repository, and tells ``memory`` of each blob there; what this run saw there is not asked for."""

    def __init__(self, destination: Location, store: StoreOptions, memory: VerifiedCache) -> None:
        name = ImageName.parse(destination.path)
        self._host, self._repository = name.host, name.repository
        self._memory = memory
        self._mount_from = store.mount_from
        self._sink = open_sink(destination, replace(store, holders=self._holders))
        self.accepts = self._sink.accepts
        self.ordered = self._sink.ordered

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def has(self, descriptor: Descriptor) -> bool:
        if self._repository in self._memory.seen(self._host, descriptor.digest):
            return True
        found = self._sink.has(descriptor)
        if found:
            self._learn(descriptor.digest, sent=False)
        return found

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        made = self._sink.put(blocks, media_type, expected)
        self._learn(made.digest, sent=True)
        return made

    def name(self, name: str, root: Descriptor) -> None:
        self._sink.name(name, root)

    def attach(self, attachment: Attachment) -> None:
        self._sink.attach(attachment)

    def _holders(self, digest: Digest) -> Iterator[str]:
        """The repositories that may have a blob: those that this run saw, then those of earlier runs."""
        known = self._memory.holder(self._host, digest)
        found = (*self._memory.seen(self._host, digest), *([known] if known is not None else []), *self._mount_from)
        yield from dict.fromkeys(found)

    def _learn(self, digest: Digest, *, sent: bool) -> None:
        self._memory.saw(self._host, digest, self._repository)
        # A repository that the blob could be mounted from will serve the next one as well.
        if sent or self._memory.holder(self._host, digest) is None:
            self._memory.learn_holder(self._host, digest, self._repository)
