"""The manifest that Docker and OCI share: a configuration and layers by digest, under two sets of media types.

Encoding starts from the document that was read and writes into it what differs. If nothing does, the bytes are those
that were read (image-spec 1.1.1, manifest.md; distribution, image manifest version 2 schema 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from converter.errors import Invalid, Unsupported, within
from converter.formats import container_config
from converter.formats.documents import read_document
from converter.model import media_types as types
from converter.model.content import GZIP, KEEP, Compression, Derived, Known, Layer
from converter.model.descriptor import Descriptor, Digest, descriptors, subject_of
from converter.model.document import dump_json, load_object
from converter.model.frozen import frozen
from converter.model.image import Artifact, Image, Loss, Original, is_from, stored_config
from converter.model.limits import current_limits
from converter.model.reference import RECIPE
from converter.plan import Copy, Leaf, Made, Make, Node, Verbatim, Write
from converter.ports import Fetch

CONFIG_TYPES: Mapping[str, frozenset[str]] = {
    "oci": types.CONFIGS,
    "docker": types.CONFIGS | {"application/octet-stream"},
}
"""The config types of image manifests, by format. Old engines pushed octet-stream; to OCI that is an artifact."""

_COMPRESSED_CONTENT = (
    "containerd.io/snapshot/overlaybd/blob-",
    "containerd.io/snapshot/stargz/",
    "io.containers.estargz.",
    "io.containers.zstd-chunked.",
    "io.github.containers.zstd-chunked.",
)
"""Annotations that refer to the compressed bytes of a layer and are dropped when it is recompressed."""

ZSTD_INSTANCE = "io.github.containers.compression.zstd"
"""The annotation by which containers/image knows that an image in an index has zstd layers."""

_EMPTY = Digest.of(b"{}")
"""The configuration of what only looks like an image to registries, as the tables of contents of eStargz do."""


@frozen(kw_only=False)
class Dialect:
    """One set of media types.

    ``bare`` descriptors have no annotations and no artifact type. ``kept`` are types of the other dialect that the
    manifest being rewritten has already: some builders list Docker's layers in an OCI manifest.
    """

    name: str
    manifest: str
    index: str
    config: str
    layers: Mapping[tuple[str, str], str]
    bare: bool
    kept: frozenset[str] = frozenset()


def decode(root: Known, fetch: Fetch, dialect: Dialect) -> Image | Artifact:
    """Read a manifest and its configuration; raises Invalid if they do not match."""
    document = read_document(root)
    with within("config"):
        config = Descriptor.from_json(document.get("config"))
    layers = descriptors(document, "layers")
    current_limits().require("layers", len(layers), "layers")
    if (
        config.media_type not in CONFIG_TYPES[dialect.name]
        or (dialect.name == "oci" and config.digest == _EMPTY)
        or any(layer.media_type not in types.LAYER_TYPES for layer in layers)
    ):
        return Artifact(
            original=Original(format=dialect.name, manifest=root),
            blobs=tuple(map(fetch, (config, *layers))),
            subject=subject_of(document),
            artifact_type=document.get("artifactType") or config.media_type,
        )
    stored = fetch(config).pinned()
    with within("config"):
        read = container_config.from_json(read_document(stored, dialect.config))
    if len(read.diff_ids) != len(layers):
        raise Invalid(f"{len(read.diff_ids)} diff_ids for {len(layers)} layers")
    steps = sum(not step.empty_layer for step in read.image.history)
    if read.image.history and steps != len(layers):
        raise Invalid(f"{steps} steps of history made a layer, but there are {len(layers)} layers")
    return replace(
        read.image,
        layers=tuple(
            Layer(content=fetch(layer), diff_id=diff_id, annotations=dict(layer.annotations))
            for layer, diff_id in zip(layers, read.diff_ids, strict=True)
        ),
        annotations=document.get("annotations") or {},
        foreign={"docker": container_config.UnknownMembers(read.rest)} if read.rest else {},
        original=Original(format=dialect.name, manifest=root, config=stored),
    )


def encode(image: Image, dialect: Dialect, accepts: frozenset[str], asked: Compression | None = None) -> Node:
    """Plan a manifest of this dialect; layers are base first. ``asked`` is the compression that the caller asked for.

    Raises Unsupported if the target cannot hold that.
    """
    before = written_by(image.original, dialect.name).get("layers") or []
    listed = frozenset(row["digest"] for row in before)
    dialect = replace(dialect, kept=frozenset(row["mediaType"] for row in before))
    layers = []
    for layer in image.layers:
        # A manifest that is rewritten may keep what it lists.
        taken = str(layer.digest) in listed or _is_accepted(_media_type(layer, dialect), dialect, accepts)
        layers.append(choose_compression(layer, asked, unpacked=image.notes.unpacked, taken=taken))
    nodes = [_layer_node(layer, dialect, accepts, number) for number, layer in enumerate(layers)]
    present = tuple(node for node in nodes if node is not None)
    return Write(
        media_type=dialect.manifest,
        inputs=(_config_node(image, layers, present, dialect), *present),
        render=_Manifest(image, tuple(layers), dialect),
        algorithm=algorithm_of(image.original, dialect.name),
    )


def plan_artifact(artifact: Artifact) -> Node:
    """Plan an artifact unchanged, with everything it names; one that is not a manifest names nothing."""
    root = artifact.original.manifest
    if root.descriptor.media_type not in types.MANIFESTS:
        return Copy(content=root, media_type=root.descriptor.media_type)
    return Write(
        media_type=root.descriptor.media_type,
        inputs=tuple(
            Copy(content=blob, media_type=blob.descriptor.media_type, label=f"blob[{number}]")
            for number, blob in enumerate(artifact.blobs)
        ),
        render=Verbatim(root.read()),
        algorithm=root.descriptor.digest.algorithm,
        carried=True,
    )


def layer_type(media_type: str, codec: str) -> str | None:
    """The media type of such a layer with that codec, in either dialect; None if neither has one."""
    stated = (types.LAYER_TYPES.get(media_type, (types.LAYER, "none"))[0], codec)
    return next((label for label, says in types.LAYER_TYPES.items() if says == stated), None)


def written_by(original: Original | None, dialect: str) -> dict[str, Any]:
    """The manifest an item was read from, if it was of that dialect; empty otherwise."""
    if original is None or original.format != dialect:
        return {}
    return load_object(original.manifest.read())


def losses_of_oci(original: Original | None, taker: str) -> Iterator[Loss]:
    """What an OCI manifest that was read has, and ``taker``, the name of another format's in a sentence, has not."""
    document = written_by(original, "oci")
    for name in ("subject", "artifactType"):
        if document.get(name):
            yield Loss(field=name, reason=f"{taker} has no {name}")


