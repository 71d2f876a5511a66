"""Whether a converted image has the content that was signed, level by level and layer by layer (docs/signatures.md).

P1: the same bytes. P2: the same configuration, and for every layer the diff_id that it names. P3: metadata that follow
from the signed ones. P4: the signed image is rebuilt from the target. P5: what was signed is carried along, and
converted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from converter import formats
from converter.errors import NotFound, Untrusted, within
from converter.formats.manifest import codec_of
from converter.model import media_types as types
from converter.model.content import KEEP, NONE, Derived, Known, Layer, LayerFacts, source_blobs
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.image import Image, Index, Item, edit_images, images_of, is_from, stored_config
from converter.plan import Copy, Evaluated, Leaf, Made, Make, Node, Write, evaluate, known_in_advance, leaves_below
from converter.ports import Finder
from converter.streams.blocks import closing, digest_and_size, drain, equal_streams
from converter.streams.decompress import decompress_any
from converter.streams.read_ahead import read_ahead
from converter.streams.uncompressed import read_derived, uncompressed_layer
from converter.transform import Read, as_in, encode_item, flatten_index, select_platforms, transform
from converter.verification import same_content
from converter.verification.rebuilt_source import Converted, OriginalSource, layers_of

IDENTICAL, CONFIG, RECOMPUTED, REBUILT, CARRIED = ("P1", "P2", "P3", "P4", "P5")
PROOF_LEVELS = {
    IDENTICAL: "the bytes that were signed",
    CONFIG: "the configuration that was signed, and the layers that it names",
    RECOMPUTED: "the metadata that follow from those that were signed",
    REBUILT: "the signed image is rebuilt from this one",
    CARRIED: "what was signed is carried along, and converted again",
}
"""What each level says of an image: it is, or has, …"""

_NOT_HERE = "layer[{}] of image {} is not here: only its digest is signed"


@frozen
class LayerProof:
    """One layer of the target: what it was in the original, and how that is proven."""

    target: Digest
    level: str
    source: Digest | None = None
    diff_id: Digest | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``verify --json``."""
        return {
            "target": str(self.target),
            "source": None if self.source is None else str(self.source),
            "diff_id": None if self.diff_id is None else str(self.diff_id),
            "level": self.level,
        }


@frozen
class Proof:
    """How an image is proven to be what was signed, and what is not; ``platform`` is set for one image of an index."""

    level: str
    layers: tuple[LayerProof, ...] = ()
    platform: str = ""
    uncovered: tuple[str, ...] = ()


def prove(original: OriginalSource, signed: Descriptor, *, finder: Finder) -> Proof:
    """Prove that converting ``signed`` gives ``original.converted``.

    ``finder`` finds the dependencies of an ACI, and vouches for them. The signature over ``signed`` must already be
    verified. Raises Untrusted with what differs, and what reading raises.
    """
    item = _selected(original, signed)
    node = _plan_of(original, item, finder)
    found = _layered(original, item, node) if isinstance(node, Write) else _whole_images(original, node)
    found = replace(found, uncovered=(*found.uncovered, *_unsigned_settings(original, item, node)))
    if isinstance(item, Image) and original.record.root.media_type in types.INDEXES:
        return replace(found, platform=str(item.platform))
    return found


def _layered(original: OriginalSource, item: Item, node: Write) -> Proof:
    """Prove an image, or an index of images, whose layers are blobs: each layer, then the documents that name them."""
    target = original.converted.item
    made: dict[Leaf, Made] = {}
    rows: list[LayerProof] = []
    for number, (leaf, layer) in enumerate(_pair_leaves(node, target)):
        with within(f"layer[{number}]"):
            made[leaf], row = _prove_layer(original, leaf, layer)
            rows.append(row)
    # What is not among the layers is a part of an artifact, and is copied as it is.
    evaluated = evaluate(node, lambda leaf, _: made.get(leaf) or known_in_advance(leaf))
    uncovered = (
        *_compare_documents(evaluated, original.converted),
        # The documents that name absent layers are compared, and nothing else can be.
        *(_NOT_HERE.format(place, number) for number, place, layer in _numbered_layers(target) if layer.absent),
    )
    level = _image_level(item, target, original.converted.root, rows)
    return Proof(level=level, layers=tuple(rows), uncovered=uncovered)


