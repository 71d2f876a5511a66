"""How images are written down. A new format is one file here and one entry in ``FORMATS``."""

from __future__ import annotations

from dataclasses import replace

from converter.errors import Invalid, Unsupported
from converter.formats import aci, docker, docker_v1, oci, runtime
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.document import load_object
from converter.model.image import Item
from converter.ports import Fetch, Format

FORMATS: tuple[Format, ...] = (oci, docker, docker_v1, aci)
TARGETS: dict[str, Format] = {"oci": oci, "docker": docker, "aci": aci, "runtime": runtime}
"""What can be written, by name; nobody asks for ``runtime`` by name: it is what runtimes take."""


def decode(root: Known, fetch: Fetch) -> Item:
    """Read a root document in whatever format it is; raises Unsupported where it is in none of them."""
    root = labelled(root)
    return reader_of(root.descriptor.media_type).decode(root, fetch)


def labelled(root: Known) -> Known:
    """A root document under its media type; where it lies under none, what it says itself. Raises Invalid."""
    if root.descriptor.media_type == types.ACI:
        return root
    root = root.pinned()
    if any(root.descriptor.media_type in reader.media_types for reader in FORMATS):
        return root
    return replace(root, descriptor=root.descriptor.retyped(identify(root.read())))


def reader_of(media_type: str) -> Format:
    """The format whose root documents have this media type."""
    for reader in FORMATS:
        if media_type in reader.media_types:
            return reader
    raise Unsupported(f"got the media type {media_type!r}, want an image's")


def identify(data: bytes) -> str:
    """The media type of a document that lies under no label: what it says itself, or what its members say."""
    document = load_object(data)
    said = document.get("mediaType")
    if isinstance(said, str) and said:
        return said
    if document.get("schemaVersion") == 1:
        return types.DOCKER_SCHEMA1_SIGNED if "signatures" in document else types.DOCKER_SCHEMA1
    if "manifests" in document:
        return types.OCI_INDEX
    if "config" in document and "layers" in document:
        config = document["config"]
        docker_config = isinstance(config, dict) and config.get("mediaType") == types.DOCKER_CONFIG
        return types.DOCKER_MANIFEST if docker_config else types.OCI_MANIFEST
    raise Invalid("got a document that is neither a manifest nor an index, want one of them")
