"""Recreates a compressed stream, bit for bit, from its plain bytes (RFC 1951, RFC 1952; the formats of bzip2 and xz).

This is found by trial: each common compressor packs the bytes again, as long as the result is the same.
How a stream was packed is a short text, and as untrusted as any input when it is read.
"""

from __future__ import annotations

import bz2
import json
import lzma
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

from converter.errors import Invalid, Unsupported
from converter.model.frozen import frozen
from converter.model.limits import KIB
from converter.streams.blocks import (
    BLOCK,
    COPY_BLOCK,
    Block,
    Blocks,
    beginning,
    closing,
    reblock,
    skip_bytes,
    trailing_zeros,
)
from converter.streams.compress import GZIP_HEADER, ISAL_MOST, deflater, framed, gzip_member, isal_packer, pack_with
from converter.streams.decompress import HEAD, decompress, detect_codec
from converter.streams.workers import Workers, start_thread

OWN, ZLIB, PROGRAM, PIGZ, XZ, BZIP2, PLAIN = "transship-2", "zlib", "gzip", "pigz", "xz", "bzip2", "none"
FORMER = "transship"
"""Our own gzip before its bytes were independent of memory addresses: read in older records, never written."""

HEADER_MOST = 64 * KIB
PROGRAM_HEADER = 10
"""Bytes in a header of gzip's that has no name."""

PIGZ_BLOCK, PIGZ_DICTIONARY = 128 * KIB, 32 * KIB
"""pigz 2.8 with zlib packs each block on its own, with the last bytes before it as dictionary."""

_EMPTY, _EMPTY_BITS = 0b10, 10
"""A static block that is not the last and contains only its end marker."""

_XZ_DICTIONARIES = {18: (0,), 20: (1,), 21: (2,), 22: (3, 4), 23: (5, 6), 24: (7,)}
"""Presets by the binary logarithm of their dictionary; 8 and 9 are left out, as they would take too much memory."""
_PACKER_LEVELS: Mapping[str, Sequence[int]] = {
    OWN: (2, 6, 9, 1, 3, 4, 5, 7, 8, 0),
    FORMER: range(10),
    ZLIB: (9, 6, 1, 2, 3, 4, 5, 7, 8),
    PIGZ: (6, 9, 1, 2, 3, 4, 5, 7, 8),
    PROGRAM: (6, 9, 1, 2, 3, 4, 5, 7, 8),
    XZ: (*range(8), *range(10, 18)),
    BZIP2: range(1, 10),
    PLAIN: (0,),
}
"""The levels of each compressor; those of gzip in the order in which they are tried, the most common first."""

Piece = tuple[Block, bytes, bool]
"""A block, its dictionary, and whether it is the last."""