def _selected(original: OriginalSource, root: Descriptor) -> Item:
    """The part of the signed image that was converted; raises Untrusted if an index lists it for another platform."""
    platforms, read = original.record.settings.platforms, formats.item_reader(original.fetch)
    whole = read(root)
    if isinstance(whole, Index) and not platforms:
        raise Untrusted("origin record does not say which platform of the index it covers")
    item = select_platforms(whole, platforms, read)
    if isinstance(whole, Index):
        _check_platforms(whole, item, read)
    return item


def _check_platforms(index: Index, item: Item, read: Read) -> None:
    """Raises Untrusted if an image is for another platform than the index lists it under."""
    rows = (entry.descriptor for entry in flatten_index(index, read))
    listed = {row.digest: row.platform for row in rows if row.platform is not None}
    for image in images_of(item):
        assert image.original is not None
        listed_for = listed.get(image.original.manifest.descriptor.digest)
        if listed_for and (listed_for.os, listed_for.architecture) != (image.platform.os, image.platform.architecture):
            raise Untrusted(f"the image is for {image.platform}: the index lists it for {listed_for}")


def _plan_of(original: OriginalSource, item: Item, finder: Finder) -> Node:
    """The plan that must have produced ``original.converted``. Raises Untrusted if none could have.

    ``finder`` finds the dependencies of an image.
    """
    record, target = original.record, original.converted.item
    form = formats.reader_of(original.converted.root.media_type)
    # The proof compares uncompressed bytes: what is one whole is not compressed, and layers are as in the target.
    settings = replace(record.settings, compress=NONE if form.single_file_name else KEEP)
    item = edit_images(original.with_layers, item)
    item = transform(item, form, settings, name=record.name, find=finder, pack=lambda one: as_in(one, target))
    mixed = not all(is_from(image, form.name) for image in images_of(target))
    accepts = frozenset(known.descriptor.media_type for known in layers_of(target))
    return encode_item(item, form, accepts, settings, mixed=mixed)


def _pair_leaves(node: Node, target: Item) -> Iterator[tuple[Leaf, Layer]]:
    """The leaves of a plan with the target's layers that they must have become; absent foreign layers are skipped."""
    if isinstance(target, Image):
        nodes = leaves_below(node)
        here = [layer for layer in target.layers if not layer.absent]
        if len(nodes) != len(here):
            raise Untrusted(f"image has {len(here)} layers: expected {len(nodes)}")
        yield from zip(nodes, here, strict=True)
    elif isinstance(target, Index) and isinstance(node, Write):
        for child, entry in zip(node.inputs, target.entries, strict=True):
            if entry.item is not None:
                yield from _pair_leaves(child, entry.item)


def _unsigned_settings(original: OriginalSource, item: Item, node: Node) -> Iterator[str]:
    """What only the record states, and no signature covers."""
    settings = original.record.settings
    if settings.platforms and isinstance(item, Image) and item.notes.platform:
        yield "the platform, which the signed ACI does not say"
    if settings.rkt_dev_links and not isinstance(node, Write):
        yield "the links below /dev, which the record asks for"
    if settings.epoch:
        yield "the time of what no signed layer has, which the record says"


def _numbered_layers(item: Item) -> Iterator[tuple[int, int, Layer]]:
    """The layers of an item, each with the number of its image, and its own."""
    for number, image in enumerate(images_of(item)):
        yield from ((number, place, layer) for place, layer in enumerate(image.layers))


