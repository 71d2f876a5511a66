"""The original image of an origin record, as a source: documents come from the record, layers from the target.

Nothing here is trusted: everything read is checked against the digest it was asked for by, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from converter import formats
from converter.errors import DigestMismatch, Invalid, LimitExceeded, NotFound
from converter.model import media_types as types
from converter.model.content import Blocks, Known, Layer, open_missing
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.image import Attachment, Image, Item, images_of
from converter.model.limits import current_limits
from converter.model.reference import TITLE
from converter.ports import Fetch
from converter.stores.base_source import SingleSource
from converter.streams.blocks import Meter, metered
from converter.streams.decompress import RATIO_FROM, decompress_any
from converter.streams.read_ahead import read_ahead
from converter.streams.repack import Packing, repack
from converter.streams.spool import SpooledStream
from converter.streams.tar.delta import apply_delta
from converter.streams.uncompressed import uncompressed_layer
from converter.streams.workers import Workers
from converter.trust.origin_record import IMAGE, LayerOrigin, OriginRecord


@frozen
class Converted:
    """What a record is about: an image, or an index with all its images, and how to fetch what it names."""

    root: Descriptor
    item: Item
    fetch: Fetch


class OriginalSource(SingleSource):
    """A source of one image. Temporary files are closed with ``files``."""

    where = "an origin record"

    def __init__(self, record: OriginRecord, converted: Converted, *, files: ExitStack, workers: Workers) -> None:
        self.record = record
        self.converted = converted
        self._layers = {known.descriptor.digest: known for known in layers_of(converted.item)}
        self._files = files
        self._workers = workers
        self._spools: dict[Digest, SpooledStream] = {}

    @property
    def root(self) -> Descriptor:
        return self.record.root

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        """The attachments that, according to the record, the subject had."""
        return [one for one in self.record.attachments if one.subject == subject]

    def carries(self, digest: Digest) -> bool:
        """Whether the record itself holds these bytes."""
        return digest in self.record.parts

    def fetch(self, descriptor: Descriptor) -> Known:
        """As in Source; a missing layer raises only when it is read."""
        digest = descriptor.digest
        part = self.record.parts.get(digest)
        if part is not None:
            return _retyped(descriptor, self.converted.fetch(part))
        row = next((one for one in self.record.layers if one.source == digest and one.packing), None)
        if descriptor.media_type in types.SINGLE_FILE_TYPES:
            return Known(descriptor, partial(self._whole, descriptor, row))
        if digest in self._layers:
            return _retyped(descriptor, self._layers[digest])
        if row is not None:
            return Known(descriptor, partial(self._repacked, row))
        if descriptor.media_type in types.MANIFESTS | types.INDEXES:
            return self.converted.fetch(descriptor)
        return Known(
            descriptor, open_missing(NotFound(f"record lacks the layer {digest}, of which the image was made"))
        )

    def with_layers(self, image: Image) -> Image:
        """The image with the layers that have recipes replaced by uncompressed ones, rebuilt from the target's."""
        recipes = {row.diff_id: row for row in self.record.layers if row.recipe is not None}
        return replace(image, layers=tuple(self._again(layer, recipes.get(layer.diff_id)) for layer in image.layers))

    def images(self) -> Iterator[Known]:
        """The whole images that the target was made from: those that the record holds, or that can be rebuilt."""
        rows = {row.source: row.size for row in self.record.layers if row.source is not None and row.packing}
        carried = {
            digest: part.size for digest, part in self.record.parts.items() if part.annotations.get(TITLE) == IMAGE
        }
        for digest, size in (carried | rows).items():
            yield self.fetch(Descriptor(media_type=self.record.root.media_type, digest=digest, size=size))

    def target(self, digest: Digest) -> Descriptor:
        """The complete descriptor of a blob of the converted image."""
        if digest == self.converted.root.digest:
            return self.converted.root
        return self.converted.fetch(
            Descriptor(media_type=self.converted.root.media_type, digest=digest, size=-1)
        ).descriptor

    def tar(self, digest: Digest) -> Blocks:
        """The tar of a blob of the target; only the first call decompresses it."""
        return self._spool(digest).blocks()

    def _again(self, layer: Layer, row: LayerOrigin | None) -> Layer:
        if row is None or row.recipe is None or row.target is None or layer.diff_id is None:
            return layer
        assert isinstance(layer.content, Known)
        # What was signed states the layer's compressed size; the tar may not exceed what that allows.
        limits = current_limits()
        most = min(limits.layer, max(RATIO_FROM, limits.ratio * layer.content.descriptor.size))
        if not 0 <= row.size <= most:
            raise LimitExceeded(f"record states a layer of {row.size} bytes: at most {most} are allowed (limit: ratio)")
        descriptor = Descriptor(media_type=types.OCI_LAYER, digest=layer.diff_id, size=row.size)
        return replace(layer, content=Known(descriptor, partial(self._by_recipe, self._part(row.recipe), row.target)))

    def _by_recipe(self, recipe: Known, target: Digest) -> Blocks:
        """A tar, rebuilt from that of a blob of the target."""

        def read(offset: int, size: int) -> Blocks:
            return self._spool(target).piece(offset, size)

        return apply_delta(decompress_any(recipe.blocks())[1], read)

    def _spool(self, digest: Digest) -> SpooledStream:
        if digest not in self._spools:
            if self.converted.root.media_type in types.SINGLE_FILE_TYPES:  # itself, or one that it depends on
                tar: Blocks = decompress_any(read_ahead(self.converted.fetch(self.target(digest)).blocks()))[1]
            else:
                tar = self._layer_tar(digest)
            self._spools[digest] = self._files.enter_context(SpooledStream(tar))
        return self._spools[digest]

    def _layer_tar(self, digest: Digest | None) -> Blocks:
        """The tar of a layer of the target."""
        if digest not in self._layers:
            raise Invalid(f"record names the layer {digest}, which the image does not have")
        return uncompressed_layer(Layer(content=self._layers[digest]))

    def _whole(self, descriptor: Descriptor, row: LayerOrigin | None) -> Blocks:
        """The file of an ACI that the target was made from."""
        digest = descriptor.digest
        if digest not in self._spools:
            if row is None:
                raise NotFound(f"record neither holds the ACI {digest} nor says how to make it")
            meter = Meter(digest.algorithm)
            file = repack(self._whole_tar(row), Packing.parse(row.packing), self._workers)
            spooled = self._files.enter_context(SpooledStream(metered(file, meter), descriptor.size))
            spooled.read_on()
            found = meter.digest()
            if found != digest:
                raise DigestMismatch(
                    f"digest mismatch of the ACI made again from the image: expected {digest}, computed {found}"
                )
            self._spools[digest] = spooled
        return self._spools[digest].blocks()

    def _repacked(self, row: LayerOrigin) -> Blocks:
        """A layer, compressed as it originally was."""
        if row.recipe is not None and row.target is not None:
            tar = self._by_recipe(self._part(row.recipe), row.target)
        else:
            tar = self._layer_tar(row.target)
        return repack(tar, Packing.parse(row.packing), self._workers)

    def _whole_tar(self, row: LayerOrigin) -> Blocks:
        if self.converted.root.media_type in types.SINGLE_FILE_TYPES:
            return self.tar(self.converted.root.digest)
        if row.recipe is None or row.target not in self._layers or row.manifest is None:
            raise NotFound("record has no recipe for the image")
        try:
            recipe = self._part(row.recipe).read().decode()
        except UnicodeDecodeError:
            raise Invalid("recipe is not UTF-8") from None
        return formats.rebuild_whole(self._layer_tar(row.target), recipe, self._part(row.manifest).read())

    def _part(self, digest: Digest) -> Known:
        part = self.record.parts.get(digest)
        if part is None:
            raise NotFound(f"record lacks its part {digest}")
        return self.converted.fetch(part)


def _retyped(descriptor: Descriptor, known: Known) -> Known:
    """The same bytes under another media type, checked against the descriptor's digest."""
    return Known(descriptor.sized(known.descriptor.size), known.raw, absent=known.absent)


def layers_of(item: Item) -> Iterable[Known]:
    """The layers of an image, or of all images of an index."""
    for image in images_of(item):
        yield from (layer.content for layer in image.layers if isinstance(layer.content, Known))
