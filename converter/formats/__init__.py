"""How images are represented. A new format is one file here and a row in the tables; it is imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module

from converter.errors import Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor
from converter.model.document import load_object
from converter.model.image import Artifact, Image, Item, Original
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Node
from converter.ports import Fetch, Finder, Format, Writer

READERS: Mapping[str, str] = {
    types.OCI_MANIFEST: "oci",
    types.OCI_INDEX: "oci",
    types.DOCKER_MANIFEST: "docker",
    types.DOCKER_LIST: "docker",
    types.DOCKER_SCHEMA1: "docker_v1",
    types.DOCKER_SCHEMA1_SIGNED: "docker_v1",
    types.ACI: "aci",
}
"""The media type of a root document → the submodule that reads it."""

_GENERIC_TYPES = ("", "application/json")
"""Media types that leave it to the document to state its type."""

WRITERS = ("oci", "docker", "aci", "runtime")
"""The modules that write; ``runtime`` is never asked for by name: it is the input of runtimes."""


def decode(root: Known, fetch: Fetch) -> Item:
    """Read a root document in whatever format it is; raises Unsupported for a manifest type that is not supported.

    An index may also name blobs that are not documents, as that of BuildKit's cache does; these are carried unchanged.
    """
    root = with_media_type(root)
    if is_opaque(root.descriptor.media_type):
        return Artifact(original=Original(format="oci", manifest=root), artifact_type=root.descriptor.media_type)
    return reader_of(root.descriptor.media_type).decode(root, fetch)


def is_opaque(media_type: str) -> bool:
    """Whether the media type is that of a blob, which names nothing else."""
    return media_type not in READERS and media_type not in (*_GENERIC_TYPES, types.OCI_ARTIFACT)


def item_reader(fetch: Fetch) -> Callable[[Descriptor], Item]:
    """A function that reads what a descriptor names, in whatever format it is."""
    return lambda descriptor: decode(fetch(descriptor), fetch)


def with_media_type(root: Known) -> Known:
    """A root document with its media type; if it has none, the one that its content states. Raises Invalid."""
    if root.descriptor.media_type in types.SINGLE_FILE_TYPES or is_opaque(root.descriptor.media_type):
        return root
    root = root.pinned()
    if root.descriptor.media_type in READERS:
        return root
    return replace(root, descriptor=root.descriptor.retyped(types.identify(load_object(root.read()))))


def reader_of(media_type: str) -> Format:
    """The format whose root documents have this media type; raises Unsupported if there is none."""
    name = READERS.get(media_type)
    if name is None:
        raise Unsupported(f'unsupported media type "{media_type}"')
    return _module(name)


def writer(name: str) -> Writer:
    """The format of that name, one of WRITERS."""
    assert name in WRITERS
    return _module(name)


def resolve_dependencies(image: Image, find: Finder) -> Image:
    """The image with a layer for each image that its own depend on; raises NotFound, Invalid."""
    if "aci" not in image.foreign:
        return image
    from converter.formats import aci

    return aci.resolve_dependencies(image, find)


def finder_among(images: Iterable[Known]) -> Finder:
    """Finds images that others depend on among these, of which each is read up to its manifest now."""
    from converter.formats.aci.dependencies import best_candidate, read_candidates

    there = read_candidates(images)
    return lambda dependency: best_candidate(there, dependency)


def rebuild_whole(layer: Blocks, recipe: str, document: bytes) -> Blocks:
    """The uncompressed bytes of the whole image that became the layer with this tar (``LayerFacts.recipe``)."""
    from converter.streams.tar.aci import rebuild_aci

    return rebuild_aci(layer, recipe, document)


def own_name(item: Item) -> tuple[str, str]:
    """The name and version in a format's own terms that an image states for itself; empty if it states none."""
    from converter.formats.aci import Manifest

    manifest = item.kept(Manifest) if isinstance(item, Image) else None
    return (manifest.name, manifest.version) if manifest else ("", "")


def encode_mixed(item: Item, accepts: frozenset[str], settings: Settings = DEFAULTS) -> Node:
    """Plan an index and everything it lists, each item in the format it has: Docker's or OCI."""
    own = "docker" if item.original is not None and item.original.format.startswith("docker") else "oci"
    encode = import_module(f"converter.formats.{own}").encode
    node: Node = encode(item, accepts, settings, lambda child: encode_mixed(child, accepts, settings))
    return node


def _module(name: str) -> Format:
    module: Format = import_module(f"converter.formats.{name}")
    return module
