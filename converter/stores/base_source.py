"""What sources share: base classes, and how names are resolved within one archive, layout or directory."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from converter.errors import NotFound, unless_invalid
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.image import Attachment, Loss
from converter.model.reference import ImageName
from converter.ports import Fetch, Source
from converter.stores.disk import printable_path

POSITION = r"@([0-9]{1,9})"
"""What is meant instead of a name, counted from 0."""

_SHOWN = 50
Found = dict[str, dict[Digest, Descriptor]]
"""The distinct roots that a name may mean, each as the first offer has it."""


class SingleSource(Source):
    """A source of one image, which has no name of its own; ``where`` is the source's, for people."""

    where: str

    @property
    @abstractmethod
    def root(self) -> Descriptor:
        """The image."""

    def names(self) -> tuple[str, ...]:
        return ("@0",)

    def resolve(self, name: str) -> Descriptor:
        return ImageNames(where=self.where, offers=(ListedImage(self.root),), positions=(self.root,)).resolve(name)


@frozen(kw_only=False)
class NameListing(Source):
    """The names of an Engine's images, or of a registry's repositories: each of them is a reference of its own.

    ``where`` and ``form`` are for messages: this place, and the form of a reference to one image in it.
    """

    local = False
    where: str
    form: str
    listed: Callable[[], tuple[str, ...]]

    def names(self) -> tuple[str, ...]:
        return self.listed()

    def resolve(self, name: str) -> Descriptor:
        """Raise NotFound, always."""
        del name
        raise NotFound(f"{self.where} holds many images: choose one, as {self.form} (`transship tags` lists them)")

    def fetch(self, descriptor: Descriptor) -> Known:
        """Raise NotFound, always."""
        raise NotFound(f"blob unknown: {descriptor.digest} in {self.where}, which only lists images ({self.form})")


class WrappedSource(Source):
    """Wraps a source, which it closes; ``read`` gives the bytes of its blobs."""

    def __init__(self, source: Source, read: Callable[[Known], Blocks]) -> None:
        self.local = source.local
        self.unpacked = source.unpacked
        self._source = source
        self._read = read

    def close(self) -> None:
        self._source.close()

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
        return known if known.absent else Known(known.descriptor, lambda: self._read(known))


@frozen(kw_only=False)
class ListedImage:
    """An image: the names it is listed under, their other spellings, and the tags that may stand for them."""

    root: Descriptor
    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@frozen
class ImageNames:
    """The images in one place. ``positions`` are those meant by ``@0``, ``@1`` …, among them all that are offered;
    ``where`` is for people; ``fetch`` finds what is there by digest without being listed, such as an image of an index.

    There may be thousands, and each may be asked for, so they are looked up.
    """

    where: str
    offers: Sequence[ListedImage]
    positions: Sequence[Descriptor]
    fetch: Fetch | None = None

    def names(self) -> tuple[str, ...]:
        """A name for each image; ``@N`` for one without a name of its own."""
        positions: dict[Digest, str] = {}
        for index, root in enumerate(self.positions):
            positions.setdefault(root.digest, f"@{index}")
        found: list[str] = []
        for offer in self.offers:
            # A listed name is matched by the first rule, so it is usable only if a single image is listed under it.
            own = [name for name in offer.names if len(self._exact.get(name, ())) == 1]
            found += own or [positions[offer.root.digest]]
        return tuple(dict.fromkeys(found))

    def resolve(self, name: str) -> Descriptor:
        """The image that ``name`` means: exactly, else as a reference in another spelling, else by its tag.

        ``@N`` counts from 0, and ``@ALGORITHM:HEX`` is a digest. An empty name means the only image. Raises NotFound,
        listing the images there are.
        """
        position = re.fullmatch(POSITION, name)
        if position is not None:
            number, count = int(position[1]), len(self.positions)
            if number >= count:
                raise NotFound(f"no image {name} in {self.where}: it holds {count}, from @0 on")
            return self.positions[number]
        if name.startswith("@"):
            return self._by_digest(Digest.parse(name[1:]))
        matching = self._matching(name)
        if len(matching) == 1:
            return next(iter(matching.values()))
        if not self.offers:
            raise NotFound(f"{self.where} holds no image")
        if not matching:
            raise NotFound(f'no image named "{name}" in {self.where} (available: {self._listing()})')
        named = f' named "{name}"' if name else ""
        raise NotFound(f"{self.where} holds {len(matching)} images{named}: choose one of {self._listing()}")

    def references_to(self, root: Descriptor) -> Mapping[str, None]:
        """Every full reference that an image is listed under, in order."""
        return self._references.get(root.digest, {})

    def _by_digest(self, digest: Digest) -> Descriptor:
        for root in self.positions:
            if root.digest == digest:
                return root
        if self.fetch is None:
            raise NotFound(f"manifest unknown: {digest} in {self.where} (available: {self._listing()})")
        return self.fetch(Descriptor(media_type="", digest=digest, size=-1)).descriptor

    def _matching(self, name: str) -> dict[Digest, Descriptor]:
        """The distinct roots that match by the first rule with any match."""
        if not name:
            return {offer.root.digest: offer.root for offer in reversed(self.offers)}
        return self._exact.get(name) or self._full.get(full_reference(name)) or self._tagged.get(name) or {}

    @cached_property
    def _exact(self) -> Found:
        return self._found(lambda offer: (*offer.names, *offer.aliases))

    @cached_property
    def _full(self) -> Found:
        return self._found(lambda offer: map(full_reference, (*offer.names, *offer.aliases)))

    @cached_property
    def _tagged(self) -> Found:
        return self._found(lambda offer: offer.tags)

    def _found(self, names: Callable[[ListedImage], Iterable[str]]) -> Found:
        found: Found = {}
        for offer in self.offers:
            for name in filter(None, names(offer)):
                found.setdefault(name, {}).setdefault(offer.root.digest, offer.root)
        return found

    @cached_property
    def _references(self) -> dict[Digest, dict[str, None]]:
        found: dict[Digest, dict[str, None]] = {}
        for offer in self.offers:
            full = filter(None, map(full_reference, offer.names))
            found.setdefault(offer.root.digest, {}).update(dict.fromkeys(full))
        return found

    def _listing(self) -> str:
        names = self.names()
        shown = ", ".join(map(printable_path, names[:_SHOWN]))
        more = len(names) - _SHOWN
        return f"{shown} and {more} more" if more > 0 else shown


def full_reference(name: str) -> str:
    """The name as a full reference with its tag; empty if it is not a reference."""
    parsed = unless_invalid(ImageName.parse, name)
    return str(parsed.tagged()) if parsed else ""
