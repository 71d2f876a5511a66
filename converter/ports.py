"""The three seams: how an image is written down (Format), where bytes come from (Source), where they go (Sink)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.image import Attachment, Item
from converter.plan import Loss, Node

Fetch = Callable[[Descriptor], Known]
Encode = Callable[[Item], Node]


class Format(Protocol):
    """How an image is represented. Pure: it gets bytes only through ``fetch``, and opens no layer."""

    name: str
    media_types: frozenset[str]
    """The media types of the root documents it reads."""

    def decode(self, root: Known, fetch: Fetch) -> Item:
        """Read a root document and what it names, but no layer. Raises Invalid."""
        ...

    def encode(self, item: Item, accepts: frozenset[str]) -> Node:
        """Plan the item in this format for a target that accepts the media types ``accepts`` (empty: any).

        An unchanged item that was read from this format yields a plan of copies, byte for byte.
        Raises Unsupported where the format cannot hold such an item at all.
        """
        ...

    def losses(self, item: Item) -> Iterable[Loss]:
        """What ``encode`` would leave out or keep elsewhere, once per field."""
        ...


class Source(Protocol):
    """Where bytes come from. A context manager: leaving it frees files and connections."""

    local: bool
    """Whether a blob is cheap to open, and to read again."""

    unpacked: bool
    """Whether layers are plain only because the store unpacks what it gets, as Docker's archives do."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def names(self) -> tuple[str, ...]:
        """The names of the images that are there, ``@0``, ``@1`` … for those without one."""
        ...

    def resolve(self, name: str) -> Descriptor:
        """The root of the image of that name; an empty name is the only image.

        Raises NotFound with what there is where the name fits none, or an empty name several.
        """
        ...

    def fetch(self, descriptor: Descriptor) -> Known:
        """The blob of that digest, unopened, its descriptor completed (a size of -1 is filled in). Raises NotFound."""
        ...

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """The attachments of the image with that digest."""
        ...


class Sink(Protocol):
    """Where bytes go. A context manager: leaving it commits everything, leaving it with an error commits nothing."""

    accepts: frozenset[str]
    """The media types it takes; empty when it takes any."""

    ordered: bool
    """True where the bytes of the target depend on the order of the calls: then they come one after the other."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there already, and need not be put."""
        ...

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Take a blob. ``expected`` says what it will be: then ``blocks`` checks itself, raising where it is not.

        Its size may be -1: not told. The blocks are read to their end; an error that they raise leaves nothing of the
        blob.
        """
        ...

    def name(self, name: str, root: Descriptor) -> None:
        """Make ``root`` the image of that name (empty: an image without one) when the sink commits."""
        ...

    def attach(self, attachment: Attachment) -> None:
        """List a blob that was put as an attachment of its subject."""
        ...
