"""Describes one tar in terms of another: shared files by reference, everything else verbatim.

A recipe is a list of steps: literal bytes (headers, padding, files that the other tar lacks), a piece of the other tar,
or a difference from such a piece, as a file that was replaced often resembles its replacement, like dpkg's status. A
recipe is untrusted input: whoever follows one checks the digest and the size of the result.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from hashlib import sha256

from converter.errors import Invalid
from converter.model.limits import MIB
from converter.streams.blocks import BLOCK, Block, BlockReader, Blocks, closing, drain, join_blocks
from converter.streams.spool import Spool
from converter.streams.tar.entry import Cursor
from converter.streams.tar.fields import PREFIX, quoted_name
from converter.streams.tar.scan import Scanner

MAGIC = b"transship borrowed tar 1\n"
LEAST = 64
"""Bytes of a file, at least; a smaller one costs no more verbatim than by reference."""

LITERAL_MOST = 1 * MIB
DELTA_MOST = 1 * MIB
"""Bytes that one difference makes, at most."""
MARGIN, MARGIN_TIMES = 1 * MIB, 8
"""A difference may also use ``MARGIN`` bytes on either side of the same place in the other file.

These are at most ``MARGIN_TIMES`` its output per side, since whoever follows it has to read them.
"""
_LITERAL, _PIECE, _DELTA, _END = b"L", b"P", b"D", b"E"
_LENGTH, _PLACE, _DIFFERENCE = struct.Struct(">L"), struct.Struct(">QQ"), struct.Struct(">QLLL")

ReadRange = Callable[[int, int], Blocks]
"""Returns the given number of bytes of the other tar from an offset; raises Invalid if it is shorter."""


class FileIndex:
    """Where the files of a tar are in it, by content and by name."""

    def __init__(self, blocks: Blocks) -> None:
        """Read a whole tar."""
        self.places: dict[tuple[int, bytes], int] = {}
        """The offset of a file, by size and digest of its content."""
        self.named: dict[bytes, tuple[int, int]] = {}
        """Offset and size of the file that has a name in the end."""
        with closing(blocks) as source:
            scanner = Scanner(Cursor(source))
            for entry in scanner:
                if entry.size >= LEAST:
                    offset = scanner.cursor.offset
                    hasher = sha256()
                    for view in entry.payload:
                        hasher.update(view)
                    self.places.setdefault((entry.size, hasher.digest()), offset)
                    self.named[entry.name.removeprefix(PREFIX)] = offset, entry.size
            drain(scanner.trailing())


def make_delta(blocks: Blocks, files: FileIndex, read: ReadRange) -> Iterator[Block]:
    """The recipe for the tar ``blocks`` in terms of the tar whose files are ``files`` and which ``read`` reads."""
    return join_blocks(_make_delta(blocks, files, read))


def apply_delta(delta: Blocks, read: ReadRange) -> Iterator[Block]:
    """The tar that a recipe describes. Raises Invalid for a malformed recipe."""
    return join_blocks(_apply_delta(delta, read))


class _Literal:
    """Bytes to be written to a recipe; the most recent ones can still be cut."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def add(self, data: Block) -> Iterator[bytes]:
        for start in range(0, len(data), LITERAL_MOST):
            piece = data[start : start + LITERAL_MOST]
            if len(self._pending) + len(piece) > LITERAL_MOST:
                yield from self.flush()
            self._pending += piece

    def cut(self, size: int) -> None:
        if size:
            del self._pending[-size:]

    def flush(self) -> Iterator[bytes]:
        if self._pending:
            yield _LITERAL + _LENGTH.pack(len(self._pending)) + self._pending
        self._pending.clear()


def _make_delta(blocks: Blocks, files: FileIndex, read: ReadRange) -> Iterator[Block]:
    yield MAGIC
    literal = _Literal()
    with closing(blocks) as source:
        scanner = Scanner(Cursor(source))
        for entry in scanner:
            yield from literal.add(entry.raw)
            if entry.size >= LEAST:
                with Spool() as payload:
                    hasher = sha256()
                    for view in entry.payload:
                        hasher.update(view)
                        payload.append(view)
                    place = files.places.get((entry.size, hasher.digest()))
                    if place is not None:
                        yield from literal.flush()
                        yield _PIECE + _PLACE.pack(place, entry.size)
                    else:
                        start, size = files.named.get(entry.name, (0, 0))
                        yield from _differences(payload, literal, start, size, read)
            for view in entry.body:
                yield from literal.add(view)
        literal.cut(scanner.cursor.missing)
        for view in scanner.trailing():
            yield from literal.add(view)
    yield from literal.flush()
    yield _END


