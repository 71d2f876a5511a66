"""The archive of an ACI: looked into, and rewritten to a layer and back (appc spec 0.8.11, aci.md, "Image Archives").

To look into it, only what is asked for is read; rules and digest of the whole are checked when it is unpacked. Rewrites
are declared here, and performed while the bytes stream through. Each is a value: equal rewrites make the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from converter.errors import DigestMismatch, Unsupported
from converter.formats.accounts import Accounts, note_accounts
from converter.formats.aci.app import with_groups
from converter.formats.aci.reading import render_manifest
from converter.model.content import Blocks, Known, LayerFacts, Open, Replaced
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.streams.blocks import Block, Meter, closing, digest_and_size, join_blocks, metered
from converter.streams.squash import squash
from converter.streams.tar.aci import manifest_in, rebuild_aci, tar_of, unpack_aci
from converter.streams.tar.changesets import EffectiveEntries
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import (
    DIR,
    END,
    FILES,
    LINK,
    MANIFEST,
    PREFIX,
    ROOTFS,
    Budget,
    clean_name,
    padding_bytes,
    parent_name,
    quoted_name,
)
from converter.streams.tar.pax import XATTR, make_header
from converter.streams.tar.scan import scan_entries

SEPARATOR = b"\0"
"""Between the paths in ``LayerFacts.paths``."""


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
    with closing(tar_of(root.blocks())) as blocks:
        entries = scan_entries(blocks)
        return {names[entry.name]: (entry.uid, entry.gid) for entry in entries if entry.name in names}


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
            if self.recipe:
                facts.recipe = recipe

        return unpack_aci(blocks, learn)


def examine_aci(inputs: Sequence[Open], _facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
    """A rewrite that reads an ACI to its end; raises Invalid if it violates the rules. Its output is discarded."""
    return unpack_aci(inputs[0](), lambda _recipe: None, reserved=True)


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

    @property
    def identity(self) -> str:
        """As in Repeatable."""
        return f"keep {Digest.of(SEPARATOR.join(sorted(self.paths)))}"

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
        squashed = squash(inputs, root=root_entry(self.epoch), replaced=replaced)
        return self._grouped(squashed, facts) if self.groupless else join_blocks(self._led(squashed))

    def _led(self, squashed: Blocks) -> Iterator[Block]:
        yield file_entry(MANIFEST, render_manifest(self.document), self.epoch)
        yield from squashed

    def _grouped(self, squashed: Blocks, facts: LayerFacts) -> Iterator[Block]:
        accounts = Accounts(PREFIX)
        yield from accounts.watched(squashed)
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


@frozen
class PackLayer:
    """Packs one layer as an ACI on top of the one ``below``, given by its facts; learns what exists with this one.

    A layer removes files of lower layers by naming them; an ACI, by leaving them out of the paths that stay.
    """

    document: Mapping[str, Any] = field(repr=False)
    groupless: str = ""
    below: LayerFacts = field(default_factory=LayerFacts, repr=False)
    epoch: int = 0

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        effective: EffectiveEntries[None] = EffectiveEntries(Budget())
        accounts = Accounts()
        # An ACI must have an entry for its root; a layer need not, and then it keeps the owner and times from below.
        roots = [self.below.root or root_entry(self.epoch)]

        def layer() -> Iterator[Block]:
            with closing(inputs[0]()) as source:
                for entry in scan_entries(source):
                    path, directory = entry.name, entry.type == DIR
                    if entry.type in FILES and not effective.remove(path):
                        effective.add(path, parent_name(path), None, directory)
                    if directory and not path:
                        roots.append(_root_header(entry))
                    yield from accounts.watch(entry)
            yield END

        def last() -> Iterator[Block]:
            there = _paths_over(self.below.paths, effective)
            facts.paths = SEPARATOR.join(there)
            facts.root = roots[-1]
            note_accounts(accounts, facts, self.below)
            grouped = with_groups(self.document, self.groupless, facts)
            whitelist = _whitelist(there)
            there.clear()  # a large layer has many names; hold them only once
            yield file_entry(MANIFEST, render_manifest({**grouped, "pathWhitelist": whitelist}), self.epoch)

        return squash([layer], root=roots[0], after=last(), replaced=replaced, dangling=True)


def _root_header(entry: Entry) -> bytes:
    """The header of a layer's root, as an ACI has it."""
    return make_header(
        name=ROOTFS,
        type=DIR,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        uname=entry.uname,
        gname=entry.gname,
        mtime_ns=entry.mtime_ns,
        records={XATTR + key: value for key, value in entry.xattrs.items()},
    )


def _paths_over(below: bytes, effective: EffectiveEntries[None]) -> list[bytes]:
    """The paths that exist once a layer lies on ``below``, the joined paths of the layers under it; sorted.

    The layer's own names, which are what a large one needs memory for, are released.
    """
    there = {*effective.entries, *effective.directories}
    lower = (found[0] for found in re.finditer(b"[^" + SEPARATOR + b"]+", below))
    there.update(path for path in lower if not effective.hides(path))
    there.discard(b"")
    effective.entries.clear()
    effective.directories.clear()
    current_limits().require("names", sum(map(len, there)), "bytes of names")
    return sorted(there)


def _whitelist(paths: Iterable[bytes]) -> list[str]:
    """The paths as a manifest has them; raises Unsupported for one that is not UTF-8, which JSON cannot hold."""
    try:
        return [f"/{path.decode()}" for path in paths]
    except UnicodeDecodeError as error:
        name = quoted_name(error.object)
        raise Unsupported(f"a pathWhitelist cannot hold {name}, which is not UTF-8: leave out --layered") from None
