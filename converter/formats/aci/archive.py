"""The archive of an ACI: looked into, and rewritten to a layer and back (appc spec 0.8.11, aci.md, "Image Archives").

To look into it, only what is asked for is read; rules and digest of the whole are checked when it is unpacked. Rewrites
are declared here, and performed while the bytes stream through. Each is a value: equal rewrites make the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from converter.errors import DigestMismatch
from converter.formats.accounts import Accounts, note_accounts
from converter.formats.aci.app import with_groups
from converter.formats.aci.reading import render_manifest
from converter.model.content import Blocks, Known, LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.streams.blocks import Block, Meter, closing, digest_and_size, join_blocks, metered
from converter.streams.squash import squash
from converter.streams.tar.aci import manifest_in, rebuild_aci, tar_of, unpack_aci
from converter.streams.tar.fields import DIR, END, LINK, MANIFEST, PREFIX, ROOTFS, clean_name, padding_bytes
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import scan_entries


def read_manifest(root: Known) -> bytes:
    """The bytes of the manifest; reading stops after it. Raises Invalid if there is none."""
    return manifest_in(root.blocks())


def image_id(root: Known) -> str:
    """The ``sha512-…`` of the uncompressed archive, which is read to its end."""
    return digest_and_size(tar_of(root.blocks()), "sha512").digest().dashed


def read_owners(root: Known, paths: Collection[str]) -> dict[str, tuple[int, int]]:
    """The IDs of the user and group that own files of the rootfs, by path; missing files are left out.

    The whole archive is read.
    """
    names = {clean_name(PREFIX + path.encode()): path for path in paths}
    found = {}
    with closing(tar_of(root.blocks())) as blocks:
        for entry in scan_entries(blocks):
            if entry.name in names:
                found[names[entry.name]] = (entry.uid, entry.gid)
    return found


def read_links(root: Known) -> tuple[frozenset[bytes], Mapping[bytes, bytes]]:
    """The paths below the rootfs that have an entry, and hard links' targets, by path. Reads the whole archive."""
    own: set[bytes] = set()
    links: dict[bytes, bytes] = {}
    with closing(tar_of(root.blocks())) as blocks:
        for entry in scan_entries(blocks):
            if entry.name.startswith(PREFIX):
                path = entry.name.removeprefix(PREFIX)
                own.add(path)
                if entry.type == LINK:
                    links[path] = clean_name(entry.linkname).removeprefix(PREFIX)
    return frozenset(own), links


@frozen
class UnpackAci:
    """Turns an ACI's tar into a layer's; learns how to undo that, unless the result will be changed further.

    ``image_id`` is the ACI's required image ID, or the beginning of it.
    """

    image_id: str = ""
    recipe: bool = True

    @property
    def identity(self) -> str:
        """As in Repeatable."""
        return f"unpack-aci {self.image_id or 'any'} {'recipe' if self.recipe else 'no-recipe'}"

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        blocks: Blocks = inputs[0]()
        if self.image_id:
            blocks = check_image_id(blocks, self.image_id)

        def learn(recipe: str) -> None:
            facts.recipe = recipe if self.recipe else facts.recipe

        return unpack_aci(blocks, learn)


@frozen(kw_only=False)
class ExamineAci:
    """Reads an ACI's tar to its end; raises Invalid if it violates the rules. The output is discarded."""

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        return unpack_aci(inputs[0](), lambda _recipe: None, reserved=lambda _name: None)


@frozen
class RebuildAci:
    """Turns a layer's tar back into that of the ACI it was made from."""

    recipe: str = field(repr=False)
    manifest: str = field(repr=False)

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        return rebuild_aci(inputs[0](), self.recipe, self.manifest.encode())


@frozen
class Keep:
    """Only these paths of a layer, and the directories above them; from lower layers, what its links need."""

    paths: frozenset[bytes] = field(repr=False)

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        return squash(inputs, keep=self.paths, replaced=replaced, dangling=True)


@frozen
class PackAci:
    """Packs all layers as one ACI. The manifest is first, or last if a group must be looked up in the image.

    ``epoch`` is the time, in seconds, of entries that no layer has.
    """

    document: Mapping[str, Any] = field(repr=False)
    groupless: str = ""
    epoch: int = 0

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        squashed = squash(inputs, prefix=PREFIX, root=root_entry(self.epoch), replaced=replaced)
        return self._grouped(squashed, facts) if self.groupless else join_blocks(self._led(squashed))

    def _led(self, squashed: Blocks) -> Iterator[Block]:
        yield file_entry(MANIFEST, render_manifest(self.document), self.epoch)
        yield from squashed

    def _grouped(self, squashed: Blocks, facts: LayerFacts) -> Iterator[Block]:
        accounts = Accounts(PREFIX)
        yield from accounts.watched_entries(squashed)
        note_accounts(accounts, facts)
        document = with_groups(self.document, self.groupless, facts)
        yield file_entry(MANIFEST, render_manifest(document), self.epoch)
        yield END


def root_entry(epoch: int) -> bytes:
    """The entry for a root that no layer has."""
    return make_header(name=ROOTFS, type=DIR, mode=0o755, mtime_ns=epoch * 1_000_000_000)


def file_entry(name: bytes, data: bytes, epoch: int) -> bytes:
    """A regular file's entry, complete and reproducible."""
    return make_header(name=name, size=len(data), mtime_ns=epoch * 1_000_000_000) + data + padding_bytes(len(data))


def check_image_id(blocks: Blocks, image_id: str) -> Iterator[Block]:
    """Pass on the tar of an ACI; raises DigestMismatch at its end if its ID does not begin with ``image_id``."""
    meter = Meter("sha512")
    yield from metered(blocks, meter)
    found = meter.digest().dashed
    if not found.startswith(image_id):
        raise DigestMismatch(f"image ID mismatch: expected {image_id}, computed {found}")
