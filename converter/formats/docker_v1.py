"""Docker image manifests of the first kind, signed or not (distribution, image manifest version 2 schema 1).

They are read, and written back unchanged; other formats are made from the neutral image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from converter.errors import Unsupported, within
from converter.formats import container_config
from converter.formats.documents import read_document
from converter.model import media_types as types
from converter.model.content import GZIP, KEEP, Known, Layer, known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import (
    lenient_member,
    load_object,
    member_or_empty,
    signed_payload,
)
from converter.model.frozen import frozen
from converter.model.image import History, Image, Item, Loss, Original
from converter.model.limits import current_limits
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Copy, Node, Verbatim, Write
from converter.ports import Fetch

name = "docker-v1"
single_file_name = ""

EMPTY_LAYER = Digest("sha256", "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4")
"""The empty gzipped tar that represents a step that changed no file."""

EMPTY_LAYER_BYTES = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")

_OF_THE_CHAIN = ("id", "parent", "parent_id", "layer_id", "throwaway", "Size", "rootfs", "history")
"""Members of a step that are not part of the image's configuration: its place in the chain, and what the chain says."""


@frozen
class Schema1Step:
    """One row of a manifest: a build step and the blob it produced."""

    digest: Digest
    compatibility: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The ID that the Engine gave the layer."""
        return member_or_empty(self.compatibility, "id", str)

    @property
    def throwaway(self) -> bool:
        """Whether the step changed no file, so that its blob is not a layer of the image."""
        return self.compatibility.get("throwaway") is True


def decode(root: Known, fetch: Fetch) -> Image:
    """Read a manifest; no blob is read, and their sizes come from ``fetch``. No signature is verified.

    ``foreign["docker"]`` is the configuration that the Engine would make of it, without what only the manifest knows.
    Raises Invalid if it is not valid, or if signatures do not give one payload.
    """
    document = read_document(root)
    signed_payload(root.read())
    steps = read_steps(document)
    base = {key: value for key, value in steps[-1].compatibility.items() if key not in _OF_THE_CHAIN}
    with within("history[0]"):
        read = container_config.from_json(base).image
    architecture = read.platform.architecture or member_or_empty(document, "architecture", str) or "amd64"
    tag = container_config.Schema1(
        name=member_or_empty(document, "name", str), tag=member_or_empty(document, "tag", str), id=steps[-1].id
    )
    return replace(
        read,
        platform=replace(read.platform, os=read.platform.os or "linux", architecture=architecture),
        # Schema 1 states no sizes, and every blob of its time was gzip; only the bytes say what a blob really is.
        layers=tuple(
            Layer(content=fetch(Descriptor(media_type=types.DOCKER_LAYER_GZIP, digest=step.digest, size=-1)))
            for step in steps
            if not step.throwaway
        ),
        history=tuple(map(_history, steps)),
        foreign={"docker": container_config.UnknownMembers(base), name: tag},
        original=Original(format=name, manifest=root),
    )


def encode(item: Item, accepts: frozenset[str], settings: Settings = DEFAULTS) -> Node:
    """Plan a manifest that was read and not changed, byte for byte; raises Unsupported for anything else."""
    if not isinstance(item, Image) or item.original is None or item.original.format != name:
        raise Unsupported("cannot write a new schema 1 manifest: add --to docker or --to oci")
    blobs = {
        layer.content.descriptor.digest: layer.content for layer in item.layers if isinstance(layer.content, Known)
    }
    blobs.setdefault(EMPTY_LAYER, known_bytes(EMPTY_LAYER_BYTES, types.DOCKER_LAYER_GZIP))
    data = item.original.manifest.read()
    read = decode(item.original.manifest, lambda descriptor: blobs.get(descriptor.digest, known_bytes(b"", "")))
    # A name given to the image since it was read does not count.
    unchanged = replace(item, foreign=read.foreign, notes=read.notes, original=read.original) == read
    if settings.compress not in (None, KEEP, GZIP) or not unchanged:
        raise Unsupported("cannot write a schema 1 manifest for a changed image: add --to docker or --to oci")
    media_type = item.original.manifest.descriptor.media_type
    if accepts and media_type not in accepts:
        raise Unsupported(f"the target cannot hold a manifest of type {media_type}: add --to docker or --to oci")
    named = dict.fromkeys(step.digest for step in read_steps(load_object(data)))
    if missing := [digest for digest in named if digest not in blobs]:
        raise Unsupported(f"the throwaway layer {missing[0]} is not empty: add --to docker or --to oci")
    return Write(
        media_type=media_type,
        inputs=tuple(Copy(content=blobs[digest], media_type=types.DOCKER_LAYER_GZIP) for digest in named),
        render=Verbatim(data),
    )


def losses(_item: Item, _accepts: frozenset[str] = frozenset(), _settings: Settings = DEFAULTS) -> Iterable[Loss]:
    """Nothing: an item that would lose anything is not encoded at all."""
    return ()


def read_steps(document: Mapping[str, Any]) -> tuple[Schema1Step, ...]:
    """The rows of a valid manifest, base first; of those with one ID in a row, the oldest stays.

    That there are as many layers as rows of history, and that IDs and parents form a chain, are rules of validation,
    which comes first.
    """
    layers, history = document["fsLayers"], document["history"]
    current_limits().require("layers", len(layers), "layers")
    steps: list[Schema1Step] = []
    for number, (layer, row) in enumerate(zip(layers, history, strict=True)):
        with within(f"history[{number}]"):
            text = row["v1Compatibility"].encode()
            step = Schema1Step(digest=Digest.parse(layer["blobSum"]), compatibility=load_object(text))
            if steps and steps[-1].id == step.id:
                steps.pop()
            steps.append(step)
    return tuple(reversed(steps))


def _history(step: Schema1Step) -> History:
    command = lenient_member(lenient_member(step.compatibility, "container_config", dict), "Cmd", list)
    return History(
        created=member_or_empty(step.compatibility, "created", str),
        created_by=" ".join(part for part in command if isinstance(part, str)),
        author=member_or_empty(step.compatibility, "author", str),
        comment=member_or_empty(step.compatibility, "comment", str),
        empty_layer=step.throwaway,
    )
