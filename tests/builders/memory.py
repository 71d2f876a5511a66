"""Images in memory: fakes of a store, which fulfil its contract without a disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from converter.errors import DigestMismatch, NotFound
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.ports import Sink, Source
from converter.stores.base_source import ImageNames, ListedImage


@dataclass(slots=True)
class MemoryStore:
    """The images. A sink changes them only when it commits."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    named: dict[str, Descriptor] = field(default_factory=dict)
    attached: list[Attachment] = field(default_factory=list)

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Add bytes immediately."""
        descriptor = Descriptor.of(data, media_type)
        self.blobs[descriptor.digest] = data
        return descriptor


class MemorySource(Source):
    """Reads a MemoryStore; ``opened`` counts how often each blob was opened."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.opened: dict[Digest, int] = {}

    def names(self) -> tuple[str, ...]:
        return self._catalogue().names()

    def resolve(self, name: str) -> Descriptor:
        return self._catalogue().resolve(name)

    def fetch(self, descriptor: Descriptor) -> Known:
        data = self._store.blobs.get(descriptor.digest)
        if data is None:
            raise NotFound(f"blob unknown: {descriptor.digest} in memory")
        return Known(descriptor.sized(len(data)), lambda: self._open(descriptor.digest, data))

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        return [attachment for attachment in self._store.attached if attachment.subject == subject]

    def _open(self, digest: Digest, data: bytes) -> Blocks:
        self.opened[digest] = self.opened.get(digest, 0) + 1
        return (data,) if data else ()

    def _catalogue(self) -> ImageNames:
        named = self._store.named
        offers = tuple(ListedImage(root=root, names=(name,) if name else ()) for name, root in named.items())
        return ImageNames(where="memory", offers=offers, positions=tuple(named.values()))


class MemorySink(Sink):
    """Writes a MemoryStore."""

    def __init__(self, store: MemoryStore, *, ordered: bool = False) -> None:
        self.ordered = ordered
        self._store = store
        self._new = MemoryStore()

    def _commit(self) -> None:
        self._store.blobs |= self._new.blobs
        self._store.named |= self._new.named
        self._store.attached += [item for item in self._new.attached if item not in self._store.attached]

    def _abort(self) -> None:
        """Do nothing: a store's images are changed only by a commit."""

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor.digest in self._store.blobs or descriptor.digest in self._new.blobs

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        data = b"".join(blocks)
        made = Descriptor.of(data, media_type)
        if expected is None:
            self._new.blobs[made.digest] = data
            return made
        if expected.size not in (-1, len(data)):
            raise DigestMismatch(f"size mismatch for {expected.digest}: expected {expected.size}, read {len(data)}")
        self._new.blobs[expected.digest] = data
        return expected.retyped(media_type).sized(len(data))

    def name(self, name: str, root: Descriptor) -> None:
        self._new.named[name] = root

    def attach(self, attachment: Attachment) -> None:
        self._new.attached.append(attachment)
