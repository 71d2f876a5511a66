"""A Layer and its content: bytes known by their digest (Known), or still to be made (Derived) by a Rewrite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from converter.errors import ConverterError, DigestMismatch, NotFound, Usage
from converter.model.descriptor import Descriptor, Digest, new_hasher
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.media_types import CODECS

Blocks = Iterable[bytes | memoryview]
Open = Callable[[], Blocks]
"""Returns the same bytes from the start, each time it is called."""

COMPRESSION_LEVELS = {"keep": range(0), **{name: codec.levels for name, codec in CODECS.items() if codec.oci}}
COMPRESSIONS = tuple(f"{codec}[:LEVEL]" if levels else codec for codec, levels in COMPRESSION_LEVELS.items())
"""What a caller can ask for, as usage shows it."""


@frozen(kw_only=False)
class Compression:
    """A codec that can be written, or ``keep``; a ``level`` of None is this program's default for the codec."""

    codec: str
    level: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one of COMPRESSIONS; raises Usage otherwise."""
        codec, colon, level = text.partition(":")
        if codec not in COMPRESSION_LEVELS:
            raise Usage(f'unknown compression "{text}" (one of: {", ".join(COMPRESSIONS)})')
        if not colon:
            return cls(codec)
        levels = COMPRESSION_LEVELS[codec]
        if not (level.isascii() and level.isdigit() and len(level) < 4 and int(level) in levels):
            if not levels:
                raise Usage(f'"{codec}" takes no level')
            raise Usage(f'invalid {codec} level "{level[:40]}": expected {levels[0]} to {levels[-1]}')
        return cls(codec, int(level))

    def __str__(self) -> str:
        return self.codec if self.level is None else f"{self.codec}:{self.level}"

    def is_known_to(self, format_name: str) -> bool:
        """Whether every reader of a format knows the codec; ``keep`` names none."""
        return self.codec == "keep" or format_name in CODECS[self.codec].formats


KEEP = Compression("keep")
NONE = Compression("none")
GZIP = Compression("gzip")
ZSTD = Compression("zstd")


@dataclass(slots=True)
class LayerFacts:
    """What a rewrite learns of a layer along the way, and writes here; only what a document or another layer needs.

    ``recipe`` says how the image that became this layer is made of it again. ``passwd`` and ``group`` are the account
    files. ``paths`` are all that exist with this layer, and ``root`` is the header of the root directory, both in the
    form of the format that packs it. ``warning`` is for people.
    """

    recipe: str = ""
    passwd: str = ""
    group: str = ""
    paths: bytes = b""
    root: bytes = b""
    warning: str = ""


@frozen(kw_only=False)
class Known:
    """Bytes with a claimed digest, verified while they are read; the check cannot be switched off.

    ``raw`` opens what the store has under that digest, unverified: what passes it on, looks at its first bytes or
    reports instead of raising may call it; all else reads ``blocks``. ``absent`` means that the store does not have
    them: the descriptor names a foreign layer, whose bytes are at its URLs. ``file`` is a file that holds exactly these
    bytes, if there is one.
    """

    descriptor: Descriptor
    raw: Open = field(compare=False, repr=False)
    absent: bool = False
    file: Path | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its descriptor: another machine has to open the bytes itself."""
        return Known, (self.descriptor, open_elsewhere, self.absent)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes, in order. None may be trusted until the iteration has ended without an error.

        Raises DigestMismatch if size or digest differ from the descriptor's.
        """
        return verified_blocks(self.raw(), self.descriptor.digest, self.descriptor.size)

    def read(self) -> bytes:
        """The whole document in memory; raises LimitExceeded if it is larger than a document may be."""
        current_limits().require("document", self.descriptor.size, "bytes of a document")
        return b"".join(self.blocks())

    def pinned(self) -> Known:
        """The same document, read once and kept in memory."""
        return Known(self.descriptor, blocks_of(self.read()))


def known_bytes(data: bytes, media_type: str) -> Known:
    """Bytes in memory, under their own digest."""
    return Known(Descriptor.of(data, media_type), blocks_of(data))


def blocks_of(data: bytes) -> Open:
    """Bytes in memory as blocks, none of them empty."""
    return lambda: (data,) if data else ()


def open_elsewhere() -> Blocks:
    """An ``Open`` for bytes that another machine described."""
    raise NotFound("the blob was described by another machine and is not open here")


def open_missing(error: ConverterError) -> Open:
    """An ``Open`` for a blob that is not there: raises ``error`` when it is read."""

    def raw() -> Blocks:
        raise error

    return raw


def foreign_layer(descriptor: Descriptor, where: str) -> Known:
    """A foreign layer that a store has only the URLs of."""
    fact = f"foreign layer {descriptor.digest} is not in {where}"
    error = NotFound(f"{fact}: convert it from a registry with --download-foreign")
    return Known(descriptor, open_missing(error), absent=True)


def verified_blocks(blocks: Blocks, digest: Digest, size: int | None = None) -> Iterator[bytes | memoryview]:
    """Pass blocks through; raises DigestMismatch as soon as there are too many bytes, or at the end."""
    hasher = new_hasher(digest.algorithm)
    passed = 0
    for block in blocks:
        passed += len(block)
        if size is not None and passed > size:
            raise DigestMismatch(f"size mismatch for {digest}: expected {size} bytes, read more")
        hasher.update(block)
        yield block
    if size is not None and passed != size:
        raise DigestMismatch(f"size mismatch for {digest}: expected {size} bytes, read {passed}")
    if hasher.hexdigest() != digest.encoded:
        raise DigestMismatch(f"digest mismatch: expected {digest}, computed {digest.algorithm}:{hasher.hexdigest()}")


Replaced = set[tuple[int, int]]
"""Entries that a later entry of the same input replaces: the number of the input, and that of the entry in it."""


@runtime_checkable
class Repeatable(Protocol):
    """A rewrite whose results are remembered: the same ``identity`` makes the same bytes of the same inputs, ever.

    What it learns of a layer is no more than a recipe. A rewrite without an identity is done each time: what it makes
    goes into a file of its own, which is written each time.
    """

    @property
    def identity(self) -> str:
        """What it does, in a form that no other rewrite has."""


class Rewrite(Protocol):
    """A function from uncompressed tar streams, base first, to one uncompressed stream, which depends on nothing else.

    It opens each input at most once and does not hold any in memory. An input that names a file twice is forbidden,
    which only reading shows: the entries that should not have been written are added to ``replaced``, and Superseded is
    raised. The same call then leaves them out.
    """

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        """The rewritten stream."""


@frozen
class Derived:
    """Bytes still to be made: the inputs are uncompressed, rewritten into one stream, and compressed.

    Without a ``rewrite`` there is one input, whose uncompressed bytes are kept. ``algorithm`` is for the digest of the
    uncompressed result: sha256 for a diff_id, sha512 for the image ID of an ACI. ``reason`` says, for
    people, why a layer that could have been kept is compressed anew.
    """

    inputs: tuple[Layer, ...]
    rewrite: Rewrite | None = None
    compression: Compression
    algorithm: str = "sha256"
    reason: str = field(default="", compare=False)


Content = Known | Derived


def source_blobs(content: Content) -> Iterator[Known]:
    """The blobs that the content consists of or is made from, base first."""
    if isinstance(content, Known):
        yield content
    else:
        for layer in content.inputs:
            yield from source_blobs(layer.content)


@frozen
class Layer:
    """One layer: its content, the digest of its uncompressed tar if known, and its annotations."""

    content: Content
    diff_id: Digest | None = None
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> Digest | None:
        """The digest of its blob; None for one still to be made."""
        return self.content.descriptor.digest if isinstance(self.content, Known) else None

    @property
    def size(self) -> int | None:
        """The size of its blob in bytes; None if it is not known."""
        if not isinstance(self.content, Known) or self.content.descriptor.size < 0:
            return None
        return self.content.descriptor.size

    @property
    def media_type(self) -> str:
        """The media type of its blob; empty for one still to be made."""
        return self.content.descriptor.media_type if isinstance(self.content, Known) else ""

    @property
    def absent(self) -> bool:
        """Whether it is a foreign layer that is available only from its URLs."""
        return isinstance(self.content, Known) and self.content.absent
