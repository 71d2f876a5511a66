"""When to write an origin record, which keeps what was signed: if a signed image changes its digest.

``recording`` makes one, ``converter.verification`` checks one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from converter.conversion.attachments import Attached
from converter.conversion.options import Options
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Image, Item
from converter.model.reference import Location
from converter.model.transport import TRANSPORTS
from converter.plan import Loss, Made, Node, forecast
from converter.ports import Fetch
from converter.stores.media.out_file import STDOUT
from converter.trust.settings import Settings

SIGNED, ALWAYS, NEVER = "signed", "always", "never"
MODES = (ALWAYS, SIGNED, NEVER)

KEPT = "the origin record"
"""Where a loss says that something is kept which is in the record, byte for byte: that is none, for ``strict``."""


@frozen(kw_only=False)
class Before:
    """What an image was: its root, what of it is converted, and what referred to it."""

    root: Descriptor
    item: Item
    fetch: Fetch
    attached: tuple[Attached, ...]
    settings: Settings


@frozen(kw_only=False)
class After:
    """What it has become: the plan, and what its nodes are."""

    plan: Node
    made: Mapping[int, Made]

    @property
    def root(self) -> Descriptor:
        """The converted image."""
        return self.made[id(self.plan)].descriptor


def settings(options: Options, root: Descriptor, item: Item, name: str) -> Settings:
    """How the image is converted, for repeating it."""
    platforms = options.platforms
    if root.media_type in types.INDEXES and isinstance(item, Image) and not platforms:
        # That of this machine: another one has to choose the same.
        platforms = (str(item.platform),)
    return Settings(
        platforms=platforms,
        called=name,
        squash=options.squash,
        layered=options.layered,
        dev_links=options.rkt_dev_links,
        epoch=options.epoch or 0,
    )


def place_of(destination: Location) -> str:
    """Where signatures and records go, for those who sort them: an ACI that is piped has nothing beside it."""
    piped = destination.transport == "aci" and destination.path in STDOUT
    return "standard output" if piped else destination.transport


def due(before: Before, plan: Node, mode: str) -> bool:
    """Whether there is to be a record, as far as that is known before the image is written."""
    future = forecast(plan)
    changed = future is None or future.descriptor.digest != before.root.digest
    return changed and may_be_due(before, mode)


def may_be_due(before: Before, mode: str) -> bool:
    """The same where nobody knows yet what becomes of the image."""
    return mode == ALWAYS or (mode != NEVER and is_signed(before))


def has_room(place: str) -> bool:
    """Whether a record can be there."""
    return place in TRANSPORTS and bool(TRANSPORTS[place].attached)


def losses(place: str) -> Iterator[Loss]:
    """What is lost where a record is due and has no place."""
    if not has_room(place):
        reason = f"{place} has no place for an origin record: nobody can tell from the image that it was signed"
        yield Loss(field="origin", reason=reason)


def is_signed(before: Before) -> bool:
    """Whether somebody has signed the image, or what it was made of."""
    if not before.attached and before.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    from converter.trust import evidence, origin

    if any(evidence.of(one.attachment, before.fetch) for one in before.attached):
        return True
    if origin.find((one.attachment for one in before.attached), before.fetch):
        return True
    if before.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    return any(evidence.within(before.fetch(before.root).read(), before.root))
