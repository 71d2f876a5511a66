"""A tar as a target: blobs are written in place, and their headers once their digests are known.

The bytes depend only on the calls and their order: no times, no owners (POSIX.1-1988 ustar).
"""

from __future__ import annotations

import os
from contextlib import suppress

from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.stores.disk import disk_errors, write_behind
from converter.stores.media import Documents, Output, blob_name
from converter.stores.media.write_blob import write_blob
from converter.streams.tar.fields import DIR, FILE, SIZE, format_octal, header_block, long_name, padding_size

_OCTAL_SIZE = 8**11


class TarTarget:
    """Writes the tar of a layout. Calls must not overlap."""

    def __init__(self, out: Output, epoch: int = 0) -> None:
        self._out = out
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
            self._seek(header + SIZE)
            made = write_blob(blocks, expected, self._write)
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
        self._seek(header + SIZE)
        self._write(data)
        self._close_entry(header, name, len(data))

    def commit(self, documents: Documents) -> None:
        for name, data in documents(None).items():
            self.write(name, data)
        self._write(bytes(2 * SIZE))
        self._out.commit()

    def abort(self) -> None:
        self._out.abort()

    def _need_directory(self, path: str) -> None:
        parts = path.split("/")
        for name in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if name not in self._directories:
                self._write(_header(f"{name}/", 0, self._epoch, DIR))
                self._directories.add(name)

    def _close_entry(self, header: int, name: str, size: int) -> None:
        self._write(bytes(padding_size(size)))
        end = self._end
        self._seek(header)
        self._write(_header(name, size, self._epoch))
        self._seek(end)

    def _write(self, block: bytes | memoryview) -> None:
        with disk_errors(self._out.shown, "write"):
            write_behind(self._out.fd, block)
        self._end += len(block)

    def _seek(self, offset: int) -> None:
        with disk_errors(self._out.shown, "write"):
            os.lseek(self._out.fd, offset, os.SEEK_SET)
        self._end = offset

    def _cut(self, offset: int) -> None:
        os.ftruncate(self._out.fd, offset)
        os.lseek(self._out.fd, offset, os.SEEK_SET)
        self._end = offset


def _header(name: str, size: int, epoch: int, kind: bytes = FILE) -> bytes:
    """A ustar header without owner; sizes of 8 GiB or more are in base 256, as in GNU tar and Go."""
    field = format_octal(size, 12) if size < _OCTAL_SIZE else b"\x80" + size.to_bytes(11, "big")
    mode = 0o755 if kind == DIR else 0o644
    return header_block(name.encode()[:100], size=field, kind=kind, mode=mode, mtime=format_octal(epoch, 12))


def _long_name(name: str) -> bytes:
    """A record of the name of an entry, if it does not fit into a header, such as that of a sha512 blob."""
    return long_name(b"L", name.encode()) if len(name) > 100 else b""
