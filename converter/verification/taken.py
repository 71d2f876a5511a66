"""One image of an index: a signature of the index covers it, but the image itself may also be signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from converter import formats
from converter.edits import one_platform
from converter.errors import Untrusted
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.image import Image, Item
from converter.model.platform import Platform, choose
from converter.ports import Fetch
from converter.verification.question import Stored
from converter.verification.wanted import Wanted

if TYPE_CHECKING:
    from converter.verification import Judgement

Judge = Callable[[Stored, Wanted], "Judgement"]


def either(judge: Judge, stored: Stored, wanted: Wanted, *, platform: str) -> Judgement:
    """The judgement of an index or, if that is not ok, of its image for ``platform`` (empty: of no image).

    Anything but an index is judged as it is. Raises NotFound if no image suits, and what ``of_platform`` raises.
    """
    judgement = judge(stored, wanted)
    if judgement.ok or not platform or judgement.root.media_type not in types.INDEXES:
        return judgement
    image = of_platform(stored.source.fetch, judgement.root, platform)
    assert isinstance(image, Image)
    assert image.original is not None
    child = replace(image.original.manifest.descriptor, annotations=stored.root.annotations)
    below = judge(replace(stored, root=child), wanted.but_for(judgement.signed))
    unmet = () if below.ok else tuple(dict.fromkeys((*judgement.unmet, *below.unmet)))
    return replace(below, verdicts=(*judgement.verdicts, *below.verdicts), unmet=unmet)


def of_platform(fetch: Fetch, root: Descriptor, platform: str) -> Item:
    """The image for a platform; raises Untrusted if it is for another one than the index lists it under."""
    read, wanted = formats.reading(fetch), Platform.parse(platform)
    item = one_platform(read(root), wanted, read)
    if isinstance(item, Image) and root.media_type != types.ACI and choose(wanted, (item.platform,)) is None:
        raise Untrusted(f"got an image for {item.platform}, want one for {wanted}")
    return item
