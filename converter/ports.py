"""The interfaces between packages: formats (Writer, Format), where bytes come from (Source), where they go (Sink)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol, Self

from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment, Dependency, Item, Loss
from converter.model.settings import Settings
from converter.plan import Node
from converter.streams.blocks import ClosedOnExit

Fetch = Callable[[Descriptor], Known]
Encode = Callable[[Item], Node]
Finder = Callable[[Dependency], Known | None]
"""Finds the image that a dependency names; None if there is none. Its result is not trusted."""


class Writer(Protocol):
    """How an image is written down. Pure: it opens no layer."""

    name: str
    single_file_name: str
    """What an image is called there that is one blob, with all its layers in it; empty if each layer is a blob."""

    def encode(self, item: Item, accepts: frozenset[str], settings: Settings, /) -> Node:
        """Plan the item in this format for a target that accepts the media types ``accepts``.

        Empty, the target is like any reader of the format, and gets what all of these know.
        An unchanged item that was read from this format yields a plan of copies, byte for byte. Raises Unsupported
        where the format cannot hold such an item at all.
        """

    def losses(self, item: Item, accepts: frozenset[str], settings: Settings, /) -> Iterable[Loss]:
        """What ``encode`` would omit or keep elsewhere, once per field."""


class Format(Writer, Protocol):
    """How an image is represented. Pure: reads bytes only through ``fetch``, and opens no layer."""

    def decode(self, root: Known, fetch: Fetch, /) -> Item:
        """Read a root document and the documents it names, but no layer. Raises Invalid."""


class Source(ClosedOnExit):
    """Where bytes come from. A context manager: leaving it closes files and connections."""

    local: bool = True
    """Whether opening a blob, and reading it again, is cheap."""

    unpacked: bool = False
    """Whether layers are uncompressed only because the store unpacks them, as in Docker's archives."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What is stored there and no image can hold, such as a socket in a directory."""
        return ()

    def close(self) -> None:
        """Close what is open; may be called again."""

    def hold(self) -> None:
        """Keep what is read from now on, where reading it again costs much: that will be done."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the images there; ``@0``, ``@1`` … for those without a name."""

    @abstractmethod
    def resolve(self, name: str) -> Descriptor:
        """The root of the image of that name; an empty name stands for the only image.

        Raises NotFound, listing the names, where none matches, or where an empty name matches several images.
        """

    @abstractmethod
    def fetch(self, descriptor: Descriptor) -> Known:
        """The blob of that digest, unopened, with a size of -1 in its descriptor filled in. Raises NotFound."""

    def attachments(self, subject: Digest) -> Iterable[Attachment]:  # noqa: ARG002 - not every store has a place for them
        """What refers to the image with that digest."""
        return ()


class Sink(ABC):
    """Where bytes go. A context manager: leaving it commits everything; leaving it with an error commits nothing."""

    accepts: frozenset[str] = frozenset()
    """The media types that it takes; empty for those that every reader of the format written there knows."""

    ordered: bool = False
    """True where the target's bytes depend on the order of calls, which are then made one at a time."""

    def __enter__(self) -> Self:
        """Fail here, before any work is done, where nothing can be written."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if error is None:
                self._commit()
        finally:
            self._abort()

    @abstractmethod
    def _commit(self) -> None:
        """Make visible what was written, all at once."""

    @abstractmethod
    def _abort(self) -> None:
        """Remove what is not visible; after a commit, release what is held."""

    @abstractmethod
    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is already there and need not be put."""

    @abstractmethod
    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Take a blob. If ``expected`` is given, ``blocks`` verifies itself against it and raises on a mismatch.

        The expected size may be -1 (unknown). Reads the blocks to their end; if they raise, nothing of the blob
        remains.
        """

    @abstractmethod
    def name(self, name: str, root: Descriptor) -> None:
        """Make ``root`` the image of that name (empty: an unnamed image) when the sink commits."""

    def tagged(self, tag: str) -> Iterable[bytes]:  # noqa: ARG002 - most places are written whole
        """The documents that the place had under a tag of cosign's before this sink was opened."""
        return ()

    @abstractmethod
    def attach(self, attachment: Attachment) -> None:
        """List a blob that has been put as an attachment of its subject."""
