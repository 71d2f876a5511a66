"""One ACI per layer, each depending on the one below (appc spec 0.8.11, aci.md, "dependencies" and "pathWhitelist").

The image ID of a dependency is known only once it has been made, so the plan is a chain: each node depends on the
result of the one below. Its manifest is last in its archive, when the paths that it lists are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converter.formats.aci.image_manifest import VERSION
from converter.formats.aci.rewrites import PackLayer
from converter.formats.aci.writing import Written
from converter.model import media_types as types
from converter.model.content import Compression, Derived, Known, Layer, LayerFacts
from converter.model.frozen import frozen
from converter.model.image import Image
from converter.plan import Made, Make


def layer_chain(image: Image, written: Written, compression: Compression, epoch: int) -> Make:
    """The node of the top layer's ACI, with those of the lower layers as its inputs."""
    node: Make | None = None
    below: Mapping[str, Any] = {}
    for number, layer in enumerate(image.layers):
        top = number == len(image.layers) - 1
        document = standing_alone(written.document) if top else _lower_manifest(written.document, layer, number)
        pack = PackLayer(document=document, groupless=written.groupless if top else "", epoch=epoch)
        node = Make(
            content=_LayerOver(layer, pack, below, compression),
            media_type=types.ACI,
            inputs=(node,) if node else (),
            label=f"layer[{number}]",
        )
        below = document
    assert node is not None, "an image without layers is no chain"
    return node


def standing_alone(document: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without its dependencies, and without the whitelist that applies to them."""
    return {key: value for key, value in document.items() if key not in ("dependencies", "pathWhitelist")}


@frozen(kw_only=False)
class _LayerOver:
    """Makes an ACI of a layer with ``pack`` once the image below, whose manifest is ``below``, has been made."""

    layer: Layer
    pack: PackLayer
    below: Mapping[str, Any]
    compression: Compression

    def __call__(self, made: tuple[Made, ...], /) -> Derived:
        lower = made[0] if made else None
        more = {"dependencies": [_dependency(self.below, lower)]} if lower else {}
        rewrite = replace(
            self.pack, document={**self.pack.document, **more}, below=lower.facts if lower else LayerFacts()
        )
        return Derived(inputs=(self.layer,), rewrite=rewrite, compression=self.compression, algorithm="sha512")


def _dependency(document: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """The dependency on the image below, with everything that identifies it."""
    row: dict[str, Any] = {"imageName": document["name"]}
    if made.diff_id is not None:
        row["imageID"] = made.diff_id.dashed
    if document.get("labels"):
        row["labels"] = document["labels"]
    return row | {"size": made.descriptor.size}


def _lower_manifest(document: Mapping[str, Any], layer: Layer, number: int) -> dict[str, Any]:
    """The manifest of a layer that is not the top one: it runs nothing, and is named after its content."""
    digest = layer.diff_id or (layer.content.descriptor.digest if isinstance(layer.content, Known) else None)
    last = digest.dashed if digest else f"layer-{number}"
    labels = document.get("labels")
    return {
        "acKind": "ImageManifest",
        "acVersion": VERSION,
        "name": f"{document['name']}-{last}",
    } | ({"labels": labels} if labels else {})
