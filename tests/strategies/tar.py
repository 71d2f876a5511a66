"""Tar streams: dialects, long and non-ASCII names, links, whiteouts, duplicates, padding, boundaries of blocks."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

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
