"""Origin records: makes the one of a conversion, and restores an ACI from one.

``converter.trust.origin_record`` has their format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

from converter.conversion.attachments import PlannedAttachment, fetch_among, find_attachments
from converter.conversion.find_dependencies import Library
from converter.conversion.job import Options
from converter.conversion.result import layer_result
from converter.conversion.selection import SelectedImage
from converter.errors import ConverterError
from converter.model import media_types as types
from converter.model.content import Derived, Known, Layer, known_bytes, source_blobs
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import load_object
from converter.model.image import Attachment, artifact_manifest, images_of
from converter.model.limits import KIB
from converter.model.reference import TITLE
from converter.plan import Copy, Evaluated, Node, Verbatim, Write
from converter.streams import spool
from converter.streams.blocks import Blocks, Meter, digest_and_size, file_blocks, metered
from converter.streams.compress import pack_small
from converter.streams.repack import find_compressor
from converter.streams.tar.delta import FileIndex, ReadRange, make_delta
from converter.streams.uncompressed import read_derived, uncompressed_layer
from converter.streams.workers import Workers
from converter.trust import origin_record
from converter.trust.origin_record import LayerOrigin, OriginRecord

MAX_DEPTH = 8
SMALL = 64 * KIB
"""How many bytes a recipe may be larger than the layer itself, which is the weaker proof."""


def make_record(before: SelectedImage, after: Evaluated, files: ExitStack, workers: Workers) -> PlannedAttachment:
    """The record, ready to be written; ``files`` closes the temporary files that hold parts of it."""
    builder = _RecordBuilder(before, after, files, workers)
    layers = tuple(builder.layers())
    builder.documents()
    record = OriginRecord(
        root=before.root,
        settings=before.settings,
        name=before.called,
        attachments=tuple(builder.attachments()),
        layers=layers,
    )
    config = known_bytes(origin_record.record_config(record), origin_record.DOCUMENT)
    # The titles are for display only.
    parts = [
        replace(content.descriptor.bare(), annotations={TITLE: title}) for content, title in builder.parts.values()
    ]
    data = artifact_manifest(config.descriptor, parts, origin_record.ARTIFACT, after.done.descriptor)
    contents = (config, *(content for content, _ in builder.parts.values()))
    return PlannedAttachment(
        subject=after.done.descriptor.digest,
        descriptor=Descriptor.of(data, types.OCI_MANIFEST, artifact_type=origin_record.ARTIFACT),
        node=Write(
            media_type=types.OCI_MANIFEST,
            inputs=tuple(Copy(content=one, media_type=one.descriptor.media_type, label="origin") for one in contents),
            render=Verbatim(data),
        ),
    )


class _RecordBuilder:
    """An origin record under construction."""

    def __init__(self, before: SelectedImage, after: Evaluated, files: ExitStack, workers: Workers) -> None:
        self._before = before
        self._after = after
        self._files = files
        self._workers = workers
        self.parts: dict[Digest, tuple[Known, str]] = {}
        # An earlier original is rebuilt from this image's blobs, so these are needed exactly, not just by diff_id.
        self._converted = bool(_records_of(before))

    def documents(self) -> None:
        """Add the original's documents, byte for byte."""
        if self._before.root.media_type not in types.SINGLE_FILE_TYPES:
            self._add_indexes(self._before.root)
        for image in images_of(self._before.item):
            original = image.original
            if original is not None and original.manifest.descriptor.media_type not in types.SINGLE_FILE_TYPES:
                self._add(original.manifest, "manifest")
                if original.config is not None:
                    self._add(original.config, "config")

    def _add_indexes(self, root: Descriptor, depth: int = 0) -> None:
        """Add a root document and, if it is an index, the indexes below it."""
        document = self._before.source.fetch(root).pinned()
        is_index = root.media_type in types.INDEXES
        self._add(document, "index" if is_index else "manifest")
        if is_index and depth < MAX_DEPTH:
            for child in descriptors(load_object(document.read()), "manifests"):
                if child.media_type in types.INDEXES and child.digest not in self.parts:
                    self._add_indexes(child, depth + 1)

    def attachments(self) -> Iterator[Attachment]:
        """The attachments of the original; adds the blobs they consist of."""
        for one in self._before.attached:
            for content in one.contents():
                if not content.absent:
                    self._add(content, "attachment")
            yield one

    def layers(self) -> Iterator[LayerOrigin]:
        """The layers of the target, and the layers that any of them was merged from."""
        for layer in self._after.layers():
            leaf, result = layer.leaf, layer_result(layer)
            row = LayerOrigin(
                relation=result.relation, source=result.source, target=result.target, diff_id=result.diff_id
            )
            if isinstance(leaf, Copy):
                yield row
                continue
            content = leaf.derived(tuple(one.done for one in layer.inputs))
            if any(one.descriptor.media_type in types.SINGLE_FILE_TYPES for one in source_blobs(content)):
                yield self._unpacked(content, row, layer.done.facts.recipe)
            elif content.rewrite is not None:
                yield from self._composed(content, row)
            else:
                yield self._recompressed(list(source_blobs(content)), row, has_diff_id=leaf.diff_id is not None)

    def _unpacked(self, content: Derived, row: LayerOrigin, text: str) -> LayerOrigin:
        """A whole image is rebuilt from its layer, by its recipe, and the way its file was compressed; if that fails,
        the record carries the image.
        """
        roots = list(source_blobs(content))
        plain = content.rewrite is None
        alone = all(isinstance(one.content, Known) for one in content.inputs)
        again = plain or (alone and bool(text))
        packing = find_compressor(roots[0].blocks, self._workers) if again else None
        if packing is None:
            for root in roots:
                self._add(root, origin_record.IMAGE)
            return row
        row = replace(row, packing=packing, size=roots[0].descriptor.size)
        if plain:
            return row
        from converter.formats.aci.archive import read_manifest

        document = known_bytes(read_manifest(roots[0]), origin_record.EVIDENCE)
        manifest = self._add(document, "manifest of the image")
        recipe = self._add(known_bytes(text.encode(), origin_record.EVIDENCE), "recipe")
        return replace(row, recipe=recipe, manifest=manifest)

    def _recompressed(self, blobs: Sequence[Known], row: LayerOrigin, *, has_diff_id: bool) -> LayerOrigin:
        """Carry a layer whose digest is not signed; carry one whose blob is needed unless it can be packed again."""
        if has_diff_id and not self._converted:
            return row
        packing = find_compressor(blobs[0].blocks, self._workers) if has_diff_id else None
        if packing is None:
            for blob in blobs:
                self._add(blob, "layer")
            return row
        return replace(row, packing=packing)

    def _composed(self, content: Derived, row: LayerOrigin) -> Iterator[LayerOrigin]:
        """The layers that were merged into one: each is rebuilt from it with a recipe if its diff_id was signed."""
        found: list[tuple[FileIndex, ReadRange]] = []
        yield row
        for layer, blob in known_layers(content):
            if layer.diff_id is None:
                self._add(blob, "layer")
                continue
            if not found:
                found.append(read_derived(content, self._index_merged))
            recipe, size = self._recipe(layer, *found[0])
            packing = find_compressor(blob.blocks, self._workers) if self._converted else ""
            if packing is None or recipe.descriptor.size > blob.descriptor.size + SMALL:
                self._add(blob, "layer")
            else:
                yield LayerOrigin(
                    relation=row.relation,
                    source=blob.descriptor.digest,
                    target=row.target,
                    diff_id=layer.diff_id,
                    recipe=self._add(recipe, "recipe"),
                    size=size,
                    packing=packing,
                )

    def _index_merged(self, tar: Blocks) -> tuple[FileIndex, ReadRange]:
        """The files in the merged layer's tar, and a function that reads pieces of it."""
        merged = self._files.enter_context(spool.Spool())

        def kept() -> Blocks:
            for block in tar:
                merged.append(block)
                yield block

        return FileIndex(kept()), merged.blocks

    def _recipe(self, layer: Layer, files: FileIndex, read: ReadRange) -> tuple[Known, int]:
        """The recipe of a layer, in an unnamed file, and the size of the layer's tar in bytes."""
        passed, packed = Meter(), Meter()
        tar = metered(uncompressed_layer(layer), passed)
        fd = spool.spool_blocks(metered(pack_small(make_delta(tar, files, read)), packed))
        self._files.callback(os.close, fd)
        descriptor = Descriptor(media_type=origin_record.EVIDENCE, digest=packed.digest(), size=packed.size)
        return Known(descriptor, partial(file_blocks, fd, 0, packed.size, named=spool.TEMPORARY)), passed.size

    def _add(self, content: Known, title: str) -> Digest:
        digest = content.descriptor.digest
        if digest not in self.parts:
            evidence_of = Known(content.descriptor.retyped(origin_record.EVIDENCE), content.blocks)
            self.parts[digest] = evidence_of, title
        return digest


