"""Decides when to write an origin record, which keeps what was signed when a signed image changes its digest.

``recording`` makes a record, ``converter.verification`` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator

from converter.conversion.selection import SelectedImage
from converter.model import media_types as types
from converter.model.image import Loss
from converter.model.reference import Location
from converter.plan import Node, forecast

SIGNED, ALWAYS, NEVER = "signed", "always", "never"
MODES = (ALWAYS, SIGNED, NEVER)

KEPT = "the origin record"
"""``Loss.kept`` for what the record holds byte for byte: ``strict`` does not count that as a loss."""


def place_of(destination: Location) -> str:
    """Where signatures and records go: the transport, except that nothing can lie beside a file that is piped."""
    return "standard output" if destination.piped else destination.transport


def due(selected: SelectedImage, plan: Node, mode: str) -> bool:
    """Whether a record is due, as far as that is known before the image is written."""
    future = forecast(plan).made
    changed = future is None or future.descriptor.digest != selected.root.digest
    return changed and may_be_due(selected, mode)


def may_be_due(selected: SelectedImage, mode: str) -> bool:
    """Whether a record would be due if the digest changed."""
    return mode == ALWAYS or (mode != NEVER and is_signed(selected))


def losses(destination: Location) -> Iterator[Loss]:
    """The loss when a record is due but has no place."""
    if not destination.attached:
        where = f"{place_of(destination)} has no place for an origin record"
        yield Loss(field="origin", reason=f"{where}: nobody can tell from the image that it was signed")


def is_signed(selected: SelectedImage) -> bool:
    """Whether the image, or the one it was converted from, is signed."""
    if not selected.attached and selected.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    from converter.trust import origin_record, stored_signatures

    if any(stored_signatures.signatures_of_attachment(one.attachment, selected.fetch) for one in selected.attached):
        return True
    if origin_record.find_records((one.attachment for one in selected.attached), selected.fetch):
        return True
    if selected.root.media_type != types.DOCKER_SCHEMA1_SIGNED:
        return False
    return any(stored_signatures.embedded_signatures(selected.fetch(selected.root).read(), selected.root))
