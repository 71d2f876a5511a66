"""A directory as the tar of one layer: the same bytes for the same files, whatever file system they lie on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from converter.errors import Unsupported
from converter.stores.disk import printable_path
from converter.stores.rootfs.walk import DirectoryWalk, FoundFile, content
from converter.streams import Block
from converter.streams.blocks import COPY_BLOCK
from converter.streams.tar import fields, pax
from converter.streams.tar.write import END, make_header, padding_bytes
from converter.streams.whiteout import whiteout


class DirectoryLayer:
    """The blocks of the tar; each iteration reads the files anew, a directory before its contents.

    ``walk`` says what the last iteration left out; ``seal`` is the same for two that found the same files with the same
    times.
    """

    def __init__(self, root: Path) -> None:
        self.walk = DirectoryWalk(root)
        self.seal = b""

    def __iter__(self) -> Iterator[Block]:
        """Raises Unsupported for a name that means a deletion in a layer, and what the walk raises."""
        headers = blake2b()
        names: dict[tuple[int, int], bytes] = {}
        for found in self.walk:
            try:
                link = _earlier_name(found, names)
                head = _header(found, link)
                headers.update(head)
                yield head
                if found.type == fields.FILE and not link:
                    yield from content(found, COPY_BLOCK)
                    if padding := padding_bytes(found.status.st_size):
                        yield padding
            finally:
                if found.fd >= 0:
                    os.close(found.fd)
        self.seal = headers.digest()
        yield END


def _earlier_name(found: FoundFile, names: dict[tuple[int, int], bytes]) -> bytes:
    """The first name of a file that has several, if this is another of them."""
    status = found.status
    if found.type == fields.DIR or status.st_nlink == 1:
        return b""
    first = names.setdefault((status.st_dev, status.st_ino), found.path)
    return b"" if first == found.path else first


def _header(found: FoundFile, link: bytes) -> bytes:
    path, kind, status = found.path, found.type, found.status
    if b".wh." in path and whiteout(path):
        raise Unsupported(f"{printable_path(os.fsdecode(path))}: in a layer, a file of this name means a deletion")
    is_device = kind in {fields.CHAR, fields.BLOCK} and not link
    return make_header(
        name=path or b"./",
        type=fields.LINK if link else kind,
        size=status.st_size if kind == fields.FILE and not link else 0,
        mode=stat.S_IMODE(status.st_mode),
        uid=found.owner[0],
        gid=found.owner[1],
        mtime_ns=status.st_mtime_ns,
        linkname=link or found.linkname,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
        records={} if link else {pax.XATTR + key: value for key, value in found.xattrs.items()},
    )