def _records_of(before: SelectedImage) -> tuple[Descriptor, ...]:
    """The origin records of an image that was converted before."""
    return origin_record.find_records(before.attached, fetch_among(before.attached))


def known_layers(content: Derived) -> Iterator[tuple[Layer, Known]]:
    """The existing layers that this one is made from, with their blobs, base first."""
    for layer in content.inputs:
        if isinstance(layer.content, Known):
            yield layer, layer.content
        else:
            yield from known_layers(layer.content)


def restore_aci(
    content: Derived, before: SelectedImage, options: Options, library: Library
) -> tuple[Node, SelectedImage] | None:
    """The file that would be made anew of ``content``, restored from the image's origin record, and the image with
    what referred to that file; None if the record does not give the same ACI.

    Both are read whole and compared by image ID, because a record is not to be trusted. An ACI that had dependencies
    differs from the self-contained one: it is restored if the library has all of them and the image is proven to be
    what they make together, unchanged. What this opens, ``library.files`` closes.
    """
    from converter.formats.aci.archive import RebuildAci, examine_aci, image_id, read_manifest
    from converter.formats.aci.reading import parse_manifest
    from converter.verification.proof import prove
    from converter.verification.rebuilt_source import Converted, OriginalSource

    rebuilt = isinstance(content.rewrite, RebuildAci)
    # With the original's dependencies at hand, it can be restored without their layers merged in, if nothing else is to
    # be changed.
    if not rebuilt and (not options.aci_paths or options.rkt_dev_links or options.changes):
        return None
    for descriptor in _records_of(before):
        with suppress(ConverterError):
            found = origin_record.read_record(descriptor, before.source.fetch, before.root)
            if found.root.media_type != types.ACI:
                continue
            workers = library.files.enter_context(Workers(options.threads))
            here = Converted(root=before.root, item=before.item, fetch=before.source.fetch)
            original = OriginalSource(found, here, files=library.files, workers=workers)
            aci = original.fetch(found.root)
            if rebuilt:
                meter = read_derived(content, lambda blocks: digest_and_size(blocks, content.algorithm))
                if image_id(aci) != meter.digest().dashed:
                    continue
            elif found.settings.changes or not parse_manifest(read_manifest(aci)).dependencies:
                continue
            else:
                prove(original, found.root, finder=library.find)  # it raises if the image is something else
            attached, _ = find_attachments(original, [aci.descriptor.digest])
            node = Copy(content=aci, media_type=types.ACI, examine=examine_aci, algorithm="sha512", label="image")
            return node, replace(before, attached=attached)
    return None
