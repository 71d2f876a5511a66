"""Sparse files with their holes filled in (GNU tar manual, "Storing Sparse Files": old GNU, PAX 0.0, 0.1 and 1.0)."""

from __future__ import annotations

from collections.abc import Iterator

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import current_limits
from converter.streams.blocks import Block, BlockReader, Blocks, zeros
from converter.streams.tar import pax
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import SIZE, parse_number, quoted_name

Region = tuple[int, int]
"""Offset and length of a piece of data; everything else is a hole."""


def real_size(entry: Entry) -> int:
    """The size of the file in bytes, including holes."""
    if entry.head[156] == 0x53:
        return parse_number(entry.head[483:495], "realsize")
    if entry.sparse:
        for key in (b"GNU.sparse.realsize", b"GNU.sparse.size"):
            if key in entry.pax:
                return pax.integer(entry.pax, key)
    return entry.size


def expand_sparse(entry: Entry, most: int) -> Iterator[Block]:
    """The content of a sparse file; reads the entry's payload.

    Raises Invalid if its map and its data contradict each other, LimitExceeded if it has over ``most`` bytes of holes:
    a few bytes of archive can represent exabytes of them.
    """
    position = 0
    for offset, piece in data_regions(entry, most):
        yield from zeros(offset - position)
        yield piece
        position = offset + len(piece)
    yield from zeros(real_size(entry) - position)


def data_regions(entry: Entry, most: int | None = None) -> Iterator[tuple[int, Block]]:
    """The data of a sparse file, each piece with its offset; the gaps, up to ``real_size``, are holes.

    Reads the entry's payload. Raises as ``expand_sparse`` does, but only Invalid without ``most``.
    """
    size = real_size(entry)
    data = BlockReader(entry.payload)
    regions = _read_map(entry, data)
    there = entry.size - data.offset
    _check_regions(entry, regions, size, there)
    holes = size - there
    if most is not None and holes > most:
        raise LimitExceeded(
            f"sparse file {quoted_name(entry.name)} has {holes} bytes of holes: at most {most} are allowed "
            "(limit: holes)"
        )
    for start, length in regions:
        offset = start
        for piece in data.views(length):
            yield offset, piece
            offset += len(piece)


def _read_map(entry: Entry, data: BlockReader) -> list[Region]:
    if entry.head[156] == 0x53:
        return list(_old_gnu_map(entry))
    if b"GNU.sparse.map" in entry.pax:
        return _regions(entry.pax[b"GNU.sparse.map"].split(b","))
    return _regions(_read_map_numbers(data))


def _old_gnu_map(entry: Entry) -> Iterator[Region]:
    yield from _old_gnu_regions(entry.head[386:482])
    extension = entry.extra.extension if entry.extra else b""
    for at in range(0, len(extension), SIZE):
        yield from _old_gnu_regions(extension[at : at + 504])


def _old_gnu_regions(block: bytes) -> Iterator[Region]:
    for at in range(0, len(block), 24):
        offset, length = block[at : at + 12], block[at + 12 : at + 24]
        if not offset[0]:
            return
        yield parse_number(offset, "sparse offset"), parse_number(length, "sparse length")


def _read_map_numbers(data: BlockReader) -> list[bytes]:
    """The numbers of a version 1.0 map at the start of the payload: their count, then two per region."""
    blocks = [data.take(SIZE, "sparse map")]
    count = blocks[0].partition(b"\n")[0]
    if not count.isdigit() or len(count) > 20:
        raise Invalid(f"sparse map: invalid count {quoted_name(count)}: expected a decimal number")
    lines = 2 * int(count) + 1
    missing = lines - blocks[0].count(b"\n")
    while missing > 0:
        current_limits().require("pax_record", (len(blocks) + 1) * SIZE, "bytes of a sparse map")
        blocks.append(data.take(SIZE, "sparse map"))
        missing -= blocks[-1].count(b"\n")
    return b"".join(blocks).split(b"\n")[1:lines]


def _regions(numbers: list[bytes]) -> list[Region]:
    if len(numbers) % 2 or not all(digits.isdigit() and len(digits) < 20 for digits in numbers):
        raise Invalid("sparse map: expected pairs of decimal numbers")
    values = map(int, numbers)
    return list(zip(values, values))


def _check_regions(entry: Entry, regions: list[Region], size: int, there: int) -> None:
    """Raise Invalid unless these regions of a file of ``size`` bytes are what ``there`` bytes of data are for."""
    end = 0
    for offset, length in regions:
        stop = offset + length
        if offset < end or length < 0 or stop > size:
            raise Invalid(
                f"sparse file {quoted_name(entry.name)}: data from {offset} to {stop} is not between {end} and {size}"
            )
        end = stop
    total = sum(length for _, length in regions)
    if total != there:
        raise Invalid(f"sparse file {quoted_name(entry.name)} has {there} bytes of data: its map says {total}")


def file_content(entry: Entry, most: int) -> Blocks:
    """The content of any regular file; ``most`` as for ``expand_sparse``."""
    return expand_sparse(entry, most) if entry.sparse else entry.payload
