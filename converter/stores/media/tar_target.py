"""A tar as a target: blobs are written in place, and their headers once their digests are known.

The bytes depend only on the calls and their order: no times, no owners (POSIX.1-1988 ustar).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.stores.disk import disk, pwrite_all, write_down
from converter.stores.media.out_file import OutFile
from converter.stores.media.pour import poured
from converter.stores.media.target import Documents, blob_name

HEADER = 512
_OCTAL_SIZE = 8**11


class TarTarget:
    """Writes the tar of a layout. Calls must not overlap."""

    def __init__(self, path: Path, epoch: int = 0) -> None:
        self._out = OutFile(path)
        self._epoch = epoch
        self._end = 0
        self._blobs: dict[Digest, int] = {}
        self._directories: set[str] = set()

    def begin(self) -> None:
        self._out.begin()

    def has(self, digest: Digest, size: int) -> bool:
        return digest in self._blobs and size in (-1, self._blobs[digest])

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        self._need_directory(f"blobs/{expected.digest.algorithm if expected else 'sha256'}")
        start = self._end
        try:
            if expected is not None:
                self._write(_long_name(blob_name(expected.digest)))
            header = self._end
            self._seek(header + HEADER)
            made = poured(blocks, expected, self._write)
            if made.digest in self._blobs:
                self._cut(start)
            else:
                self._close_entry(header, blob_name(made.digest), made.size)
                self._blobs[made.digest] = made.size
        except BaseException:
            with suppress(OSError):
                self._cut(start)
            raise
        return made

    def write(self, name: str, data: bytes) -> None:
        """Write a document next to the blobs."""
        header = self._end
        self._seek(header + HEADER)
        self._write(data)
        self._close_entry(header, name, len(data))

    def commit(self, documents: Documents) -> None:
        try:
            for name, data in documents(None).items():
                self.write(name, data)
            self._write(bytes(2 * HEADER))
        except BaseException:
            self.abort()
            raise
        self._out.commit()

    def abort(self) -> None:
        self._out.abort()

    def _need_directory(self, path: str) -> None:
        parts = path.split("/")
        for name in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if name not in self._directories:
                self._write(_header(f"{name}/", 0, self._epoch, b"5"))
                self._directories.add(name)

    def _close_entry(self, header: int, name: str, size: int) -> None:
        self._write(bytes(-size % HEADER))
        with disk(self._out.shown, "write"):
            pwrite_all(self._out.fd, _header(name, size, self._epoch), header)

    def _write(self, block: bytes | memoryview) -> None:
        with disk(self._out.shown, "write"):
            write_down(self._out.fd, block)
        self._end += len(block)

    def _seek(self, offset: int) -> None:
        with disk(self._out.shown, "write"):
            os.lseek(self._out.fd, offset, os.SEEK_SET)
        self._end = offset

    def _cut(self, offset: int) -> None:
        os.ftruncate(self._out.fd, offset)
        os.lseek(self._out.fd, offset, os.SEEK_SET)
        self._end = offset


def _header(name: str, size: int, epoch: int, kind: bytes = b"0") -> bytes:
    """A ustar header without owner; sizes of 8 GiB or more are in base 256, as in GNU tar and Go."""
    field = b"%011o\0" % size if size < _OCTAL_SIZE else b"\x80" + size.to_bytes(11, "big")
    mode = b"0000755\0" if kind == b"5" else b"0000644\0"
    zero = b"0000000\0"
    fields = [
        name.encode()[:100],
        mode,
        zero,
        zero,
        field,
        b"%011o\0" % epoch,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\0" + b"00",
    ]
    widths = [100, 8, 8, 8, 12, 12, 8, 1, 100, 8]
    head = b"".join(text.ljust(width, b"\0") for text, width in zip(fields, widths, strict=True)).ljust(HEADER, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _long_name(name: str) -> bytes:
    """GNU tar's record before an entry whose name does not fit, such as that of a sha512 blob."""
    data = name.encode() + b"\0"
    if len(data) <= 101:
        return b""
    return _header("././@LongLink", len(data), 0, b"L") + data.ljust(-(-len(data) // HEADER) * HEADER, b"\0")
