"""A sink that reports which blobs its target has, so that other repositories of the registry can mount them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment
from converter.ports import Sink


class NotedSink:
    """Calls ``heard`` for each blob in the target, with whether it was sent; the sink is not asked about ``known``
    blobs.
    """

    def __init__(
        self, sink: Sink, heard: Callable[[Digest, bool], None], known: Callable[[Digest], bool] = lambda _: False
    ) -> None:
        self.accepts = sink.accepts
        self.ordered = sink.ordered
        self._sink = sink
        self._heard = heard
        self._known = known

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def has(self, descriptor: Descriptor) -> bool:
        found = self._known(descriptor.digest) or self._sink.has(descriptor)
        if found:
            self._heard(descriptor.digest, False)
        return found

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        made = self._sink.put(blocks, media_type, expected)
        self._heard(made.digest, True)
        return made

    def name(self, name: str, root: Descriptor) -> None:
        self._sink.name(name, root)

    def attach(self, attachment: Attachment) -> None:
        self._sink.attach(attachment)
