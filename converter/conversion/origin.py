"""Decides when to write an origin record, which keeps what was signed when a signed image changes its digest.

``recording`` makes a record, ``converter.verification`` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator

from converter.conversion.attachments import PlannedAttachment
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Item
from converter.model.loss import Loss
from converter.model.reference import STDOUT, Location
from converter.model.settings import Settings
from converter.model.transport import TRANSPORTS
from converter.plan import Node, forecast
from converter.ports import Fetch

SIGNED, ALWAYS, NEVER = "signed", "always", "never"
MODES = (ALWAYS, SIGNED, NEVER)

KEPT = "the origin record"
"""``Loss.kept`` for what the record holds byte for byte: ``strict`` does not count that as a loss."""


@frozen(kw_only=False)
class ImageBefore:
    """An image before its conversion: its root, the part that is converted, its name, and what refers to it."""

    root: Descriptor
    item: Item
    fetch: Fetch
    attached: tuple[PlannedAttachment, ...]
    settings: Settings
    name: str


def place_of(destination: Location) -> str:
    """Where signatures and records go: the transport, except that nothing can lie beside a file that is piped."""
    piped = destination.kind.attached == "beside" and destination.path in STDOUT
    return "standard output" if piped else destination.transport


def due(before: ImageBefore, plan: Node, mode: str) -> bool:
    """Whether a record is due, as far as that is known before the image is written."""
    future = forecast(plan).made
    changed = future is None or future.descriptor.digest != before.root.digest
    return changed and may_be_due(before, mode)


def may_be_due(before: ImageBefore, mode: str) -> bool:
    """Whether a record would be due if the digest changed."""
    return mode == ALWAYS or (mode != NEVER and is_signed(before))


def has_room(place: str) -> bool:
    """Whether a record can be stored there."""
    return place in TRANSPORTS and bool(TRANSPORTS[place].attached)


def losses(place: str) -> Iterator[Loss]:
    """The loss when a record is due but has no place."""
    if not has_room(place):
        reason = f"{place} has no place for an origin record: nobody can tell from the image that it was signed"
        yield Loss(field="origin", reason=reason)


def is_signed(before: ImageBefore) -> bool:
    """Whether the image, or the one it was converted from, is signed."""
    if not before.attached and before.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    from converter.trust import evidence, origin

    if any(evidence.signatures_of_attachment(one.attachment, before.fetch) for one in before.attached):
        return True
    if origin.find_records((one.attachment for one in before.attached), before.fetch):
        return True
    if before.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    return any(evidence.embedded_signatures(before.fetch(before.root).read(), before.root))