def algorithm_of(original: Original | None, dialect: str) -> str:
    """The algorithm for a document's digest: that of the one an item was read from, if of this dialect, else sha256."""
    if original is None or original.format != dialect:
        return "sha256"
    return original.manifest.descriptor.digest.algorithm


def choose_compression(layer: Layer, asked: Compression | None, *, unpacked: bool, taken: bool) -> Layer:
    """The layer as it is kept, or as one to be compressed anew, for the first reason that there is.

    ``asked`` is the compression that the caller asked for; ``unpacked`` is as of an image's notes; ``taken``, whether
    the target takes the layer as it is.
    """
    wanted = None if asked == KEEP else asked
    content = layer.content
    if isinstance(content, Derived):
        return layer if wanted is None else replace(layer, content=replace(content, compression=wanted))
    codec = codec_of(content)
    if content.absent:
        return layer
    if wanted is not None and (wanted.level is not None or wanted.codec != codec):
        reason = f"{wanted} was asked for"
    elif unpacked and codec == "none":
        reason = "the source keeps layers unpacked"
    elif not taken:
        reason = f"the target takes no {'unpacked' if codec == 'none' else codec} layers"
    else:
        return layer
    return replace(layer, content=Derived(inputs=(layer,), compression=wanted or GZIP, reason=reason))


def codec_of(known: Known) -> str:
    """The codec that a layer's media type states; ``none`` for a type that states none, known or not."""
    return types.LAYER_TYPES.get(known.descriptor.media_type, (types.LAYER, "none"))[1]


def _is_accepted(media_type: str | None, dialect: Dialect, accepts: frozenset[str]) -> bool:
    """Whether a target accepts layers of this type: by its own list, or else as any reader of the dialect does."""
    if accepts:
        return media_type in accepts
    return media_type is not None and dialect.name in types.CODECS[types.LAYER_TYPES[media_type][1]].formats


def _media_type(layer: Layer, dialect: Dialect) -> str | None:
    """The media type of a layer in this dialect; None if the dialect has none for it."""
    if layer.media_type in dialect.kept:
        return layer.media_type
    return dialect.layers.get(_meaning(layer))


def _meaning(layer: Layer) -> tuple[str, str]:
    """What a layer's media type says of it, or is to say: whether it may be distributed, and its codec."""
    content = layer.content
    if isinstance(content, Known):
        return types.LAYER_TYPES.get(content.descriptor.media_type, (types.LAYER, "none"))
    kind = _meaning(content.inputs[0])[0] if content.rewrite is None else types.LAYER
    return kind, content.compression.codec