def prove_signed(root: Descriptor, target: Item) -> Proof:
    """Prove an image that is itself signed: every blob matches its digest."""
    rows: list[LayerProof] = []
    uncovered: list[str] = []
    for number, place, layer in _numbered_layers(target):
        if not isinstance(layer.content, Known):
            continue  # a layer of an ACI, which is read whole for its signature
        digest = layer.content.descriptor.digest
        try:
            with within(f"layer[{place}]"):
                drain(layer.content.blocks())
        except NotFound:
            uncovered.append(_NOT_HERE.format(place, number))
        else:
            rows.append(LayerProof(target=digest, source=digest, level=IDENTICAL))
    if root.media_type in types.SINGLE_FILE_TYPES:
        rows.append(LayerProof(target=root.digest, source=root.digest, level=IDENTICAL))
        uncovered += _dependencies(target)
    return Proof(level=IDENTICAL, layers=tuple(rows), uncovered=tuple(uncovered))


def _dependencies(item: Item) -> tuple[str, ...]:
    """The dependencies of an ACI, which it names and does not contain."""
    return tuple(f"what it depends on: {name}" for image in images_of(item) for name in image.notes.depends_on)


def _prove_layer(original: OriginalSource, leaf: Leaf, layer: Layer) -> tuple[Made, LayerProof]:
    """Prove one layer of the target, reading it once."""
    known = layer.content
    assert isinstance(known, Known)
    there = known.descriptor
    if isinstance(leaf, Copy) and leaf.content.descriptor.digest != there.digest:
        raise Untrusted(f"layer is {there.digest}: expected {leaf.content.descriptor.digest}, which was signed")
    # The media type comes from the plan, not from the target: some types make a reader skip a layer.
    there = there.bare().retyped(leaf.media_type)
    diff_id = digest_and_size(read_ahead(uncompressed_layer(Layer(content=known)))).digest()
    if leaf.diff_id not in (None, diff_id):
        raise Untrusted(f"diff_id mismatch: expected {leaf.diff_id}, which was signed, computed {diff_id}")
    facts = LayerFacts()
    source: Digest | None = there.digest
    level = IDENTICAL
    if isinstance(leaf, Make):
        assert isinstance(leaf.content, Derived)
        source, level = _source_digest(leaf.content), CONFIG
        _check_label(known)
        if leaf.content.rewrite is not None or leaf.diff_id is None:
            found = read_derived(leaf.content, digest_and_size, facts).digest()
            if found != diff_id:
                raise Untrusted(f"diff_id mismatch: expected {found}, which the signed image gives, computed {diff_id}")
            level = _weakest_level(original, leaf.content)
    made = Made(descriptor=there, diff_id=diff_id, facts=facts)
    return made, LayerProof(target=there.digest, source=source, diff_id=diff_id, level=level)


def _check_label(known: Known) -> None:
    """Raises Untrusted if a layer is not compressed as its media type says: readers could see another content."""
    codec, blocks = decompress_any(known.blocks())
    with closing(blocks):
        stated = codec_of(known)
    if codec != stated:
        raise Untrusted(f"compression of the layer is {codec}: its media type says {stated}")


def _weakest_level(original: OriginalSource, content: Derived) -> str:
    """P5 if any of its sources had to be carried, else P4."""
    carried = any(original.carries(known.descriptor.digest) for known in source_blobs(content))
    return CARRIED if carried else REBUILT


