"""App Container Images: a manifest and a root file system in one archive (appc spec 0.8.11, aci.md).

An ACI has one root file system, so a layered image is flattened, unless each layer becomes an ACI that depends on the
one below ("dependencies" and "pathWhitelist"). The image ID of a dependency is known only once it has been made, so the
plan is then a chain: each node depends on the result of the one below.

What one side cannot express is kept in annotations (``kept_annotations``), so that it can be restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from converter.errors import Unsupported
from converter.formats.aci.archive import PackAci, PackLayer, RebuildAci, examine_aci, read_manifest, read_owners
from converter.formats.aci.dependencies import own_layer, resolve_dependencies
from converter.formats.aci.reading import (
    VERSION,
    Manifest,
    baseline_of,
    is_unchanged,
    parse_manifest,
    paths_of_owners,
    to_image,
)
from converter.formats.aci.writing import Draft, make_manifest
from converter.formats.manifest import losses_of_oci
from converter.model import media_types as types
from converter.model.content import GZIP, KEEP, Compression, Derived, Known, Layer, Rewrite, known_bytes
from converter.model.frozen import frozen
from converter.model.image import History, Image, Item, Loss, Original, single_image
from converter.model.reference import RECIPE
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Copy, Made, Make, Node
from converter.ports import Fetch
from converter.streams.tar.fields import END, SYMLINK
from converter.streams.tar.pax import make_header

__all__ = ["Manifest", "decode", "encode", "losses", "name", "resolve_dependencies", "single_file_name"]

name = "aci"
single_file_name = "an ACI"
LINKS = {
    b"dev/fd": b"/proc/self/fd",
    b"dev/stderr": b"/dev/console",
    b"dev/stdin": b"/proc/self/fd/0",
    b"dev/stdout": b"/dev/console",
}
"""Links below ``/dev`` that Docker's containers have and rkt's have not, as docker2aci makes them: a console can be
opened where standard output is a socket.
"""


def decode(root: Known, _fetch: Fetch) -> Image:
    """Read the manifest; the archive is read up to it, and to its end only to find the owner of a file.

    The single layer is the root file system, without the image's dependencies and without its whitelist applied
    (``resolve_dependencies`` does both). Raises Invalid.
    """
    manifest = parse_manifest(read_manifest(root))
    paths = paths_of_owners(manifest)
    image = to_image(manifest, read_owners(root, paths) if paths else {})
    return replace(image, layers=(own_layer(root),), original=Original(format=name, manifest=root))


def encode(item: Item, _accepts: frozenset[str], settings: Settings = DEFAULTS) -> Node:
    """Plan one ACI, compressed as asked, as it was, or with gzip; ``layered``, one for each layer.

    Each of these depends on the one below by its image ID; the node returned is that of the top one. An unchanged ACI
    is copied, or made again from the layer that it became. Raises Unsupported for anything but a single image, and for
    a compression that an ACI may not have.
    """
    image = single_image(item, single_file_name)
    if settings.rkt_dev_links:
        image = _with_dev_links(image)
    base = baseline_of(image)
    asked = None if settings.compress == KEEP else settings.compress
    compression, epoch = _compression(asked), settings.epoch or 0
    if settings.layered and len(image.layers) > 1:
        return _layer_chain(image, make_manifest(image, base), compression, epoch)
    if base is not None and is_unchanged(base, image):
        node = _original_aci(image, base, asked)
        if node is not None:
            return node
    written = make_manifest(image, base)
    pack = PackAci(document=written.document, groupless=written.groupless, epoch=epoch)
    return _make(image.layers, compression, pack)


def losses(item: Item, _accepts: frozenset[str] = frozenset(), settings: Settings = DEFAULTS) -> Iterator[Loss]:
    """What ``encode`` keeps elsewhere or drops, once per field; nothing for an unchanged ACI."""
    image = single_image(item, single_file_name)
    base = baseline_of(image)
    if base is not None and is_unchanged(base, image) and len(image.layers) == 1:
        return
    yield from make_manifest(image, base).losses
    if len(image.layers) > 1 and not settings.layered:
        yield Loss(field="layers", reason=f"an ACI has one root file system: {len(image.layers)} layers become one")
    if any(key != RECIPE for layer in image.layers for key in layer.annotations):
        yield Loss(field="layers.annotations", reason="a root file system has no annotations")
    yield from losses_of_oci(image.original, single_file_name)


def _original_aci(image: Image, base: Image, asked: Compression | None) -> Node | None:
    """The ACI that an unchanged image was read from, directly or before it became a layer; None if it cannot be had."""
    layer = image.layers[0] if len(image.layers) == 1 else None
    original = image.original
    if original is not None and original.format == name:
        root = original.manifest
        if layer != own_layer(root):
            return None
        if asked is None:
            return Copy(content=root, media_type=types.ACI, examine=examine_aci, algorithm="sha512", label="image")
        return _make((Layer(content=root),), _compression(asked))
    recipe, manifest = layer.annotations.get(RECIPE) if layer is not None else None, base.kept(Manifest)
    if recipe is None or manifest is None or manifest.dependencies or manifest.path_whitelist:
        return None
    return _make(image.layers, _compression(asked), RebuildAci(recipe=recipe, manifest=manifest.text))


def _with_dev_links(image: Image) -> Image:
    """An edit that puts the links below all layers, so that anything the image has in their place hides them."""
    data = b"".join(make_header(name=name, type=SYMLINK, mode=0o777, linkname=target) for name, target in LINKS.items())
    layer = Layer(content=known_bytes(data + END, types.OCI_LAYER))
    step = History(comment="links below /dev for rkt")
    return replace(image, layers=(layer, *image.layers), history=(step, *image.history) if image.history else ())


def _make(layers: tuple[Layer, ...], compression: Compression, rewrite: Rewrite | None = None) -> Make:
    content = Derived(inputs=layers, rewrite=rewrite, compression=compression, algorithm="sha512")
    return Make(content=content, media_type=types.ACI, label="image")


def _compression(asked: Compression | None) -> Compression:
    compression = asked or GZIP
    if not compression.is_known_to(name):
        raise Unsupported(f"an ACI cannot be compressed with {compression}: use --compress gzip or none")
    return compression


def _layer_chain(image: Image, written: Draft, compression: Compression, epoch: int) -> Make:
    """The node of the top layer's ACI, with those of the lower layers as its inputs."""
    node: Make | None = None
    below: Mapping[str, Any] = {}
    for number, layer in enumerate(image.layers):
        top = number == len(image.layers) - 1
        document = written.document if top else _lower_manifest(written.document, layer, number)
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