def _layer_node(layer: Layer, dialect: Dialect, accepts: frozenset[str], number: int) -> Leaf | None:
    label = f"layer[{number}]"
    media_type = _media_type(layer, dialect)
    codec = layer.content.compression.codec if isinstance(layer.content, Derived) else ""
    if media_type is None or (codec and not _is_accepted(media_type, dialect, accepts)):
        with within(label):
            what = f"{codec or 'such'} layers"
            if dialect.name == "oci":
                raise Unsupported(f"the target does not take {what}: use --compress gzip")
            raise Unsupported(f"Docker manifests cannot hold {what}: use --to oci or --compress gzip")
    algorithm = layer.diff_id.algorithm if layer.diff_id else "sha256"
    if isinstance(layer.content, Derived):
        content = replace(layer.content, algorithm=algorithm)
        return Make(content=content, media_type=media_type, diff_id=layer.diff_id, label=label)
    if layer.content.absent:
        return None
    return Copy(
        content=layer.content,
        media_type=media_type,
        diff_id=layer.diff_id,
        find_diff_id=True,
        algorithm=algorithm,
        label=label,
    )


@frozen(kw_only=False)
class _Manifest:
    """Renders the manifest of an image from its configuration and those of its layers that are there."""

    image: Image
    layers: tuple[Layer, ...]
    dialect: Dialect

    def __call__(self, made: tuple[Made, ...], /) -> bytes:
        rows = iter(made[1:])
        layers = [_layer_descriptor(layer, None if layer.absent else next(rows), self.dialect) for layer in self.layers]
        image, dialect = self.image, self.dialect
        before = written_by(image.original, dialect.name)
        document: dict[str, Any] = dict(before) or {"schemaVersion": 2, "mediaType": dialect.manifest}
        document["config"] = row_json(made[0].descriptor, document.get("config"))
        old = document.get("layers") or []
        listed = [row_json(layer, old[number] if number < len(old) else None) for number, layer in enumerate(layers)]
        if listed != old or not before:  # an image from scratch may have a null, which stays
            document["layers"] = listed
        set_annotations(document, {} if dialect.bare else image.annotations)
        if document == before and image.original is not None:
            return image.original.manifest.read()
        return dump_json(document)


@frozen(kw_only=False)
class _Config:
    """Renders the configuration of an image from its layers that are there; all diff_ids may be known without them."""

    image: Image
    layers: tuple[Layer, ...]
    format_name: str

    def __call__(self, made: tuple[Made, ...], /) -> bytes:
        rows = iter(made)
        diff_ids = []
        for layer in self.layers:
            new = next(rows).diff_id if made and not layer.absent else None
            diff_id = layer.diff_id or new
            if diff_id is None:
                raise Unsupported("a foreign layer has no diff_id: add --download-foreign to compute it")
            diff_ids.append(diff_id)
        return container_config.encode(self.image, tuple(diff_ids), self.format_name)


def _config_node(image: Image, layers: Sequence[Layer], present: tuple[Leaf, ...], dialect: Dialect) -> Write:
    stored = stored_config(image)
    kept = stored is not None and is_from(image, dialect.name)
    return Write(
        media_type=stored.descriptor.media_type if stored is not None and kept else dialect.config,
        inputs=present if any(layer.diff_id is None for layer in layers) else (),
        render=_Config(image, tuple(layers), dialect.name),
        algorithm=stored.descriptor.digest.algorithm if stored is not None else "sha256",
    )


def _layer_descriptor(layer: Layer, made: Made | None, dialect: Dialect) -> Descriptor:
    """The descriptor of a layer: what still holds of its previous one, plus the recipe from its making."""
    if isinstance(layer.content, Known):
        media_type = _media_type(layer, dialect) or layer.media_type
        row = replace(layer.content.descriptor, media_type=media_type, annotations=layer.annotations)
    else:
        assert made is not None, "a layer that is to be made is there"
        true = {key: value for key, value in layer.annotations.items() if not key.startswith(_COMPRESSED_CONTENT)}
        if made.facts.recipe:
            true[RECIPE] = made.facts.recipe
        row = replace(made.descriptor, annotations=true)
    return bare_descriptor(row) if dialect.bare else row


def bare_descriptor(row: Descriptor) -> Descriptor:
    """A descriptor as Docker has it: no annotations, no artifact type, no data."""
    return replace(row, annotations={}, artifact_type="", data=None)


def row_json(row: Descriptor, before: Any) -> Any:
    """The row as it was in the document if it still says the same, otherwise a new one."""
    if before is not None:
        old = Descriptor.from_json(before)
        if old == row or old.bare() == row:
            return before
    return row.to_json()


def set_annotations(document: dict[str, Any], annotations: Mapping[str, str]) -> None:
    """Set the annotations of a document if they differ; remove them if empty."""
    if (document.get("annotations") or {}) == annotations:
        return
    document.pop("annotations", None)
    if annotations:
        document["annotations"] = dict(annotations)
