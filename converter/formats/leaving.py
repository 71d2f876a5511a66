"""What an image loses when it is converted to another format, as far as the format it was read from can say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converter.errors import NotFound, Unsupported
from converter.model.image import Image
from converter.model.loss import Loss


def elsewhere(image: Image, target: str, *, annotated: bool = False) -> Iterator[Loss]:
    """What an image loses in the format ``target``; if that is ``annotated``, it may keep something in annotations.

    Raises Unsupported if its platform has no name there, NotFound if images that it depends on are no layers yet.
    """
    notes = image.notes
    if notes.platform == "nameless":
        raise Unsupported(f"the platform {image.platform} has no name in {target}: give one with --platform")
    if notes.depends_on:
        raise NotFound(
            f"no image for {', '.join(notes.depends_on)}: add the directory of its .aci file with --aci-path"
        )
    for loss in notes.losses:
        if loss.field != "platform" or notes.platform != "chosen":
            yield loss if annotated else replace(loss, kept="")
