"""Docker image manifests and manifest lists (distribution, image manifest version 2 schema 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converter.errors import Unsupported
from converter.formats import index, manifest
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.image import Artifact, Image, Index, IndexEntry, Item, Loss, images_of, is_from, losses_elsewhere
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Node
from converter.ports import Encode, Fetch

name = "docker"
single_file_name = ""

DIALECT = manifest.Dialect(
    name=name,
    manifest=types.DOCKER_MANIFEST,
    index=types.DOCKER_LIST,
    config=types.DOCKER_CONFIG,
    layers=types.by_meaning(types.DOCKER_LAYERS),
    bare=True,
)


def decode(root: Known, fetch: Fetch) -> Item:
    """Read a manifest with its configuration, or a list without the manifests it names."""
    return index.decode(root, fetch, DIALECT)


def encode(item: Item, accepts: frozenset[str], settings: Settings = DEFAULTS, listed: Encode | None = None) -> Node:
    """Plan a manifest or a flat list of manifests; raises Unsupported for an artifact, which Docker cannot name.

    ``listed`` plans the items of a list.
    """
    if isinstance(item, Artifact):
        if is_from(item, name):
            return manifest.plan_artifact(item)
        raise Unsupported(f"a Docker manifest cannot hold {item}: add --to oci")
    if isinstance(item, Image):
        return manifest.encode(item, DIALECT, accepts, settings.compress)
    if not is_from(item, name):
        item = replace(item, entries=tuple(one for one in _flat(item) if not isinstance(one.item, Artifact)))
    return index.encode(item, DIALECT, listed or (lambda child: encode(child, accepts, settings)))


def losses(item: Item, _accepts: frozenset[str] = frozenset(), _settings: Settings = DEFAULTS) -> Iterator[Loss]:
    """What OCI can express and Docker cannot, and the losses noted by the image's own format, once per field."""
    if is_from(item, name):
        return
    if not isinstance(item, Artifact) and item.annotations:
        yield Loss(field="annotations", reason="a Docker manifest has no annotations")
    yield from manifest.losses_of_oci(item.original, "a Docker manifest")
    if isinstance(item, Image):
        if any(layer.annotations for layer in item.layers):
            yield Loss(field="layers.annotations", reason="a layer of a Docker manifest has no annotations")
        yield from losses_elsewhere(item, name)
    if isinstance(item, Index):
        yield from _index_losses(item)


def _index_losses(item: Index) -> Iterator[Loss]:
    if any(isinstance(entry.item, Artifact) for entry in _flat(item)):
        yield Loss(field="manifests", reason="a Docker list has no attestations and no artifacts")
    if any(entry.descriptor.annotations for entry in _flat(item) if isinstance(entry.item, Image)):
        yield Loss(field="manifests.annotations", reason="an entry of a Docker list has no annotations")
    seen: set[str] = set()
    for image in images_of(item):
        for loss in losses(image):
            if loss.field not in seen:
                seen.add(loss.field)
                yield Loss(field=f"manifests.{loss.field}", reason=loss.reason)


def _flat(item: Index) -> Iterator[IndexEntry]:
    for entry in item.entries:
        if isinstance(entry.item, Index):
            yield from _flat(entry.item)
        else:
            yield entry