@frozen
class Packing:
    """A compressor, its level (for xz, plus 10 for the extreme presets), a gzip header, and NULs after the stream."""

    by: str
    level: int = 0
    header: bytes = b""
    check: int = 0
    zeros: int = 0

    def text(self) -> str:
        """The packing as text, for a record."""
        return json.dumps(asdict(self) | {"header": self.header.hex()}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Packing:
        """Read a packing; raises Invalid."""
        try:
            members = json.loads(text[: 4 * HEADER_MOST])
            read = cls(
                by=str(members["by"]),
                level=int(members["level"]),
                header=bytes.fromhex(members["header"]),
                check=int(members["check"]),
                zeros=int(members["zeros"]),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Invalid("packing: not a record of how a file was compressed") from None
        if read.level not in _PACKER_LEVELS.get(read.by, ()):
            raise Invalid(f'packing: unknown compressor or level: "{read.by[:40]}" {read.level}')
        if not 0 <= read.zeros <= BLOCK:
            raise Invalid(f"packing: {read.zeros} zeros at the end: 0 to {BLOCK} are allowed")
        return read


def find_compressor(packed: Callable[[], Blocks], workers: Workers) -> str | None:
    """How a stream was packed, as text; None if no known compressor gives the same bytes.

    ``packed`` opens the stream; it is read several times. Most attempts end at the first block that differs.
    """
    head = beginning(packed(), HEADER_MOST)
    codec = detect_codec(head[:HEAD])
    if codec == "none":
        return Packing(by=PLAIN).text()
    if codec not in ("gzip", "bzip2", "xz"):
        return None
    for candidate in _candidate_packings(codec, head):
        zeros = trailing_zeros(repack(decompress(packed(), codec), candidate, workers), packed())
        if zeros is not None and zeros <= BLOCK:
            return replace(candidate, zeros=zeros).text()
    return None


def repack(blocks: Blocks, packing: Packing, workers: Workers) -> Iterator[Block]:
    """The packed stream of these plain bytes. Raises Unsupported if the program that packed it is not installed."""
    with closing(blocks) as source:
        if packing.by in (OWN, FORMER):
            made_by = deflater if packing.by == OWN else _former_deflater
            yield from gzip_member(source, made_by(packing.level), workers)
        elif packing.by == ZLIB:
            yield from framed(source, partial(pack_with, _packer(packing)), packing.header)
        elif packing.by == PIGZ:
            deflate = pigz_deflater(packing.level)
            yield from framed(source, lambda plain: workers.ordered(deflate, pigz_blocks(plain)), packing.header)
        elif packing.by == PROGRAM:
            yield from _by_program(source, packing)
        elif packing.by == PLAIN:
            yield from source
        else:
            yield from pack_with(_packer(packing), source)
    if packing.zeros:
        yield bytes(packing.zeros)


def _candidate_packings(codec: str, head: bytes) -> Iterator[Packing]:
    if codec == "bzip2":
        for level in _PACKER_LEVELS[BZIP2]:
            if head[3:4] == b"%d" % level:
                yield Packing(by=BZIP2, level=level)
    elif codec == "xz":
        yield from _xz_candidates(head)
    else:
        header = gzip_header(head)
        if header == GZIP_HEADER:
            yield from (Packing(by=OWN, level=level) for level in _PACKER_LEVELS[OWN])
        for by in (ZLIB, PIGZ, PROGRAM) if header else ():
            if by != PROGRAM or shutil.which("gzip"):
                yield from (Packing(by=by, level=level, header=header) for level in _PACKER_LEVELS[by])


def _xz_candidates(head: bytes) -> Iterator[Packing]:
    """One block without its sizes, one filter: what a single thread writes. The dictionary size implies the preset."""
    if len(head) < 18 or head[13:16] != b"\0\x21\x01" or head[16] & 1:
        return
    for preset in _XZ_DICTIONARIES.get(head[16] // 2 + 12, ()):
        for level in (preset, preset + 10):
            yield Packing(by=XZ, level=level, check=head[7] & 0x0F)


def gzip_header(head: bytes) -> bytes:
    """The header of the first member; empty if it is malformed, or longer than any real one."""
    if len(head) < 10 or head[2] != 8 or head[3] & 0xE0:
        return b""
    flags, end = head[3], 10
    if flags & 4:
        end += 2 + int.from_bytes(head[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            end = head.find(b"\0", end, HEADER_MOST) + 1
            if not end:
                return b""
    end += 2 if flags & 2 else 0
    return head[:end] if end <= min(len(head), HEADER_MOST) else b""


def _packer(packing: Packing) -> zlib._Compress | bz2.BZ2Compressor | lzma.LZMACompressor:
    if packing.by == ZLIB:
        return zlib.compressobj(packing.level, zlib.DEFLATED, -zlib.MAX_WBITS)
    if packing.by == BZIP2:
        return bz2.BZ2Compressor(packing.level)
    preset = packing.level % 10 | (lzma.PRESET_EXTREME if packing.level >= 10 else 0)
    try:
        return lzma.LZMACompressor(lzma.FORMAT_XZ, check=packing.check, preset=preset)
    except (lzma.LZMAError, ValueError):
        raise Invalid(f"packing: unknown check of xz: {packing.check}") from None


def _former_deflater(level: int) -> Callable[[Block], bytes]:
    """A block as isal packs it at nearly every address: what two of three live compressors give."""
    if level > ISAL_MOST:
        return deflater(level)

    def by_isal(block: Block) -> bytes:
        from isal.isal_zlib import Z_SYNC_FLUSH

        one, two, three = (isal_packer(level) for _ in range(3))
        made = one.compress(block) + one.flush(Z_SYNC_FLUSH)
        if made == two.compress(block) + two.flush(Z_SYNC_FLUSH):
            return made
        return three.compress(block) + three.flush(Z_SYNC_FLUSH)

    return by_isal


def pigz_blocks(blocks: Blocks) -> Iterator[Piece]:
    """The blocks that pigz makes."""
    dictionary, pending = b"", b""
    for block in reblock(blocks, PIGZ_BLOCK):
        if pending:
            yield pending, dictionary, False
            dictionary = pending[-PIGZ_DICTIONARY:]
        pending = bytes(block)
    yield pending, dictionary, True


def pigz_deflater(level: int) -> Callable[[Piece], bytes]:
    """A function that packs one block as pigz does: deflates it, and pads the result to a whole byte by empty blocks.

    These are static ones of ten bits each if they get there, else it is one stored block.
    """

    def deflate(piece: Piece) -> bytes:
        block, known, last = piece
        packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=known)
        packed = packer.compress(block)
        if last:
            return packed + packer.flush()
        packed += packer.flush(zlib.Z_BLOCK)
        bits, count = _pending(packer)
        if count % 2:
            return packed + packer.flush(zlib.Z_SYNC_FLUSH)
        while count % 8:
            bits |= _EMPTY << count
            count += _EMPTY_BITS
        return packed + bits.to_bytes(count // 8, "little")

    return deflate


def _pending(packer: zlib._Compress) -> tuple[int, int]:
    """The bits after the last whole byte, and their number, which an empty block appended to them reveals."""
    bits = int.from_bytes(packer.copy().flush(zlib.Z_PARTIAL_FLUSH), "little")
    count = bits.bit_length() - _EMPTY.bit_length()
    return bits & ((1 << count) - 1), count


def _by_program(blocks: Iterator[Block], packing: Packing) -> Iterator[Block]:
    """The program's output under another header; its input is fed by a thread, whose error is raised at the end."""
    program = shutil.which("gzip")
    if program is None:
        raise Unsupported(
            "the file was compressed with gzip, which is not installed: it is needed to make the same file again"
        )
    command = [program, "-n", "-c", f"-{packing.level}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pipe, errors = process.stdin, list[BaseException]()

        def feed() -> None:
            try:
                with pipe:
                    for block in blocks:
                        pipe.write(block)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that reads
                errors.append(error)

        feeder = start_thread("gzip", feed)
        try:
            yield packing.header
            yield from skip_bytes(iter(partial(process.stdout.read, COPY_BLOCK), b""), PROGRAM_HEADER)
        finally:
            process.kill()
            feeder.join()
        if errors:
            raise errors[0]
