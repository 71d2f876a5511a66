"""Content: bytes known by their digest, and bytes that are still to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from converter.errors import ConverterError, DigestMismatch, LimitExceeded
from converter.model.compression import Compression
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.limits import Limits, in_force

Blocks = Iterable[bytes | memoryview]
Open = Callable[[], Blocks]
"""Gives the same bytes from their start, each time it is called."""

Note = Callable[[str, str], None]
"""Takes what a rewrite learns on its way for use in a document: a name and a text."""

WARNING = "warning"
"""The name of a text that is for people."""


@frozen(kw_only=False)
class Known:
    """Bytes with a claimed digest. They are checked while they are read; nothing switches that off.

    ``raw`` is what a store has under that name; only ``blocks`` may call it, and validation, which reports instead of
    raising. ``absent`` says that the store does not have them: the descriptor names a foreign layer, whose bytes are
    where its URLs point. ``file`` is a file that holds exactly these bytes, if there is one.
    """

    descriptor: Descriptor
    raw: Open = field(compare=False, repr=False)
    absent: bool = False
    file: Path | None = field(default=None, compare=False, repr=False)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes, in order. Until the iteration has ended without an error, none of them is to be trusted.

        Raises DigestMismatch where size or digest differ from the descriptor's.
        """
        return checked(self.raw(), self.descriptor.digest, self.descriptor.size)

    def read(self, limits: Limits | None = None) -> bytes:
        """A whole document in memory; raises LimitExceeded where it is larger than a document may be."""
        most = (limits or in_force()).document
        if self.descriptor.size > most:
            got = f"got a document of {self.descriptor.size} bytes"
            raise LimitExceeded(f"{got}, want at most {most} (limit: document)")
        return b"".join(self.blocks())

    def pinned(self, limits: Limits | None = None) -> Known:
        """The same document, read once and held in memory."""
        return Known(self.descriptor, at_hand(self.read(limits)))


def known(data: bytes, media_type: str) -> Known:
    """Bytes in memory, under their own digest."""
    return Known(Descriptor.of(data, media_type), at_hand(data))


def at_hand(data: bytes) -> Open:
    """Bytes in memory as blocks, none of which is empty."""
    return lambda: (data,) if data else ()


def missing(error: ConverterError) -> Open:
    """Raises ``error`` when somebody reads a blob that is not there."""

    def raw() -> Blocks:
        raise error

    return raw


def checked(blocks: Blocks, digest: Digest, size: int | None = None) -> Iterator[bytes | memoryview]:
    """Pass blocks through; raises DigestMismatch as soon as there are too many bytes, or at their end."""
    hasher = digest.hasher()
    passed = 0
    for block in blocks:
        passed += len(block)
        if size is not None and passed > size:
            raise DigestMismatch(f"got more than {size} bytes, want {size} for {digest}")
        hasher.update(block)
        yield block
    if size is not None and passed != size:
        raise DigestMismatch(f"got {passed} bytes, want {size} for {digest}")
    if hasher.hexdigest() != digest.encoded:
        raise DigestMismatch(f"got bytes with the digest {digest.algorithm}:{hasher.hexdigest()}, want {digest}")


class Rewrite(Protocol):
    """A pure function from uncompressed tar streams, base first, to one uncompressed stream.

    It opens each input at most once, and holds none in memory.
    """

    def __call__(self, inputs: Sequence[Open], note: Note, /) -> Blocks: ...


@frozen
class Derived:
    """Bytes still to be made: the inputs are uncompressed, rewritten into one stream, and compressed.

    Without a ``rewrite`` there is one input, whose uncompressed bytes stay as they are. ``algorithm`` is that of the
    digest of the uncompressed result: a diff_id is sha256, the image ID of an ACI sha512.
    """

    inputs: tuple[Layer, ...]
    rewrite: Rewrite | None = None
    compression: Compression
    algorithm: str = "sha256"


Content = Known | Derived


def sources(content: Content) -> Iterator[Known]:
    """The blobs that content is, or is made of, base first."""
    if isinstance(content, Known):
        yield content
    else:
        for layer in content.inputs:
            yield from sources(layer.content)


@frozen
class Layer:
    """One layer: its bytes, the digest of its uncompressed tar if it is known, and its annotations."""

    content: Content
    diff_id: Digest | None = None
    annotations: dict[str, str] = field(default_factory=dict)
