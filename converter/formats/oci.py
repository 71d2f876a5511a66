"""OCI image manifests and indexes (image-spec 1.1.1, manifest.md and image-index.md)."""

from __future__ import annotations

from collections.abc import Iterator

from converter.formats import index, manifest
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.image import Artifact, Image, Index, Item, Loss, losses_elsewhere
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Node
from converter.ports import Encode, Fetch

name = "oci"
single_file_name = ""

DIALECT = manifest.Dialect(
    name=name,
    manifest=types.OCI_MANIFEST,
    index=types.OCI_INDEX,
    config=types.OCI_CONFIG,
    layers=types.by_meaning(types.OCI_LAYERS),
    bare=False,
)


def decode(root: Known, fetch: Fetch) -> Item:
    """Read a manifest with its configuration, or an index without the documents it names."""
    return index.decode(root, fetch, DIALECT)


def encode(item: Item, accepts: frozenset[str], settings: Settings = DEFAULTS, listed: Encode | None = None) -> Node:
    """Plan a manifest or an index; artifacts are carried unchanged. ``listed`` plans the items of an index."""
    if isinstance(item, Artifact):
        return manifest.plan_artifact(item)
    if isinstance(item, Image):
        return manifest.encode(item, DIALECT, accepts, settings.compress)
    return index.encode(item, DIALECT, listed or (lambda child: encode(child, accepts, settings)))


def losses(item: Item, _accepts: frozenset[str] = frozenset(), _settings: Settings = DEFAULTS) -> Iterator[Loss]:
    """What OCI has no place for: the CPU features of a Docker list, and the losses noted by the image's own format."""
    if isinstance(item, Index):
        rows = manifest.written_by(item.original, "docker").get("manifests") or ()
        if any("features" in (row.get("platform") or {}) for row in rows):
            yield Loss(field="platform.features", reason="an OCI index has no CPU features")
    if isinstance(item, Image):
        yield from losses_elsewhere(item, name, annotated=True)
