"""Bytes encoded as a difference from similar ones: a zstd frame with those as its dictionary
(RFC 8878).

A frame is input like any other: it gives as many bytes as it is asked for, or Invalid. Dictionary and bytes are held in
memory, so both are bounded by whoever calls.
"""

from __future__ import annotations

from converter.errors import Invalid

LEVEL = 7
"""From here on zstd finds what moved about in a file; below, half of it is missed in the caches of apt."""

WORTH = 0.7
"""A difference has to be smaller than this of the bytes packed alone, as the rest of a recipe is."""


def differing(data: bytes, other: bytes) -> bytes | None:
    """``data``, as a frame that takes from ``other`` what both have; None where that is not worth it."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdCompressionParameters, ZstdCompressor

    parameters = ZstdCompressionParameters.from_level(
        LEVEL, source_size=len(data), dict_size=len(other), window_log=max(10, (len(data) + len(other)).bit_length())
    )
    dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
    frame = ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(data)
    return frame if len(frame) < WORTH * len(ZstdCompressor().compress(data)) else None


def restored(frame: bytes, other: bytes, size: int) -> bytes:
    """The ``size`` bytes that a frame gives with ``other``; raises Invalid where it gives anything else."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdDecompressor, ZstdError, frame_content_size

    try:
        told = frame_content_size(frame)
        if told == size:  # or nothing is made room for
            dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
            return ZstdDecompressor(dict_data=dictionary).decompress(frame, allow_extra_data=False)
    except ZstdError:
        raise Invalid("recipe: got a broken difference, want a zstd frame") from None
    raise Invalid(f"recipe: got a difference that makes {told} bytes, want {size}")
