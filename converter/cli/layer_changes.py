"""What the layers of an image change, read for ``inspect --contents`` and for its report."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from converter.cli.image_rows import instructions
from converter.errors import ConverterError
from converter.events import Report
from converter.model.content import Known, Layer
from converter.model.frozen import frozen
from converter.model.image import Artifact, Image, Index, images_of

if TYPE_CHECKING:
    from converter.opened_reference import OpenedReference
    from converter.usage import ImageUse

PATHS = 1000
"""The most paths that are listed as wasteful, the worst first."""


@frozen
class LayerChanges:
    """An image, and what its layers do; ``usage`` is None if they could not be read, and ``error`` then says why."""

    image: Image
    usage: ImageUse | None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """The member ``contents`` of ``inspect --json --contents``."""
        found: dict[str, Any] = {"platform": str(self.image.platform), "layers": self.layers()}
        if self.usage is None:
            return found | {"error": self.error}
        repeated = [{"path": path, **asdict(one)} for path, one in self.repeated()]
        totals = {"size": self.usage.size, "wasted": self.usage.wasted, "inefficient": self.usage.inefficient}
        return found | totals | {"repeated": repeated}

    def layers(self) -> list[dict[str, Any]]:
        """Each layer, base first: its instruction, what it is, and what it does as far as known."""
        rows = []
        for number, (layer, made_by) in enumerate(zip(self.image.layers, instructions(self.image), strict=True)):
            known = {"instruction": made_by} | blob_of(layer)
            rows.append(known if self.usage is None else known | {"use": asdict(self.usage.layers[number])})
        return rows

    def repeated(self) -> list[tuple[str, Any]]:
        """The paths that waste most."""
        import os

        found = self.usage.most_wasted(PATHS) if self.usage else []
        return [("/" + os.fsdecode(path), one) for path, one in found]


def blob_of(layer: Layer) -> dict[str, Any]:
    """The digest, media type and size of a layer's blob; only those that are known."""
    content = layer.content
    if not isinstance(content, Known):
        return {}
    descriptor = content.descriptor
    members = {"digest": str(descriptor.digest), "media_type": descriptor.media_type}
    return members | ({"size": descriptor.size} if descriptor.size >= 0 else {})


def contents(opened: OpenedReference, report: Report) -> LayerChanges | None:
    """Read the layers of an image, or of the one of an index that this machine would run. None: there is no image."""
    from converter.compare_references import watched
    from converter.streams.uncompressed import uncompressed_layer
    from converter.usage import usage

    image = _image(opened)
    if image is None:
        return None
    try:
        image = opened.whole(image)
        watch = watched(report, image)
        used = usage([partial(uncompressed_layer, layer, opened=watch) for layer in image.layers])
    except ConverterError as error:
        return LayerChanges(image=image, usage=None, error=str(error))
    return LayerChanges(image=image, usage=used)


def _image(opened: OpenedReference) -> Image | None:
    if isinstance(opened.item, Image):
        return opened.item
    if isinstance(opened.item, Artifact):
        return None
    return _of_index(opened, opened.item)


def _of_index(opened: OpenedReference, index: Index) -> Image | None:
    from converter.cli.profile_subject import image_of
    from converter.transform import read_whole_index

    try:
        return image_of(opened, None)
    except ConverterError:
        pass
    try:
        return next(images_of(read_whole_index(index, opened.read)), None)
    except ConverterError:
        return None
