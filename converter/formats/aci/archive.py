"""Looks into an ACI without unpacking it (appc spec 0.8.11, aci.md, "Image Archives").

Only what is asked for is read; rules and digest of the whole archive are checked when it is unpacked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from converter.model.content import Known
from converter.streams.blocks import Block, closing, digest_and_size
from converter.streams.tar.aci import manifest_in, tar_of
from converter.streams.tar.fields import LINK, PREFIX, clean_name
from converter.streams.tar.scan import scan_entries


def uncompressed_tar(root: Known) -> Iterator[Block]:
    """The tar of an ACI; raises Unsupported if its first bytes show a format that an ACI may not have."""
    return tar_of(root.blocks())


def read_manifest(root: Known) -> bytes:
    """The bytes of the manifest; reading stops after it. Raises Invalid if there is none."""
    return manifest_in(root.blocks())


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
                if entry.type == LINK:
                    links[path] = clean_name(entry.linkname).removeprefix(PREFIX)
    return frozenset(own), links