@frozen(kw_only=False)
class _LayerOver:
    """Makes an ACI of a layer with ``pack`` once the image below, whose manifest is ``below``, has been made."""

    layer: Layer
    pack: PackLayer
    below: Mapping[str, Any]
    compression: Compression

    def __call__(self, made: tuple[Made, ...], /) -> Derived:
        pack = self.pack
        for lower in made:  # none, or the one image below
            document = {**pack.document, "dependencies": [_dependency(self.below, lower)]}
            pack = replace(pack, document=document, below=lower.facts)
        return Derived(inputs=(self.layer,), rewrite=pack, compression=self.compression, algorithm="sha512")


def _dependency(document: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """The dependency on the image below, with everything that identifies it."""
    row = {
        "imageName": document["name"],
        "imageID": made.diff_id.dashed if made.diff_id is not None else "",
        "labels": document.get("labels"),
        "size": made.descriptor.size,
    }
    return {key: value for key, value in row.items() if value}


def _lower_manifest(document: Mapping[str, Any], layer: Layer, number: int) -> dict[str, Any]:
    """The manifest of a layer that is not the top one: it runs nothing, and is named after its content."""
    digest = layer.diff_id or layer.digest
    last = digest.dashed if digest else f"layer-{number}"
    labels = document.get("labels")
    return {
        "acKind": "ImageManifest",
        "acVersion": VERSION,
        "name": f"{document['name']}-{last}",
    } | ({"labels": labels} if labels else {})
