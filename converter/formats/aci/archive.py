"""Looks into an ACI without unpacking it (appc spec 0.8.11, aci.md, "Image Archives").

Only what is asked for is read; rules and digest of the whole archive are checked when it is unpacked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from converter.errors import Invalid, Unsupported
from converter.model.content import Known
from converter.model.limits import current_limits
from converter.streams import Block, Blocks
from converter.streams.blocks import closing, peek
from converter.streams.decompress import decompress_any
from converter.streams.detect import HEAD
from converter.streams.tar import fields
from converter.streams.tar.entry import Entry
from converter.streams.tar.names import MANIFEST, PREFIX, clean_name
from converter.streams.tar.scan import scan_entries
from converter.streams.verify import digest_and_size

USTAR, USTAR_AT = b"ustar", 257


def uncompressed_tar(root: Known) -> Iterator[Block]:
    """The tar of an ACI; raises Unsupported if its first bytes show a format that an ACI may not have."""
    return tar_of(root.blocks())


def tar_of(packed: Blocks) -> Iterator[Block]:
    """The same of the bytes of a file; what comes first is read at once."""
    head, whole = peek(packed, HEAD)
    codec, blocks = decompress_any(whole)
    if codec == "zstd":
        raise Unsupported("an ACI cannot be compressed with zstd (gzip, bzip2, xz or none: aci.md, Image Archives)")
    if codec == "tar" and not head.startswith(USTAR, USTAR_AT):
        fact = "the tar has no magic number (v7)" if head else "the file is empty"
        raise Unsupported(f"{fact}, but an ACI must be a ustar")
    return blocks


def read_manifest(root: Known) -> bytes:
    """The bytes of the manifest; reading stops after it. Raises Invalid if there is none."""
    return manifest_in(root.blocks())


def manifest_in(packed: Blocks) -> bytes:
    """As ``read_manifest``, of the bytes of a file whose digest nobody knows yet."""
    with closing(tar_of(packed)) as blocks:
        for entry in scan_entries(blocks):
            if entry.name == MANIFEST:
                return _manifest(entry)
    raise Invalid('not an ACI: it has no file "manifest"')


def image_id(root: Known) -> str:
    """The ``sha512-…`` of the uncompressed archive, which is read to its end."""
    return digest_and_size(uncompressed_tar(root), "sha512").digest().dashed


def read_owners(root: Known, paths: Collection[str]) -> dict[str, tuple[int, int]]:
    """The IDs of the user and group that own files of the rootfs, by path; missing files are left out.

    The whole archive is read.
    """
    names = {clean_name(PREFIX + path.encode()): path for path in paths}
    found = {}
    with closing(uncompressed_tar(root)) as blocks:
        for entry in scan_entries(blocks):
            if entry.name in names:
                found[names[entry.name]] = (entry.uid, entry.gid)
    return found


def read_links(root: Known) -> tuple[frozenset[bytes], Mapping[bytes, bytes]]:
    """The paths below the rootfs that have an entry, and hard links' targets, by path. Reads the whole archive."""
    own: set[bytes] = set()
    links: dict[bytes, bytes] = {}
    with closing(uncompressed_tar(root)) as blocks:
        for entry in scan_entries(blocks):
            if entry.name.startswith(PREFIX):
                path = entry.name.removeprefix(PREFIX)
                own.add(path)
                if entry.type == fields.LINK:
                    links[path] = clean_name(entry.linkname).removeprefix(PREFIX)
    return frozenset(own), links


def _manifest(entry: Entry) -> bytes:
    if entry.type != fields.FILE:
        raise Invalid('"manifest" is not a regular file')
    current_limits().require("document", entry.size, "bytes of a manifest")
    return b"".join(entry.payload)
