"""Bytes encoded as a difference from similar ones: a zstd frame with those as its dictionary (RFC 8878).

A frame is untrusted input: it gives exactly the requested number of bytes, or raises Invalid. Dictionary and bytes are
held in memory, so callers must bound both.
"""

from __future__ import annotations

from converter.errors import Invalid

LEVEL = 7
"""From this level on zstd finds data that moved within a file; below it, half is missed in apt's caches."""

WORTH = 0.7
"""A difference must be smaller than this fraction of the bytes packed on their own, as they would be in the recipe."""


def differing(data: bytes, other: bytes) -> bytes | None:
    """``data`` as a frame that borrows from ``other``; None if that does not pay."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdCompressionParameters, ZstdCompressor

    parameters = ZstdCompressionParameters.from_level(
        LEVEL, source_size=len(data), dict_size=len(other), window_log=max(10, (len(data) + len(other)).bit_length())
    )
    dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
    frame = ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(data)
    return frame if len(frame) < WORTH * len(ZstdCompressor().compress(data)) else None


def restored(frame: bytes, other: bytes, size: int) -> bytes:
    """The ``size`` bytes that a frame gives with ``other``; raises Invalid if it gives anything else."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdDecompressor, ZstdError, frame_content_size

    try:
        told = frame_content_size(frame)
        if told == size:  # otherwise no memory is reserved
            dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
            return ZstdDecompressor(dict_data=dictionary).decompress(frame, allow_extra_data=False)
    except ZstdError:
        raise Invalid("recipe: got a broken difference, want a zstd frame") from None
    raise Invalid(f"recipe: got a difference that makes {told} bytes, want {size}")