def _whole_images(original: OriginalSource, node: Node) -> Proof:
    """Prove an ACI and those that it was made to depend on: the tar of each has to be what the signed image gives."""
    root = original.converted.root
    if isinstance(node, Copy):
        raise Untrusted(f"ACI is {root.digest}: expected {node.content.descriptor.digest}, which was signed")
    chain = leaves_below(node)
    places = [root.digest]
    if len(chain) > 1:
        places = list(dict.fromkeys(row.target for row in original.record.layers if row.target is not None))
    if len(places) != len(chain) or places[-1] != root.digest:
        raise Untrusted(f"record covers {len(places)} ACIs: expected {len(chain)}, of which this is the last")
    there = dict(zip(chain, places, strict=True))
    rows: list[LayerProof] = []
    uncovered: list[str] = []

    def prove_one(leaf: Leaf, inputs: tuple[Made, ...]) -> Made:
        assert isinstance(leaf, Make)
        made, row, more = _whole_image(original, leaf.derived(inputs), original.target(there[leaf]))
        rows.append(row)
        uncovered.extend(more)
        if leaf is chain[-1]:
            return made
        # The ACI above names it by its image ID.
        return replace(made, diff_id=digest_and_size(original.tar(there[leaf]), "sha512").digest())

    evaluate(node, prove_one)
    depends_on = () if original.record.settings.layered else _dependencies(original.converted.item)
    level = max(row.level for row in rows)
    return Proof(level=level, layers=tuple(rows), uncovered=(*dict.fromkeys(uncovered), *depends_on))


def _whole_image(
    original: OriginalSource, content: Derived, there: Descriptor
) -> tuple[Made, LayerProof, tuple[str, ...]]:
    """Prove one ACI, which is one blob; returns what it is, the proof, and what is not covered."""
    facts = LayerFacts()
    same = read_derived(content, lambda blocks: equal_streams(read_ahead(blocks), original.tar(there.digest)), facts)
    uncovered = () if same else _compare_acis(original, content, there)
    if content.rewrite is not None:
        level = _weakest_level(original, content)
    else:
        level = CARRIED if original.carries(original.record.root.digest) else IDENTICAL
    made = Made(descriptor=there.bare(), facts=facts)
    row = LayerProof(target=there.digest, source=_source_digest(content), level=level)
    return made, row, uncovered


def _compare_acis(original: OriginalSource, content: Derived, there: Descriptor) -> tuple[str, ...]:
    """Compare, file by file, an ACI that another version may have written; raises Untrusted with what differs."""
    expected = read_derived(content, same_content.read_contents)
    with expected.files:
        got = same_content.read_contents(original.tar(there.digest))
        with got.files:
            same_content.require_same_contents(got, expected)
    return ("the order of the files in the ACI, and how their headers are written",)


def _compare_documents(evaluated: Evaluated, converted: Converted) -> tuple[str, ...]:
    """Compare the target's documents with those that the signed image gives; returns what is not covered."""
    if evaluated.has_digest(converted.root.digest):
        return ()
    data = evaluated.data()
    target, document = converted.item, load_object(converted.fetch(converted.root).read())
    if not isinstance(target, Image):
        same_content.require_same("index", document, load_object(data))
        return ()
    config = stored_config(target)
    made = evaluated.inputs[0]
    if config is not None and not made.has_digest(config.descriptor.digest):
        same_content.require_same("config", load_object(config.read()), load_object(made.data()))
        raise Untrusted(f"config is {config.descriptor.digest}: expected {made.done.descriptor.digest}")
    return same_content.require_same_manifest(document, load_object(data))


def _image_level(item: Item, target: Item, root: Descriptor, rows: list[LayerProof]) -> str:
    """The level of an image: its metadata's or its weakest layer's, whichever is weaker."""
    for image in images_of(item):
        if image.original is not None and image.original.manifest.descriptor.digest == root.digest:
            return IDENTICAL
    configs = [_config_digest(image) for image in images_of(item)]
    same = None not in configs and configs == [_config_digest(image) for image in images_of(target)]
    return max([CONFIG if same else RECOMPUTED, *(row.level for row in rows)])


def _config_digest(image: Image) -> Digest | None:
    config = stored_config(image)
    return None if config is None else config.descriptor.digest


def _source_digest(content: Derived) -> Digest | None:
    found = list(source_blobs(content))
    return found[0].descriptor.digest if len(found) == 1 else None
