"""Tar streams: dialects, long and non-ASCII names, links, whiteouts, duplicates, padding, boundaries of blocks."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from converter.streams.tar import pax
from converter.streams.tar.fields import padding_bytes, with_checksum
from converter.streams.tar.pax import make_header

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}

TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.LNKTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
}


@dataclass(frozen=True, slots=True)
class File:
    """One entry as a test describes it."""

    name: str
    type: str = "file"
    data: bytes = b""
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    pax: dict[str, str] = field(default_factory=dict)


def archive(files: Sequence[File], dialect: str = "pax", ending: bool = True) -> bytes:
    """The archive that the standard library makes of ``files``; without ``ending``, up to the last padding."""
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=FORMATS[dialect], encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for file in files:
            info = tarfile.TarInfo(file.name)
            info.type = TYPES[file.type]
            info.size = len(file.data)
            info.linkname = file.target
            info.mode, info.uid, info.gid, info.mtime = file.mode, file.uid, file.gid, file.mtime
            if dialect == "pax":
                info.pax_headers = dict(file.pax)
            if file.type == "char":
                info.devmajor, info.devminor = 1, 3
            tar.addfile(info, io.BytesIO(file.data))
        end = out.tell()
    return out.getvalue() if ending else out.getvalue()[:end]


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes | memoryview]:
    """``data`` cut where ``cuts`` say, some pieces empty, some of them views."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for number, (start, stop) in enumerate(itertools.pairwise(places)):
        yield memoryview(data)[start:stop] if number % 2 else data[start:stop]
    yield b""


Region = tuple[int, bytes]
"""A piece of data of a sparse file, and where it lies."""


def old_gnu(name: bytes, regions: Sequence[Region], size: int) -> bytes:
    """A sparse file as GNU tar wrote them before PAX: four regions in the header, 21 in each block behind it."""
    fields = [b"%011o\0%011o\0" % (offset, len(data)) for offset, data in regions]
    data = b"".join(piece for _, piece in regions)
    head = make_header(name=name, size=len(data), type=b"S")[:257] + b"ustar  \0" + bytes(121)
    more = [fields[at : at + 21] for at in range(4, len(fields), 21)]
    head += b"".join(fields[:4]).ljust(96, b"\0") + bytes([bool(more)]) + b"%011o\0" % size
    blocks = [b"".join(part).ljust(504, b"\0") + bytes([part is not more[-1]]) for part in more]
    return (
        with_checksum(head.ljust(512, b"\0"))
        + b"".join(block.ljust(512, b"\0") for block in blocks)
        + data
        + padding_bytes(len(data))
    )


def pax_sparse(name: bytes, regions: Sequence[Region], size: int, version: str) -> bytes:
    """A sparse file in one of GNU tar's three PAX formats."""
    data = b"".join(piece for _, piece in regions)
    numbers = [number for offset, piece in regions for number in (offset, len(piece))]
    if version == "1.0":
        text = b"".join(b"%d\n" % number for number in (len(regions), *numbers))
        data = text + padding_bytes(len(text)) + data
        records = {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": name,
            b"GNU.sparse.realsize": b"%d" % size,
        }
        return make_header(name=b"GNUSparseFile.0/x", size=len(data), records=records) + data + padding_bytes(len(data))
    if version == "0.1":
        listed = b",".join(b"%d" % number for number in numbers)
        records = {b"GNU.sparse.map": listed, b"GNU.sparse.name": name, b"GNU.sparse.size": b"%d" % size}
        return make_header(name=b"GNUSparseFile.0/x", size=len(data), records=records) + data + padding_bytes(len(data))
    pairs = [(b"GNU.sparse.size", b"%d" % size)]
    for offset, piece in regions:
        pairs += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % len(piece))]
    text = pax.join_records(pairs)
    extended = make_header(name=b"x", type=b"x", size=len(text)) + text + padding_bytes(len(text))
    return extended + make_header(name=name, size=len(data)) + data + padding_bytes(len(data))


cuts = st.lists(st.integers(0, 1 << 20), max_size=12)
"""Where to cut an archive into blocks."""

dialects = st.sampled_from(sorted(FORMATS))

_letters = st.sampled_from([*"abcxyz", "é", "\udcff", " ", "\n", ".", "wh", "long-" * 12])
parts = st.lists(_letters, min_size=1, max_size=4).map("".join).filter(lambda part: part not in {".", ".."})
"""One component of a name; bytes that are no UTF-8 are surrogates."""

names = st.lists(parts, min_size=1, max_size=4).map("/".join)
decorated = st.tuples(st.sampled_from(["", "./", "/", ".//"]), names).map("".join)
"""Names with what writers put before them."""

_fields = {
    "mode": st.sampled_from([0o644, 0o755, 0o4755, 0o1777, 0]),
    "uid": st.sampled_from([0, 1000, 2097151]),
    "gid": st.sampled_from([0, 5, 2097151]),
}


def _file(names: st.SearchStrategy[str], targets: st.SearchStrategy[str]) -> st.SearchStrategy[File]:
    times = st.integers(0, 2**33 - 1)
    return st.one_of(
        st.builds(File, names, st.just("file"), st.binary(max_size=1100), mtime=times, **_fields),
        st.builds(File, names, st.just("dir"), mtime=times, **_fields),
        st.builds(File, names, st.just("symlink"), target=targets, mtime=times, **_fields),
        st.builds(File, names, st.just("link"), target=targets, mtime=times, **_fields),
        st.builds(File, names, st.sampled_from(["fifo", "char"]), mtime=times, **_fields),
    )


files = st.lists(_file(decorated, names), max_size=8)
"""Entries of any kind; hard links may dangle, names may repeat."""
