from __future__ import annotations

import io
import tarfile

from hypothesis import assume, given

from converter.streams.tar.cursor import Cursor
from converter.streams.tar.entry import copied
from converter.streams.tar.names import clean
from converter.streams.tar.scan import Scanner, entries
from tests.strategies.tar import File, archive, cuts, dialects, files, pieces

Row = tuple[bytes, bytes, int, int, int, int, bytes, bytes]


def ours(data: bytes, where: list[int]) -> list[Row]:
    return [
        (
            entry.name,
            entry.type,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns // 10**9,
            clean(entry.linkname),
            b"".join(entry.payload),
        )
        for entry in entries(pieces(data, where))
    ]


def stdlib(data: bytes) -> list[Row]:
    rows: list[Row] = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for info in tar:
            stream = tar.extractfile(info) if info.isreg() else None
            rows.append(
                (
                    clean(os_bytes(info.name)),
                    info.type.replace(b"\0", b"0"),
                    info.mode,
                    info.uid,
                    info.gid,
                    int(info.mtime // 1),
                    clean(os_bytes(info.linkname)) if info.islnk() or info.issym() else b"",
                    stream.read() if stream else b"",
                )
            )
    return rows


def os_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@given(files, dialects, cuts)
def test_the_scanner_agrees_with_the_standard_library(listing: list[File], dialect: str, where: list[int]) -> None:
    try:
        data = archive(listing, dialect)
    except ValueError:  # ustar cannot hold such a name
        assume(False)
    assert ours(data, where) == stdlib(data)


@given(files, dialects, cuts)
def test_what_is_passed_on_is_the_archive_itself(listing: list[File], dialect: str, where: list[int]) -> None:
    try:
        data = archive(listing, dialect)
    except ValueError:
        assume(False)
    scanner = Scanner(Cursor(pieces(data, where)))
    out = b"".join(block for entry in scanner for block in copied(entry))
    assert out + b"".join(scanner.trailing()) == data
