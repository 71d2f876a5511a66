"""Files of an archive by digest: layers stored under other names, and documents made up for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from converter.model import media_types as types
from converter.model.content import Blocks, Known, Open, blocks_of
from converter.model.descriptor import Descriptor, Digest
from converter.model.media_types import CODECS
from converter.stores.media import Medium
from converter.streams.blocks import digest_and_size
from converter.streams.decompress import HEAD, decompress, detect_codec

PACKED = {name: codec.docker[0] for name, codec in CODECS.items() if codec.docker and name != "none"}
"""The media types of compressed layers, by codec."""

RENAMED = [name for name, codec in CODECS.items() if not codec.docker]
"""Codecs that the Engine loads but no manifest can name: such layers are offered uncompressed."""


@dataclass(slots=True)
class ArchiveBlobs:
    """The blobs found so far; they are verified only when read."""

    medium: Medium
    _found: dict[Digest, tuple[int, Open]] = field(default_factory=dict)
    _types: dict[Digest, str] = field(default_factory=dict)

    def known(self, descriptor: Descriptor) -> Known | None:
        """The blob with that digest, if it was added; a layer gets the media type that its bytes have."""
        found = self._found.get(descriptor.digest)
        if found is None:
            return None
        media_type = self._types.get(descriptor.digest, descriptor.media_type)
        return Known(descriptor.retyped(media_type).sized(found[0]), found[1])

    def add_document(self, data: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
        """Add bytes in memory, under their digest by that algorithm."""
        descriptor = Descriptor.of(data, media_type, algorithm)
        self._found[descriptor.digest] = len(data), blocks_of(data)
        return descriptor

    def add_layer(self, name: str, digest: Digest | None = None, diff_id: Digest | None = None) -> Descriptor:
        """Add a layer: a compressed one under ``digest``, a plain one under ``diff_id``, as its bytes show.

        If that digest is not given, the layer is read to compute it. Raises NotFound.
        """
        size = self.medium.size(name) or 0
        codec = detect_codec(b"".join(self.medium.open(name, 0, min(HEAD, size)))) or ""
        renamed = codec in RENAMED

        def read() -> Blocks:
            blocks = self.medium.open(name)
            return decompress(blocks, codec) if renamed else blocks

        claimed = digest if codec in PACKED else diff_id
        if renamed or claimed is None:  # a manifest must state the size
            meter = digest_and_size(read())
            claimed, size = claimed or meter.digest(), meter.size
        self._found[claimed] = size, read
        self._types[claimed] = PACKED.get(codec, types.DOCKER_LAYER)
        return Descriptor(media_type=self._types[claimed], digest=claimed, size=size)