def _differences(payload: Spool, literal: _Literal, start: int, size: int, read: ReadRange) -> Iterator[Block]:
    """A file that the other tar lacks, as differences from its ``size`` bytes at ``start`` if these are shorter."""
    at = 0
    while data := payload.read(at, DELTA_MOST if size else BLOCK):
        end = at + len(data)
        around = _around(len(data))
        first = min(max(at - around, 0), size)
        last = min(end + around, size)
        other = b"".join(map(bytes, read(start + first, last - first)))
        frame = make_difference(data, other) if other else None
        if frame is None:
            yield from literal.add(data)
        else:
            yield from literal.flush()
            yield _DELTA + _DIFFERENCE.pack(start + first, len(other), len(data), len(frame)) + frame
        at = end


def _around(size: int) -> int:
    return min(MARGIN, MARGIN_TIMES * size)


def _apply_delta(delta: Blocks, read: ReadRange) -> Iterator[Block]:
    with closing(delta) as source:
        steps = BlockReader(source)
        if steps.take(len(MAGIC), "recipe") != MAGIC:
            raise Invalid("recipe: does not describe one tar in terms of another")
        while (step := steps.take(1, "recipe")) != _END:
            if step == _LITERAL:
                (size,) = _LENGTH.unpack(steps.take(_LENGTH.size, "recipe"))
                if not 0 < size <= LITERAL_MOST:
                    raise Invalid(f"recipe: step of {size} bytes: 1 to {LITERAL_MOST} are allowed")
                yield steps.take(size, "recipe")
            elif step == _PIECE:
                offset, size = _PLACE.unpack(steps.take(_PLACE.size, "recipe"))
                if not size:
                    raise Invalid("recipe: piece of 0 bytes")
                yield from read(offset, size)
            elif step == _DELTA:
                offset, there, size, length = _DIFFERENCE.unpack(steps.take(_DIFFERENCE.size, "recipe"))
                if not (length < size <= DELTA_MOST and 0 < there <= size + 2 * _around(size)):
                    raise Invalid(
                        f"recipe: difference of {length} bytes, from {there} to {size} bytes, is out of range"
                    )
                frame = steps.take(length, "recipe")
                yield apply_difference(frame, b"".join(map(bytes, read(offset, there))), size)
            else:
                raise Invalid(f"recipe: unknown step {quoted_name(step)}")
        if any(len(block) for block in steps.rest()):
            raise Invalid("recipe: data after its end")


LEVEL = 7
"""From this level on zstd finds data that moved within a file; below it, half is missed in apt's caches."""

WORTHWHILE_RATIO = 0.7
"""A difference must be smaller than this fraction of the bytes packed on their own, as they would be in the recipe."""


def make_difference(data: bytes, other: bytes) -> bytes | None:
    """``data`` as a frame that borrows from ``other``; None if that does not pay."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdCompressionParameters, ZstdCompressor

    size, known = len(data), len(other)
    window = max(10, (size + known).bit_length())
    parameters = ZstdCompressionParameters.from_level(LEVEL, source_size=size, dict_size=known, window_log=window)
    dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
    frame = ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(data)
    alone = ZstdCompressor().compress(data)
    return frame if len(frame) < WORTHWHILE_RATIO * len(alone) else None


def apply_difference(frame: bytes, other: bytes, size: int) -> bytes:
    """The ``size`` bytes that a frame gives with ``other``; raises Invalid if it gives anything else."""
    from zstandard import DICT_TYPE_RAWCONTENT, ZstdCompressionDict, ZstdDecompressor, ZstdError, frame_content_size

    try:
        stated = frame_content_size(frame)
        if stated == size:  # otherwise no memory is reserved
            dictionary = ZstdCompressionDict(other, dict_type=DICT_TYPE_RAWCONTENT)
            return ZstdDecompressor(dict_data=dictionary).decompress(frame, allow_extra_data=False)
    except ZstdError:
        raise Invalid("recipe: difference is not a valid zstd frame") from None
    raise Invalid(f"recipe: difference makes {stated} bytes: expected {size}")
